"""Calls in a real executor, with every combination of layers that this machine can show."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from o.sandbox.base import MIB, CodeCall, CodeResult, Limits, SandboxUnavailable
from o.sandbox.client import SocketSandbox
from tests.support.sandbox import ORDINARY, ROOT, started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")

# Name: layers left out, and the user that the executor runs as.
_SHAPES: dict[str, tuple[tuple[str, ...], int | None]] = {
    "as it is": ((), None),
    "ordinary user": ((), ORDINARY),
    "no namespaces": (("bubblewrap",), 0),
    "ordinary user, no namespaces": (("bubblewrap",), ORDINARY),
}


@pytest.fixture(scope="module", params=list(_SHAPES.values()), ids=list(_SHAPES))
def sandbox(request: pytest.FixtureRequest) -> Iterator[SocketSandbox]:
    without, user = request.param
    with started(without, user=user) as running:
        yield running.sandbox


async def _run(sandbox: SocketSandbox, body: str, *, limits: Limits | None = None, **arguments: Any) -> CodeResult:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    source = f"def tool({', '.join(arguments)}):\n{lines}"
    return await sandbox.run(CodeCall(source=source, function="tool", arguments=arguments, limits=limits or Limits()))


def _processes(mark: str) -> list[int]:
    """Processes of this machine whose command line has the mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return [pid for pid in found if pid != os.getpid()]


async def _none_left(mark: str) -> None:
    deadline = time.monotonic() + 5
    while _processes(mark):
        assert time.monotonic() < deadline, "something outlived its call"
        await asyncio.sleep(0.02)


async def test_the_self_test_holds(sandbox: SocketSandbox) -> None:
    report = await sandbox.report()
    assert report.sufficient, report.message
    assert report.failed == ()
    assert "python" in report.languages


async def test_a_call_returns_its_value_and_what_it_printed(sandbox: SocketSandbox) -> None:
    result = await _run(
        sandbox, "import sys\nprint('out', x)\nprint('err', file=sys.stderr)\nreturn {'x': x}", x=[1, "ü"]
    )
    assert (result.outcome, result.value) == ("returned", {"x": [1, "ü"]})
    assert result.stdout == "out [1, 'ü']\n"
    assert result.stderr == "err\n"


async def test_calls_share_nothing(sandbox: SocketSandbox) -> None:
    body = (
        "import os, builtins\n"
        "seen = os.listdir(), getattr(builtins, 'mark', None)\n"
        "builtins.mark = 1\n"
        "open('f', 'w').close()\n"
        "return seen"
    )
    # Where O itself lies below the folder for temporary files, the way to it is there.
    way = [ROOT.parts[2]] if ROOT.parts[1] == "tmp" else []
    assert [(await _run(sandbox, body)).value for _ in range(3)] in ([[[], None]] * 3, [[way, None]] * 3)


async def test_an_exception_is_the_tools_own(sandbox: SocketSandbox) -> None:
    result = await _run(sandbox, "raise ValueError('no ' + 'x' * 5000)")
    assert result.outcome == "raised"
    assert (result.error or "").startswith("ValueError: no xx")
    assert len(result.error or "") < 1100
    assert 'File "<tool>", line 2, in tool' in result.stderr
    assert "o/sandbox" not in result.stderr


@pytest.mark.parametrize(
    ("body", "outcome", "error"),
    [
        ("import sys\nsys.exit(3)", "raised", "SystemExit: 3"),
        ("import os\nos._exit(0)", "crashed", "left its process"),
        ("import os\nos._exit(7)", "crashed", "code 7"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "crashed", "SIGKILL"),
        ("import ctypes\nctypes.string_at(0)", "crashed", "SIGSEGV"),
        ("return float('nan')", "bad_result", "NaN"),
        ("a = []\na.append(a)\nreturn a", "bad_result", "deeper"),
        ("return 'x' * (3 << 20)", "bad_result", "longer"),
    ],
)
async def test_bad_ends_have_words(sandbox: SocketSandbox, body: str, outcome: str, error: str) -> None:
    result = await _run(sandbox, body)
    assert result.outcome == outcome
    assert error in (result.error or "")
    assert result.value is None


@pytest.mark.parametrize(
    "forged",
    [
        'b"\\x00\\x00\\x00\\x26" + b\'{"outcome": "returned", "value": "liar"}\'',
        'b"\\x00\\x00\\x00\\x05junk!"',
        'b"\\xff\\xff\\xff\\xff"',
    ],
)
async def test_a_forged_result_beside_the_true_one_is_no_result(sandbox: SocketSandbox, forged: str) -> None:
    body = (
        "import contextlib, os\n"
        "for fd in range(3, 40):\n"
        "    with contextlib.suppress(OSError):\n"
        f"        os.write(fd, {forged})\n"
        "return 1"
    )
    assert (await _run(sandbox, body)).outcome == "bad_result"


