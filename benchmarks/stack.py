"""A whole platform for a benchmark or a demo: `o up` in a temporary folder, on free ports, gone afterwards."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from types import TracebackType
from typing import Self

import httpx
import psutil

from o.embedded.layout import Layout
from o.embedded.ports import free

# Seconds until a start counts as failed, and until a stop is forced.
_START, _STOP = 90.0, 30.0
_POLL = 0.02

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR")


class StackFailed(Exception):
    """`o up` did not come up; the message has the end of what it printed."""


class Stack:
    """One `o up`. As a context manager it stops at the end and removes its folder; `start` may come again after `stop`.

    Attributes:
        data_dir: the data folder; what `o up` prints goes to a file beside it.
    """

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="o-bench-"))
        self._home.chmod(0o711)  # the embedded Postgres may run as another user, who must pass through
        self.data_dir = self._home / "data"
        self._log = self._home / "up.log"
        self._port, self._temporal_port, self._ui_port = free(), free(), free()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            rmtree(self._home, ignore_errors=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def temporal_address(self) -> str:
        return f"127.0.0.1:{self._temporal_port}"

    @property
    def ui_url(self) -> str:
        return f"http://127.0.0.1:{self._ui_port}"

    @property
    def database_url(self) -> str:
        return Layout.of(self.data_dir).database_url

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        assert self._process is not None  # started
        return self._process.pid

    def start(self, workers: int = 1, **env: str) -> None:
        """Start everything and return when the API is healthy.

        Args:
            workers: worker processes, ≥ 0.
            env: further variables of `o up`; of the caller's own only the standard ones are passed on.

        Raises:
            StackFailed: it ended or was not healthy in time.
        """
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        ports = {"--port": self._port, "--temporal-port": self._temporal_port, "--ui-port": self._ui_port}
        options = [part for name, port in ports.items() for part in (name, str(port))]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "o.cli.app", "up", *options, "--workers", str(workers)],
                env={**kept, "O_DATA_DIR": str(self.data_dir), **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a person's Ctrl-C is for us; we stop the stack in order
                cwd=Path(__file__).parents[1],
            )
        deadline = time.monotonic() + _START
        while not self._healthy():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise StackFailed(f"o up did not start:\n{self._log.read_text(errors='replace')[-1500:]}")
            time.sleep(_POLL)

    def stop(self) -> None:
        """Stop everything in order; kill what does not stop, or at once on Ctrl-C. Does nothing when nothing runs."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP)
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as error:
            children = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            process.wait()
            if isinstance(error, KeyboardInterrupt):
                raise

    def pids(self) -> dict[str, int]:
        """The direct children of the supervisor by name: postgres, temporal, api, local-model, worker-1, worker-2, …"""
        found: dict[str, int] = {}
        workers = 0
        for child in sorted(psutil.Process(self.pid).children(), key=psutil.Process.create_time):
            name = _name(child)
            if name == "worker":
                workers += 1
                name = f"worker-{workers}"
            if name is not None:
                found[name] = child.pid
        return found

    def worker_pids(self) -> list[int]:
        """The worker processes that run now, oldest first."""
        return [pid for name, pid in self.pids().items() if name.startswith("worker-")]

    def kill_worker(self, pid: int | None = None) -> int:
        """kill -9 a worker (the oldest, if none is named); returns its process id. The supervisor starts another.

        Raises:
            LookupError: no worker runs.
        """
        running = self.worker_pids()
        if not running:
            raise LookupError("no worker runs")
        chosen = running[0] if pid is None else pid
        os.kill(chosen, signal.SIGKILL)
        return chosen

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.base_url}/v1/health/", timeout=5).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


def _name(process: psutil.Process) -> str | None:
    try:
        command = process.cmdline()
    except psutil.Error:  # it has just ended
        return None
    for words, name in (
        (("-m", "workers"), "worker"),
        (("o.cli.app", "server"), "api"),
        (("o.embedded.local_model",), "local-model"),
        (("start-dev",), "temporal"),
    ):
        if set(words) <= set(command):
            return name
    return "postgres" if command and Path(command[0]).name.startswith("postgres") else None
