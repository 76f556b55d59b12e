"""A machine with secrets and servers on it, and an executor in its middle: what the attack suite attacks.

Everything is laid out so that nothing but the sandbox protects it: files and sockets belong to the executor's user, or
are open to all.
"""

import asyncio
import json
import os
import secrets
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from o.sandbox import machine, tree
from o.sandbox.base import MIB, CodeCall, CodeResult, Egress, Limits, SandboxReport
from o.sandbox.client import SocketSandbox
from tests.support.attack_targets import PRELUDE, Servers
from tests.support.sandbox import Running, started

LIMITS = Limits(wall=20, cpu=10, memory=128 * MIB, processes=24, open_files=64, disk=16 * MIB, output=16_384)
ENVIRONMENT = {"TOOL_VARIABLE": "the tool's own"}
# An ordinary user of this test process alone: what belongs to it is the work of this suite.
ORDINARY = 1_898_000_000 + os.getpid()
PYTHON = machine.interpreter()
_FIRST_USER, _USERS_EACH = 1_900_000_000, 1024
_SOON = 2.0  # seconds in which everything of a call must be gone


@dataclass(frozen=True)
class Combination:
    """Layers that are left out, and whether the executor is an ordinary user."""

    without: tuple[str, ...] = ()
    ordinary: bool = False

    @property
    def namespaces(self) -> bool:
        return "bubblewrap" not in self.without

    @property
    def crowded(self) -> bool:
        """Whether all calls have one user, whose processes count for each of them."""
        return self.ordinary and not self.namespaces


COMBINATIONS = {
    "all layers, root": Combination(),
    "all layers, ordinary user": Combination(ordinary=True),
    "no namespaces, root": Combination(("bubblewrap",)),
    "no namespaces, ordinary user": Combination(("bubblewrap",), ordinary=True),
    "no Landlock, ordinary user": Combination(("landlock",), ordinary=True),
}