async def test_a_call_ends_at_its_deadline_with_all_it_started(sandbox: SocketSandbox) -> None:
    mark = f"31536{os.getpid()}"
    body = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for _ in range(3):\n"
        f"    subprocess.Popen(['sleep', '{mark}'], start_new_session=True)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        f"        os.execvp('sleep', ['sleep', '{mark}'])\n"
        "    os._exit(0)\n"
        "print('started', flush=True)\n"
        "while True: time.sleep(1)"
    )
    result = await _run(sandbox, body, limits=Limits(wall=0.7))
    assert (result.outcome, result.stdout) == ("timeout", "started\n")
    await _none_left(mark)
    assert (await _run(sandbox, "return 1")).value == 1


async def test_what_a_call_leaves_behind_ends_with_it(sandbox: SocketSandbox) -> None:
    mark = f"31537{os.getpid()}"
    result = await _run(
        sandbox, f"import subprocess\nsubprocess.Popen(['sleep', '{mark}'], start_new_session=True)\nreturn 1"
    )
    assert result.value == 1
    await _none_left(mark)


async def test_cancelling_kills_all_of_it(sandbox: SocketSandbox) -> None:
    mark = f"31538{os.getpid()}"
    body = f"import subprocess\nsubprocess.run(['sleep', '{mark}'])"
    task = asyncio.create_task(_run(sandbox, body))
    deadline = time.monotonic() + 10
    while not _processes(mark):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _none_left(mark)


async def test_processor_time_is_limited(sandbox: SocketSandbox) -> None:
    result = await _run(sandbox, "while True: pass", limits=Limits(cpu=1, wall=20))
    assert result.outcome == "timeout"
    assert "processor time" in (result.error or "")


async def test_memory_of_one_process_is_limited(sandbox: SocketSandbox) -> None:
    result = await _run(sandbox, "return len(bytearray(1 << 30))", limits=Limits(memory=128 * MIB))
    assert result.error == "MemoryError"


async def test_memory_of_all_processes_together_is_limited(sandbox: SocketSandbox) -> None:
    body = (
        "import os, time\n"
        "for _ in range(6):\n"
        "    if os.fork() == 0:\n"
        "        held = bytearray(60 << 20)\n"
        "        time.sleep(60)\n"
        "time.sleep(60)"
    )
    result = await _run(sandbox, body, limits=Limits(memory=128 * MIB, wall=20))
    assert result.outcome == "memory"


async def test_files_are_limited(sandbox: SocketSandbox) -> None:
    body = (
        "def fill():\n"
        "    for number in range(1000):\n"
        "        with open(str(number), 'wb') as file:\n"
        "            file.write(bytes(4 << 20))\n"
        "import time\n"
        "try:\n"
        "    fill()\n"
        "except OSError:\n"
        "    return 'full'\n"
    )
    result = await _run(sandbox, body, limits=Limits(disk=64 * MIB, wall=20))
    assert result.value == "full" or "files" in (result.error or "")


async def test_a_flood_of_output_is_cut_and_hinders_nobody(sandbox: SocketSandbox) -> None:
    body = "import os\nprint('begin', flush=True)\nfor _ in range(2000):\n    os.write(1, b'x' * 65536)\nprint('end')"
    flood = asyncio.create_task(_run(sandbox, body))
    assert (await _run(sandbox, "return 1")).value == 1
    result = await flood
    assert result.outcome == "returned"
    assert result.stdout.startswith("begin\nxx")
    assert result.stdout.endswith("xend\n")
    assert "bytes left out" in result.stdout
    assert len(result.stdout) < 70_000


async def test_the_environment_is_the_tools_own(sandbox: SocketSandbox) -> None:
    call = CodeCall(source="import os\ndef f(): return dict(os.environ)", function="f", environment={"TOKEN": "t-1"})
    environment = (await sandbox.run(call)).value
    assert environment["TOKEN"] == "t-1"
    assert set(environment) - {"TOKEN"} == {
        "PATH",
        "HOME",
        "TMPDIR",
        "LANG",
        "USER",
        "LOGNAME",
        "PYTHONDONTWRITEBYTECODE",
    }


async def test_many_calls_at_once(sandbox: SocketSandbox) -> None:
    results = await asyncio.gather(*(_run(sandbox, "return x", x=number) for number in range(12)))
    assert [result.value for result in results] == list(range(12))


