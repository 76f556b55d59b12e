"""Attacks the sandbox when the executor starts: code is run only where they fail."""

import asyncio
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from o.sandbox import attacks
from o.sandbox.base import MIB, CodeCall, CodeResult, Language, Layer, Limits, SandboxReport, SandboxUnavailable
from o.sandbox.calls import Calls
from o.sandbox.launch import NEEDS_LINUX, Launcher

_PROCESSES = 32
# Seconds. What is found holds until the executor ends, so a machine that is merely busy must have time enough.
_DEADLINE = 60.0
_WAYS_OUT = (
    "Install bubblewrap or allow it user namespaces, or use a kernel with Landlock (5.13 or newer). "
    "O_ALLOW_UNSANDBOXED_TOOLS=1 runs code all the same, with everything this machine's user can reach."
)


@dataclass(frozen=True)
class _Targets:
    """What the attacks aim at: real files and sockets of this process, all with a fresh secret."""

    arguments: dict[str, object]
    datagrams: socket.socket


class SelfTest:
    """Runs once; everybody else waits for what it found.

    Args:
        anyway: what it finds does not keep code from being run.
        deadline: seconds until an attack that has no end is itself a finding.
    """

    def __init__(
        self, launcher: Launcher, calls: Calls, limits: Limits, *, anyway: bool, deadline: float = _DEADLINE
    ) -> None:
        self._launcher = launcher
        self._calls = calls
        self._limits = limits.model_copy(update={"wall": 20.0, "processes": _PROCESSES, "memory": 128 * MIB})
        self._anyway = anyway
        self._deadline = deadline
        self._report: asyncio.Future[SandboxReport] = asyncio.get_running_loop().create_future()

    @property
    def _most_processes(self) -> int:
        """Those a fork bomb may reach. Where children share a user, the kernel counts all of that user's processes, and
        every one of them that ends meanwhile makes room for another."""
        alone = self._launcher.own_users or self._launcher.bubblewrap is not None
        return _PROCESSES if alone else 8 * _PROCESSES

    @property
    def usable(self) -> bool:
        """Whether it is over and code may be run."""
        return self._report.done() and (self._report.result().sufficient or self._anyway)

    async def report(self) -> SandboxReport:
        """What it found, as soon as it is over."""
        return await asyncio.shield(self._report)

    async def require(self) -> None:
        """Raises SandboxUnavailable, with what to do, unless code may be run."""
        report = await self.report()
        if not self.usable:
            raise SandboxUnavailable(report.message)

    async def run(self) -> SandboxReport:
        """Attack; keep and return the report."""
        try:
            async with asyncio.timeout(self._deadline):
                failed = await self._failed()
        except TimeoutError:
            failed = [f"the self-test did not end within {self._deadline:g} s: start the executor again"]
        except SandboxUnavailable as error:
            failed = [f"nothing can be run: {error.message}"]
        except Exception as error:  # who waits for the report must get one, and a broken test proves nothing
            failed = [f"the self-test itself failed ({type(error).__name__}: {error})"]
        report = SandboxReport(
            sufficient=not _grave(failed),
            layers=tuple(self._layers()),
            failed=tuple(failed),
            languages=await self._languages(failed),
            message=self._message(failed),
        )
        self._report.set_result(report)
        return report

    async def _failed(self) -> list[str]:
        if sys.platform != "linux":
            return [NEEDS_LINUX]
        with _targets() as targets:
            reach = await self._attack(attacks.REACH, targets.arguments)
            failed = list(reach.value) if isinstance(reach.value, list) else [f"the self-test failed: {reach.error}"]
            if _arrived(targets.datagrams):
                failed.append("network: UDP")
        forks = await self._attack(attacks.FORKS, {})
        if not isinstance(forks.value, int) or forks.value > self._most_processes:
            failed.append("processes: a fork bomb")
        memory = await self._attack(attacks.MEMORY, {})
        if memory.outcome not in ("raised", "memory"):
            failed.append("memory: no limit")
        return failed

    async def _languages(self, failed: list[str]) -> tuple[Language, ...]:
        if sys.platform != "linux" or (_grave(failed) and not self._anyway):
            return ()
        try:
            async with asyncio.timeout(self._deadline):
                return await self._calls.languages()
        except TimeoutError:
            return ("python",)

    async def _attack(self, source: str, arguments: dict[str, object]) -> CodeResult:
        return await self._calls.run(
            CodeCall(source=source, function="attack", arguments=arguments, limits=self._limits)
        )

    def _layers(self) -> Iterator[Layer]:
        launcher, machine = self._launcher, self._launcher.machine
        namespaces = launcher.bubblewrap
        yield Layer(
            name="namespaces",
            active=namespaces is not None,
            note=f"by {namespaces.program}" if namespaces else f"bubblewrap: {launcher.bubblewrap_note}",
        )
        note = f"version {machine.landlock}" if machine.landlock else "the kernel has none, or it was left out"
        yield Layer(name="Landlock", active=machine.landlock > 0, note=note)
        yield Layer(name="seccomp", active=machine.seccomp, note="" if machine.seccomp else "no filter here")
        own = launcher.own_users
        blocked = f"{launcher.unreachable} is closed to other users" if launcher.machine.users else "needs root"
        yield Layer(name="a user for each call", active=own, note="" if own else blocked)
        linux = sys.platform == "linux"
        groups = launcher.groups
        note = f"in {groups.path}" if groups else launcher.groups_note
        yield Layer(name="cgroup v2", active=groups is not None, note=note)
        yield Layer(name="limits", active=linux, note="rlimits, and a watch on the memory of all processes together")
        capped = namespaces is not None and namespaces.capped
        folder = "a tmpfs capped in bytes and files" if capped else "watched: a fast writer may pass its limit shortly"
        yield Layer(name="private folder", active=linux, note=folder)

    def _message(self, failed: list[str]) -> str:
        if not failed:
            return "the sandbox holds: every attack of the self-test failed"
        found = "; ".join(failed)
        if not _grave(failed):
            return f"the sandbox holds, but more of the kernel is within reach than a tool needs ({found})"
        if sys.platform != "linux":
            return f"custom tools are off: {found}"
        if self._anyway:
            return f"WARNING: tools run WITHOUT sufficient isolation (O_ALLOW_UNSANDBOXED_TOOLS): {found}"
        return f"custom tools are off: this machine does not isolate them ({found}). {_WAYS_OUT}"


