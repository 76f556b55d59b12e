"""A real executor in a process of its own, and the sandbox that talks to it."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o.sandbox.base import Limits
from o.sandbox.client import SocketSandbox

ROOT = Path(__file__).parents[2]
# An ordinary user, as root may become one for a test; another in each process of tests, whose processes count together.
ORDINARY = 1_890_000_000 + os.getpid()
_OPEN_HOME = Path(__file__).with_name("open_home.py")
_START_TIMEOUT = 20.0


@dataclass(frozen=True)
class Running:
    """An executor.

    Attributes:
        process: which may be killed and started again.
    """

    sandbox: SocketSandbox
    process: "subprocess.Popen[bytes]"
    path: Path
    command: list[str]


@asynccontextmanager
async def executor(without: Sequence[str] = (), **options: Any) -> AsyncIterator[SocketSandbox]:
    """As `started`, for `async with`."""
    with started(without, **options) as running:
        yield running.sandbox


@contextmanager
def started(
    without: Sequence[str] = (),
    *,
    limits: Limits | None = None,
    pool: int = 1,
    allow_unsandboxed: bool = False,
    libraries: Path | None = None,
    user: int | None = None,
    path: Path | None = None,
) -> Iterator[Running]:
    """Start an executor and stop it at the end. It answers at once; what it runs waits for its self-test.

    Args:
        without: layers to leave out: bubblewrap, landlock, seccomp, own-user.
        limits: what the pool's children are started with.
        pool: how many of them wait.
        libraries: folder of prepared requirements.
        user: uid to run as instead of root's; 0 is root where other users can read the interpreter.
        path: its socket; one of its own if None.
    """
    with tempfile.TemporaryDirectory() as folder:
        socket = path or Path(folder) / "sandbox.sock"
        command = [sys.executable, "-m", "o.sandbox.executor", "--socket", str(socket), "--pool", str(pool)]
        command += ["--limits", (limits or Limits()).model_dump_json()]
        for layer in without:
            command += ["--without", layer]
        if libraries is not None:
            command += ["--libraries", str(libraries)]
        if allow_unsandboxed:
            command.append("--allow-unsandboxed")
        if user is not None and os.geteuid() == 0:
            os.chown(folder, user, user)
            command = [sys.executable, str(_OPEN_HOME), str(user), *command]
        socket.unlink(missing_ok=True)  # a killed one left it
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + _START_TIMEOUT
            while not socket.exists():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield Running(SocketSandbox(socket), process, socket, command)
        finally:
            process.terminate()
            process.wait(10)
