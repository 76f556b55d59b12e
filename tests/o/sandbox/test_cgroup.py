"""Where groups of cgroup v2 may be made, and what those do that are: on the real thing where this machine gives it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from o.sandbox import cgroup
from o.sandbox.base import MIB, CodeCall, Limits
from o.sandbox.cgroup import Groups, Mount, NotDelegated
from tests.support.sandbox import Running, started
from tests.support.servers import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cgroups are Linux's")

_SMALL = Limits(wall=20, memory=64 * MIB, disk=MIB, processes=12)
_HYBRID = """\
27 24 0:23 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
28 27 0:24 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate
31 27 0:27 / /sys/fs/cgroup/memory rw,nosuid shared:13 - cgroup cgroup rw,memory
"""
_BOUND = "40 39 0:27 /docker/ab /sys/fs/my\\040cgroup rw - cgroup2 cgroup rw\n"


def test_only_trees_of_version_2_are_found() -> None:
    assert cgroup.mounts(_HYBRID) == [Mount("/", Path("/sys/fs/cgroup/unified"))]
    assert cgroup.mounts(_BOUND) == [Mount("/docker/ab", Path("/sys/fs/my cgroup"))]
    assert cgroup.mounts("") == []


def test_the_own_group_is_that_of_version_2() -> None:
    assert cgroup.own_group("4:memory:/a\n1:name=systemd:/b\n0::/user.slice/x:y.scope\n") == "/user.slice/x:y.scope"
    assert cgroup.own_group("4:memory:/a\n") is None


@pytest.mark.parametrize(
    ("path", "mountinfo", "folder"),
    [
        ("/", _HYBRID, "/sys/fs/cgroup/unified"),
        ("/a/b", _HYBRID, "/sys/fs/cgroup/unified/a/b"),
        ("/docker/ab", _BOUND, "/sys/fs/my cgroup"),
        ("/docker/ab/c", _BOUND, "/sys/fs/my cgroup/c"),
        ("/docker/abc", _BOUND, None),
        ("/../other", _HYBRID, None),
        ("/", "", None),
    ],
)
def test_a_group_is_found_in_the_tree_that_shows_it(path: str, mountinfo: str, folder: str | None) -> None:
    found = cgroup.place(path, cgroup.mounts(mountinfo))
    assert (None if found is None else str(found[1])) == folder


def test_counters_are_read_leniently() -> None:
    assert cgroup.counters("oom 3\noom_kill 2\nnew thing here\nmax max\n") == {"oom": 3, "oom_kill": 2}


def _pretended(top: Path, *, controllers: str, processes: str = "") -> tuple[str, str]:
    """A group `/service` as files, and what the kernel would say of it."""
    home = top / "service"
    home.mkdir()
    (home / "cgroup.controllers").write_text(controllers)
    (home / "cgroup.procs").write_text(processes)
    return "0::/service\n", f"28 27 0:24 / {top} rw - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("controllers", "user", "processes", "reason"),
    [
        ("cpu pids", 0, "", "no memory controller"),
        ("hugetlb", 1000, "", "no memory and pids controller"),
        ("cpu memory pids", 0, "", "not delegated: give the service Delegate=yes"),
        ("cpu memory pids", 1000, f"{os.getpid()}\n1\n", "others share this group"),
    ],
    ids=["no memory", "nothing", "not delegated", "shared"],
)
def test_why_there_are_none_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, controllers: str, user: int, processes: str, reason: str
) -> None:
    (tmp_path / "init.scope").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(NotDelegated, match=reason):
        cgroup.prepared(*_pretended(tmp_path, controllers=controllers, processes=processes))


def test_a_machine_without_them_says_so() -> None:
    for told, mountinfo in (("4:memory:/\n", _HYBRID), ("0::/\n", "")):
        with pytest.raises(NotDelegated, match="no cgroup v2"):
            cgroup.prepared(told, mountinfo)
    with pytest.raises(NotDelegated, match="not in sight"):
        cgroup.prepared("0::/elsewhere\n", _BOUND)


@pytest.fixture(scope="module")
def groups() -> Iterator[Groups]:
    found, reason = cgroup.find()
    if found is None:
        pytest.skip(f"this machine gives no groups: {reason}")
    yield found
    found.close()
    assert not found.path.exists()


@pytest.fixture(scope="module")
def running(groups: Groups) -> Iterator[Running]:
    """An executor, where groups can be made."""
    with started(limits=_SMALL) as made:
        yield made


def test_the_kernel_ends_a_group_that_takes_too_much_memory(groups: Groups) -> None:
    group = groups.make(_SMALL, files=False)
    taking = "import os; os.fork(); held = bytearray(60 << 20); print(len(held), flush=True); input()"
    command = group.entered([sys.executable, "-c", taking])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.wait(20) == -signal.SIGKILL
    assert group.ran_out_of_memory()
    group.remove()


def test_a_group_is_killed_whole_and_goes(groups: Groups) -> None:
    group = groups.make(_SMALL, files=False)
    families = "import os, time\nfor _ in range(3): os.fork()\nos.setsid()\nprint('.', flush=True)\ntime.sleep(600)"
    command = group.entered([sys.executable, "-c", families])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(8)] == [b".\n"] * 8
        group.remove()
        assert process.stdout.read() == b""
    assert not group.ran_out_of_memory()
    assert list(groups.path.glob("call-*")) == []


async def test_calls_run_in_groups_and_leave_none(running: Running) -> None:
    report = await running.sandbox.report()
    layer = next(each for each in report.layers if each.name == "cgroup v2")
    assert report.sufficient and layer.active, report.layers
    path = Path(layer.note.removeprefix("in "))
    source = (
        "import os, time\n"
        "def tool(size):\n"
        "    read, write = os.pipe()\n"
        "    for _ in range(7):\n"
        "        if os.fork() == 0:\n"
        "            held = bytearray(size << 20)\n"
        "            os.write(write, b'.')\n"
        "            time.sleep(60)\n"
        "    return sum(len(os.read(read, 1)) for _ in range(7))\n"
    )
    call = CodeCall(source=source, function="tool", arguments={"size": 40}, limits=_SMALL)
    result = await running.sandbox.run(call)
    assert (result.outcome, result.value) == ("memory", None), result
    assert (await running.sandbox.run(call.model_copy(update={"arguments": {"size": 1}}))).value == 7
    await asyncio.to_thread(until, lambda: len(list(path.glob("call-*"))) == 1, "only the waiting child being left")


async def test_processes_are_counted_together(running: Running) -> None:
    source = (
        "import os, time\n"
        "def tool():\n"
        "    for count in range(100):\n"
        "        try:\n"
        "            pid = os.fork()\n"
        "        except OSError as error:\n"
        "            return [count, error.errno]\n"
        "        if pid == 0:\n"
        "            time.sleep(60)\n"
    )
    result = await running.sandbox.run(CodeCall(source=source, function="tool", limits=_SMALL))
    assert result.outcome == "returned" and result.value[0] <= _SMALL.processes + 1, result


def test_what_a_killed_executor_left_is_cleared_by_the_next() -> None:
    with started(limits=_SMALL) as first:
        layer = next(each for each in asyncio.run(first.sandbox.report()).layers if each.name == "cgroup v2")
        left = Path(layer.note.removeprefix("in "))
        if not layer.active:
            pytest.skip(layer.note)
        first.process.kill()
        first.process.wait()
        assert left.exists()
        with started(limits=_SMALL) as second:
            asyncio.run(second.sandbox.report())
            assert not left.exists()