def _grave(failed: list[str]) -> list[str]:
    return [name for name in failed if not name.startswith(attacks.LESSER)]


@contextmanager
def _targets() -> Iterator[_Targets]:
    secret = secrets.token_hex(16)
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="o-selftest-")))
        folder.chmod(0o711)
        canary = folder / "canary"
        canary.write_text(secret)
        canary.chmod(0o644)

        def listening(family: socket.AddressFamily, kind: socket.SocketKind, address: object) -> socket.socket:
            made = held.enter_context(socket.socket(family, kind))
            made.bind(address)  # type: ignore[arg-type]  # the address is of the family
            made.setblocking(False)
            if kind is socket.SOCK_STREAM:
                made.listen()
            return made

        tcp = listening(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        udp = listening(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        abstract = f"\0o-selftest-{secret}"
        listening(socket.AF_UNIX, socket.SOCK_STREAM, abstract)
        path = str(folder / "socket")
        listening(socket.AF_UNIX, socket.SOCK_STREAM, path)
        Path(path).chmod(0o666)
        os.environ["O_SANDBOX_CANARY"] = secret
        held.callback(os.environ.pop, "O_SANDBOX_CANARY", None)
        yield _Targets(
            {
                "canary": str(canary),
                "secret": secret,
                "port": tcp.getsockname()[1],
                "datagrams": udp.getsockname()[1],
                "abstract": abstract,
                "path_socket": path,
                "parent": os.getpid(),
            },
            udp,
        )


def _arrived(datagrams: socket.socket) -> bool:
    try:
        datagrams.recv(16)
    except BlockingIOError:
        return False
    return True