@dataclass(frozen=True, repr=False)
class Arena:
    """The machine, and the executor that guards it.

    Attributes:
        folder: the server's files, with `secret` in every one.
        libraries: folder of prepared requirements; `shared` is one.
        scratch: where the executor makes its temporary folders.
    """

    combination: Combination
    running: Running
    report: SandboxReport
    folder: Path
    libraries: Path
    scratch: Path
    secret: str
    servers: Servers
    files: dict[str, tuple[int, int, bytes]]
    mounts: int
    resting: int

    @property
    def sandbox(self) -> SocketSandbox:
        return self.running.sandbox

    async def run(
        self,
        source: str,
        *,
        limits: Limits = LIMITS,
        libraries: str | None = None,
        egress: Egress | None = None,
        sandbox: SocketSandbox | None = None,
        **arguments: Any,
    ) -> CodeResult:
        """Call the function `attack` of the source, which the prelude comes before; in another sandbox if given."""
        call = CodeCall(
            source=PRELUDE + source,
            function="attack",
            arguments=arguments,
            environment=ENVIRONMENT,
            limits=limits,
            libraries=libraries,
            egress=egress,
        )
        return await (sandbox or self.sandbox).run(call)

    async def speak(self, program: str, source: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Start a Python program, hand it the attack in one line, and read its answer of one line."""
        command = (PYTHON, "-I", "-S", "-c", program)
        process = await self.sandbox.start(command, ENVIRONMENT, egress=None, limits=LIMITS)
        try:
            await process.write(json.dumps({"source": PRELUDE + source, "arguments": arguments}).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                more = await process.read()
                assert more, answer
                answer += more
        finally:
            await process.close()
        assert self.secret.encode() not in answer
        return dict(json.loads(answer))

    async def assault(self, source: str, *, limits: Limits = LIMITS, **arguments: Any) -> dict[str, str]:
        """Run an attack that returns `verdict()`, see that nothing won or was harmed; returns what stopped each."""
        result = await self.run(source, limits=limits, **arguments)
        assert result.outcome == "returned", (result.error, result.stderr)
        assert result.value["won"] == [], result.value["won"]
        await self.unharmed(result)
        refused: dict[str, str] = result.value["refused"]
        assert refused
        return refused

    async def unharmed(self, *results: CodeResult) -> None:
        """See that nothing leaked, broke or stayed, and that the next call works."""
        for result in results:
            assert self.secret not in result.model_dump_json()
        await self.nothing_left()
        assert self.servers.heard() == []
        assert contents(self.folder) == self.files
        assert self.running.process.poll() is None
        assert _mounts(self.running.process.pid) == self.mounts
        again = await self.run("def attack(): return 6 * 7")
        assert (again.outcome, again.value) == ("returned", 42)

    def limits(self, **more: float) -> Limits:
        """Limits that differ in some; with room for the processes of other calls, where those count."""
        crowd = {"processes": 400} if self.combination.crowded else {}
        return LIMITS.model_copy(update={**crowd, **more})

    def egress_socket(self, name: str) -> Path:
        """Where a proxy may listen for this executor: a folder that is closed to all but its user."""
        folder = self.scratch.parent / f"egress-{name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.combination.ordinary and os.geteuid() == 0:
            os.chown(folder, ORDINARY, ORDINARY)
        return folder / "s"

    async def nothing_left(self) -> None:
        """Wait, not long, until only what idles in the pool is there."""
        deadline = time.monotonic() + _SOON
        while (left := self._left()) != "":
            assert time.monotonic() < deadline, left
            await asyncio.sleep(0.02)

    def processes(self) -> set[int]:
        """All processes under the executor or of its users, itself left out."""
        executor = self.running.process.pid
        return (set(tree.descendants(executor)) | _of_users(executor, self.combination)) - {executor}

    def _left(self) -> str:
        processes = self.processes()
        if len(processes) > self.resting:
            return f"processes: {sorted(map(_command, processes))}"
        folders = [path for path in self.scratch.glob("o-sandbox-*/*") if path.is_dir()]
        if len(folders) > (0 if self.combination.namespaces else 1):
            return f"folders: {folders}"
        return ""


@contextmanager
def arena(combination: Combination) -> Iterator[Arena]:
    """Set one up. Skips the test, with the reason, where this machine lacks what the combination needs."""
    if not combination.ordinary and os.geteuid() != 0:
        pytest.skip("this combination needs root")
    secret = f"canary-{secrets.token_hex(16)}"
    with ExitStack() as held:
        # Not under /tmp, where calls have a folder of their own.
        top = Path(tempfile.mkdtemp(prefix="o-attacks-", dir="/var/tmp"))
        held.callback(subprocess.run, ["rm", "-rf", str(top)], check=True)
        top.chmod(0o711)
        folder, libraries, scratch = top / "server", top / "libraries", top / "scratch"
        _furnish(folder, secret)
        (libraries / "shared").mkdir(parents=True)
        (libraries / "shared" / "shared_tool.py").write_text("VALUE = 'genuine'\n")
        scratch.mkdir()
        servers = Servers(folder, secret, held)
        for path in (top, *top.rglob("*")):
            if combination.ordinary and os.geteuid() == 0:
                os.chown(path, ORDINARY, ORDINARY)
            if path.is_dir() and path.name != ".ssh":
                path.chmod(0o755)
        running = held.enter_context(_started(combination, secret, libraries, scratch))
        report = asyncio.run(running.sandbox.report())
        _need(report, combination)
        yield Arena(
            combination=combination,
            running=running,
            report=report,
            folder=folder,
            libraries=libraries,
            scratch=scratch,
            secret=secret,
            servers=servers,
            files=contents(folder),
            mounts=_mounts(running.process.pid),
            resting=_resting(running, combination),
        )


@contextmanager
def _started(combination: Combination, secret: str, libraries: Path, scratch: Path) -> Iterator[Running]:
    user = ORDINARY if combination.ordinary else None if combination.namespaces else 0
    tempfile.gettempdir()  # settled before the variable, which is the executor's alone
    with ExitStack() as held:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("O_DATABASE_URL", f"postgresql://o:{secret}@localhost/o")
            patch.setenv("TMPDIR", str(scratch))
            running = held.enter_context(
                started(combination.without, limits=LIMITS, pool=1, libraries=libraries, user=user)
            )
        yield running


def contents(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Of every file and folder: its mode, its number of names, and what is in it."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        about = path.lstat()
        data = path.read_bytes() if stat.S_ISREG(about.st_mode) else b""
        found[str(path)] = about.st_mode, about.st_nlink, data
    return found


def _furnish(folder: Path, secret: str) -> None:
    (folder / "home" / ".ssh").mkdir(parents=True, mode=0o700)
    (folder / "home" / ".ssh").chmod(0o700)
    for name, mode in ((".env", 0o644), ("o.toml", 0o666), ("home/.ssh/id_ed25519", 0o600), ("home/.netrc", 0o600)):
        (folder / name).write_text(f"{secret}\n")
        (folder / name).chmod(mode)


def _need(report: SandboxReport, combination: Combination) -> None:
    """Skip where the kernel lacks a layer of the combination; where it has them all, they must be enough."""
    layers = {layer.name: layer for layer in report.layers}
    wanted = {"namespaces": "bubblewrap", "Landlock": "landlock", "seccomp": "seccomp"}
    for name, option in wanted.items():
        if option not in combination.without and not layers[name].active:
            pytest.skip(f"this machine has no {name}: {layers[name].note}")
    assert report.sufficient, report.message


def _resting(running: Running, combination: Combination) -> int:
    """How many processes there are while nothing runs: those of one waiting child."""
    most = 3 if combination.namespaces else 2
    deadline = time.monotonic() + 20
    while len(tree.descendants(running.process.pid)) - 1 != most:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return most


def _of_users(executor: int, combination: Combination) -> set[int]:
    if os.geteuid() != 0:
        return set()
    first = ORDINARY if combination.ordinary else _FIRST_USER + executor % 65536 * _USERS_EACH
    users = range(first, first + (1 if combination.ordinary else _USERS_EACH))
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The dead that nobody has buried yet hold nothing; those of the executor are found under it.
            dead = (path / "stat").read_bytes().rpartition(b") ")[2].startswith(b"Z")
            if path.stat().st_uid in users and not dead:
                found.add(int(path.name))
    return found


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[-80:]
    return "(gone)"


def _mounts(pid: int) -> int:
    return len(Path(f"/proc/{pid}/mountinfo").read_bytes().splitlines())
