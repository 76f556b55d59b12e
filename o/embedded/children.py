"""Child processes of the supervisor: started so that they cannot outlive it, kept alive, stopped in good order."""

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from o.errors import ProjectError

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: a child between fork and exec must not load libraries.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

# So many crashes within so many seconds, and the next starts wait, longer each time up to the maximum.
_CRASHES, _WINDOW, _LONGEST_WAIT = 5, 10.0, 5.0


class StartFailed(ProjectError):
    """A part did not come up."""

    code = "start_failed"


@dataclass(frozen=True)
class User:
    """A system user whose rights a child runs with."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True)
class Spec:
    """How to run one child.

    Attributes:
        env: its whole environment.
        user: run as this user instead of ours (only root may ask for that).
        before: awaited before every start; the place to clear what a crash left, or to wait until it is wanted.
        ready: awaited after every start until the child does its work; it need not watch for the child's death.
        lazy: `start` does not wait for the first start (whose `before` waits until it is wanted).
        stop_signal, grace: how to ask it to stop, and for how many seconds, before it is killed.
        quick_signal: how to end it when there is no time to stop in order.
        death_signal: what it gets when the supervisor dies (Linux only).
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    user: User | None = None
    pass_fds: Sequence[int] = ()
    before: Callable[[], Awaitable[None]] | None = None
    ready: Callable[[], Awaitable[None]] | None = None
    lazy: bool = False
    start_timeout: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    quick_signal: signal.Signals = signal.SIGKILL
    death_signal: signal.Signals = signal.SIGKILL


def bare_env() -> dict[str, str]:
    """What vendors' servers need of our environment: no key or password is in it."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_RUNTIME_DIR")
    return {name: os.environ[name] for name in kept if name in os.environ}


async def spawn(spec: Spec) -> asyncio.subprocess.Process:
    """Start the child in a session of its own, its output appended to its log."""
    parent = os.getpid()

    def arrange_death() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(spec.death_signal), 0, 0, 0)
            if os.getppid() != parent:  # the supervisor died before the line above
                os._exit(1)

    with spec.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(spec.env),
            pass_fds=tuple(spec.pass_fds),
            start_new_session=True,
            preexec_fn=arrange_death,
            cwd="/",
            user=spec.user.uid if spec.user else None,
            group=spec.user.gid if spec.user else None,
            extra_groups=[] if spec.user else None,
        )


@dataclass
class Child:
    """Keeps one process of a spec running until told to stop.

    Attributes:
        spec: what to run.
        report: told, in a sentence, of every crash and restart.
    """

    spec: Spec
    report: Callable[[str], None]
    restarts: int = 0
    _process: asyncio.subprocess.Process | None = None
    _keeper: asyncio.Task[None] | None = None
    _stopping: bool = False
    _crashes: deque[float] = field(default_factory=lambda: deque(maxlen=_CRASHES))
    _wait: float = 0.0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start it, wait until it is ready, and keep it from then on.

        Raises:
            StartFailed: it ended, or was not ready in time; the message has the end of its log.
        """
        if not self.spec.lazy:
            await self._launch()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.spec.name}")

    async def stop(self) -> None:
        """Ask it to stop, wait for its grace, then kill what is left of its group. Never raises for a dead child."""
        self._stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._end(self.spec.stop_signal, self.spec.grace)

    def hurry(self) -> None:
        """End it now; `stop`, which waits for it, returns soon after."""
        self._stopping = True
        self._signal(self.spec.quick_signal)

    async def _launch(self) -> None:
        if self.spec.before is not None:
            await self.spec.before()
        self._process = process = await spawn(self.spec)
        if self.spec.ready is None:
            return
        ended = asyncio.create_task(process.wait())
        ready = asyncio.ensure_future(self.spec.ready())
        try:
            async with asyncio.timeout(self.spec.start_timeout):
                await asyncio.wait({ended, ready}, return_when=asyncio.FIRST_COMPLETED)
                if ended.done() and not ready.done():
                    raise StartFailed(f"{self.spec.name} {_ending(process)} while starting{self._tail()}")
                await ready
        except TimeoutError:
            await self._end(signal.SIGKILL, 1)
            raise StartFailed(
                f"{self.spec.name} was not ready within {self.spec.start_timeout:g} s{self._tail()}"
            ) from None
        finally:
            for task in (ended, ready):
                task.cancel()
            await asyncio.gather(ended, ready, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            if self._process is not None:
                await self._process.wait()
                self._clear_group()
                if self._stopping:
                    return
                self._note_crash(f"{self.spec.name} {_ending(self._process)}")
                await asyncio.sleep(self._wait)
            try:
                await self._launch()
            except (ProjectError, OSError) as error:
                # Whatever hinders it now, the same place is tried again: a part that is down must come back by itself.
                await self._end(signal.SIGKILL, 1)
                self._process = None
                self._note_crash(f"{self.spec.name} did not start again: {str(error).splitlines()[0]}")
                await asyncio.sleep(max(self._wait, 0.5))

    def _note_crash(self, what: str) -> None:
        now = time.monotonic()
        if len(self._crashes) == _CRASHES and now - self._crashes[0] < _WINDOW + self._wait * _CRASHES:
            self._wait = min(max(2 * self._wait, 0.25), _LONGEST_WAIT)
        else:
            self._wait = 0.0
        self._crashes.append(now)
        self.restarts += 1
        again = f"again in {self._wait:g} s" if self._wait else "starting it again"
        self.report(f"{what}; {again} (log: {self.spec.log})")

    async def _end(self, how: signal.Signals, grace: float) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            self._signal(how)
            try:
                async with asyncio.timeout(grace):
                    await process.wait()
            except TimeoutError:
                self.report(f"{self.spec.name} did not stop within {grace:g} s and was killed")
                self._signal(signal.SIGKILL)
                await process.wait()
        self._clear_group()

    def _signal(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(how)

    def _clear_group(self) -> None:
        """Kill what the child left behind in its process group."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _tail(self) -> str:
        """The last lines of its log, for a message."""
        lines = self.spec.log.read_text(errors="replace").splitlines()[-3:]
        return "".join(f"\n  {line[:300]}" for line in lines) + f"\n  (log: {self.spec.log})"


def _ending(process: asyncio.subprocess.Process) -> str:
    code = process.returncode
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"


def keep_previous(log: Path) -> None:
    """Begin a new log, keeping the one of the last start as `<name>.1`."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    log.touch(mode=0o600)