async def test_a_program_is_spoken_to_and_killed_with_its_own(sandbox: SocketSandbox) -> None:
    mark = f"31539{os.getpid()}"
    code = (
        "import subprocess, sys\n"
        f"subprocess.Popen(['sleep', '{mark}'], start_new_session=True)\n"
        "for line in sys.stdin:\n    print(line.upper(), end='', flush=True)"
    )
    program = await sandbox.start(
        ("/usr/bin/env", sys.base_exec_prefix + "/bin/python3", "-c", code), {}, egress=None, limits=Limits()
    )
    await program.write(b"hello\n")
    assert await program.read() == b"HELLO\n"
    assert _processes(mark)
    await program.close()
    await _none_left(mark)


async def test_namespaces_alone_suffice_and_what_they_lack_is_said() -> None:
    with started(("landlock", "seccomp")) as running:
        report = await running.sandbox.report()
        assert (await _run(running.sandbox, "return 1")).value == 1
    assert report.sufficient
    assert set(report.failed) <= {name for name in report.failed if name.startswith("privileges:")} != set()
    assert all(name in report.message for name in report.failed) and "every attack" not in report.message
    absent = {layer.name for layer in report.layers if not layer.active}
    assert absent - {"cgroup v2"} == {"Landlock", "seccomp"}  # that one is the machine's to give


@pytest.mark.parametrize(
    "without",
    [("bubblewrap", "landlock"), ("bubblewrap", "seccomp"), ("bubblewrap", "landlock", "seccomp", "own-user")],
)
async def test_too_few_layers_run_nothing_unless_told_loudly(without: tuple[str, ...]) -> None:
    call = CodeCall(source="def f(): return 1", function="f")
    with started(without, user=ORDINARY) as running:
        refused = await asyncio.gather(running.sandbox.run(call), return_exceptions=True)
    assert isinstance(refused[0], SandboxUnavailable)
    assert refused[0].message.startswith("custom tools are off")
    assert "O_ALLOW_UNSANDBOXED_TOOLS" in refused[0].message
    with started(without, user=ORDINARY, allow_unsandboxed=True) as running:
        report = await running.sandbox.report()
        assert (await running.sandbox.run(call)).value == 1
    assert not report.sufficient
    assert "WARNING" in report.message


async def test_a_dead_executor_is_said_and_a_new_one_works(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with started(path=path) as running:
        hanging = asyncio.create_task(_run(running.sandbox, "import time\nprint('x')\ntime.sleep(60)"))
        await running.sandbox.report()
        mark = f"31540{os.getpid()}"
        sleeping = asyncio.create_task(_run(running.sandbox, f"import subprocess\nsubprocess.run(['sleep', '{mark}'])"))
        while not _processes(mark):
            await asyncio.sleep(0.02)
        running.process.kill()
        assert [(await each).outcome for each in (hanging, sleeping)] == ["crashed", "crashed"]
        await _none_left(mark)
        with pytest.raises(SandboxUnavailable, match="o executor"):
            await _run(running.sandbox, "return 1")
        with started(path=path) as again:
            assert (await _run(again.sandbox, "return 1")).value == 1
            assert (await _run(running.sandbox, "return 2")).value == 2


_ORDER = """
from pydantic import BaseModel

class Item(BaseModel):
    name: str
    count: int = 1

async def order(items: list[Item], agent_state=None) -> Item:
    agent_state.memory.update_block_value("human", items[0].name)
    return Item(name=items[0].name, count=items[0].count + 1)
"""


async def test_models_awaiting_and_memory(sandbox: SocketSandbox) -> None:
    state = {"id": "agent-1", "name": "a", "blocks": [{"label": "human", "value": "old"}]}
    call = CodeCall(source=_ORDER, function="order", arguments={"items": [{"name": "tea"}]}, agent_state=state)
    result = await sandbox.run(call)
    assert result.error is None
    assert result.value == {"name": "tea", "count": 2}
    assert result.agent_state == {**state, "blocks": [{"label": "human", "value": "tea"}]}


async def test_a_script_has_no_value(sandbox: SocketSandbox) -> None:
    result = await sandbox.run(CodeCall(source="if __name__ == '__main__': print(6 * 7)"))
    assert (result.outcome, result.value, result.stdout) == ("returned", None, "42\n")


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    folder = tmp_path / "libraries"
    (folder / "abc").mkdir(parents=True)
    (folder / "abc" / "pydantic.py").write_text("WHOSE = 'the tool'")
    return folder


async def test_libraries_come_first(libraries: Path) -> None:
    call = CodeCall(source="import pydantic\ndef f(): return pydantic.WHOSE", function="f", libraries="abc")
    with started(libraries=libraries) as running:
        assert (await running.sandbox.run(call)).value == "the tool"
        for name in ("missing", "../libraries", "."):
            with pytest.raises(SandboxUnavailable, match="prepare them again"):
                await running.sandbox.run(call.model_copy(update={"libraries": name}))
