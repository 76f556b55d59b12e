import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from o.embedded.children import Child, Spec, StartFailed, bare_env, keep_previous

# Says that it runs by writing its process id, then waits to be ended.
_SLEEPER = "import os, pathlib, sys, signal; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); signal.pause()"
_STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + _SLEEPER


async def until(found: Callable[[], bool], seconds: float = 10.0) -> None:
    """Poll a process outside, with a deadline."""
    async with asyncio.timeout(seconds):
        while True:
            if found():
                return
            await asyncio.sleep(0.01)


class Parts:
    """Makes children in a folder and stops them at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports: list[str] = []
        self.children: list[Child] = []

    @property
    def pid_file(self) -> Path:
        return self.folder / "pid"

    def pid(self) -> int:
        return int(self.pid_file.read_text() or 0) if self.pid_file.exists() else 0

    def child(self, code: str, **changes: object) -> Child:
        async def ready() -> None:
            await until(lambda: self.pid() != 0)

        fields: dict[str, object] = {"ready": ready, **changes}
        spec = Spec(
            name="part",
            command=[sys.executable, "-c", code, str(self.pid_file)],
            env=bare_env(),
            log=self.folder / "part.log",
            **fields,  # type: ignore[arg-type]
        )
        self.children.append(Child(spec, self.reports.append))
        return self.children[-1]


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    made = Parts(tmp_path)
    yield made
    for child in made.children:
        await child.stop()


async def test_a_killed_child_is_started_again_at_once(parts: Parts) -> None:
    child = parts.child(_SLEEPER)
    await child.start()
    first = child.pid
    assert first is not None
    began = time.monotonic()
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.pid not in (None, first))
    assert time.monotonic() - began < 1
    assert child.restarts == 1
    assert "ended by SIGKILL; starting it again" in parts.reports[0]


async def test_a_child_that_keeps_crashing_is_given_time(parts: Parts) -> None:
    child = parts.child("raise SystemExit(3)", ready=None)
    await child.start()
    await until(lambda: any("again in" in report for report in parts.reports))
    assert child.restarts >= 5
    assert "ended with code 3" in parts.reports[0]


async def test_a_child_that_ends_while_starting_is_told_with_its_log(parts: Parts) -> None:
    child = parts.child("raise SystemExit('the disk is on fire')")
    with pytest.raises(StartFailed, match=r"(?s)part ended with code 1 while starting.*the disk is on fire"):
        await child.start()


async def test_a_child_that_is_never_ready_is_told_and_ended(parts: Parts) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    child = parts.child(_SLEEPER, ready=never, start_timeout=0.3)
    with pytest.raises(StartFailed, match=r"not ready within 0.3 s"):
        await child.start()
    assert child.pid is None


async def test_a_child_that_will_not_stop_is_killed_after_its_grace(parts: Parts) -> None:
    child = parts.child(_STUBBORN, grace=0.2)
    await child.start()
    await child.stop()
    assert not psutil.pid_exists(parts.pid())
    assert "was killed" in parts.reports[-1]


async def test_hurry_does_not_wait_for_the_grace(parts: Parts) -> None:
    child = parts.child(_STUBBORN, grace=60.0)
    await child.start()
    child.hurry()
    async with asyncio.timeout(5):
        await child.stop()
    assert child.restarts == 0


async def test_what_a_child_started_goes_with_it(parts: Parts) -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_SLEEPER!r}, sys.argv[1]])"
    child = parts.child(code)
    await child.start()
    await child.stop()
    await until(lambda: not psutil.pid_exists(parts.pid()))


async def test_children_see_no_secrets_of_ours(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "OPENAI_API_KEY" not in bare_env()


async def test_a_lazy_child_is_started_when_it_is_wanted(parts: Parts) -> None:
    wanted = asyncio.Event()

    async def before() -> None:
        await wanted.wait()

    child = parts.child(_SLEEPER, lazy=True, before=before)
    await child.start()
    assert child.pid is None
    wanted.set()
    await until(lambda: child.pid is not None and parts.pid() == child.pid)


_SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from o.embedded.children import Child, Spec, bare_env
spec = Spec("part", [sys.executable, "-c", sys.argv[2], sys.argv[1]], bare_env(), Path(sys.argv[1] + ".log"))
async def main():
    await Child(spec, print).start()
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent died")
async def test_no_child_outlives_a_killed_supervisor(parts: Parts) -> None:
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", _SUPERVISOR, str(parts.pid_file), _STUBBORN)
    await until(lambda: parts.pid() != 0)
    assert psutil.pid_exists(parts.pid())
    supervisor.kill()
    await supervisor.wait()
    await until(lambda: not psutil.pid_exists(parts.pid()))


def test_the_log_of_the_last_start_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    for text in ("one", "two", "three"):
        keep_previous(log)
        log.write_text(text)
    assert log.read_text() == "three"
    assert (tmp_path / "api.log.1").read_text() == "two"
