"""Real servers for tests: each a process of its own, on free ports, in a folder that goes away."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
from psycopg import sql

from o.embedded.children import Spec
from o.embedded.layout import Layout
from o.embedded.postgres import EmbeddedPostgres
from o.embedded.temporal import EmbeddedTemporal
from o.errors import Unavailable
from o.temporal import connect

ROOT = Path(__file__).parents[2]
_DEADLINE = 30.0


def until(condition: Callable[[], bool], what: str, deadline: float = _DEADLINE) -> None:
    """Poll a fact about the outside world that nothing announces."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {deadline} s")
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A child process that can be killed, stopped and started again with the same command."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        *,
        user: int | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self._command, self._env, self.log, self._user = list(command), dict(env), log, user
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user is not None else None,
                cwd=ROOT if self._user is None else "/",
            )

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """kill -9, the whole group."""
        if self.running:
            self.signal(signal.SIGKILL)
            self.wait()

    def stop(self) -> None:
        """Ask it to stop; kill it after ten seconds."""
        if self._process is None or not self.running:
            return
        self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(15)


def of_spec(spec: Spec) -> Process:
    return Process(
        spec.command, spec.env, spec.log, user=spec.user.uid if spec.user else None, stop_signal=spec.stop_signal
    )


class Postgres:
    """An embedded Postgres."""

    def __init__(self, layout: Layout) -> None:
        self._embedded = EmbeddedPostgres(layout)
        self._embedded.prepare()
        self.process = of_spec(self._embedded.spec())
        self._host = str(layout.postgres_socket_dir)

    def url(self, database: str) -> str:
        return f"postgresql:///{database}?host={self._host}&user=postgres"

    def start(self) -> None:
        self.process.start()
        until(self._answers, "Postgres answering")

    def restart(self) -> None:
        """Start again after a kill: the old processes need a moment to notice, the new one waits for them."""

        def up() -> bool:
            if not self.process.running:
                self.process.start()
            return self._answers()

        until(up, "Postgres answering again")

    def create(self, database: str, template: str | None = None) -> str:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            like = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
            connection.execute(sql.SQL("CREATE DATABASE {}{}").format(sql.Identifier(database), like))
        return self.url(database)

    def drop(self, database: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True


class Temporal:
    """An embedded Temporal server."""

    def __init__(self, layout: Layout) -> None:
        self._embedded = EmbeddedTemporal(layout, port=free_port(), ui_port=free_port(), namespace="default")
        self.process = of_spec(self._embedded.spec())

    @property
    def address(self) -> str:
        return self._embedded.address

    def start(self) -> None:
        """Start it and wait until it takes clients: its port is open a moment before."""
        self.process.start()
        until(self._answers, "Temporal answering")

    def _answers(self) -> bool:
        try:
            asyncio.run(connect(self.address, "default"))
        except Unavailable:
            return False
        return True


def environment(data_dir: Path, database_url: str, temporal: str, **more: str) -> dict[str, str]:
    """The variables of an api or worker process."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_START") if name in os.environ}
    return {
        **kept,
        "O_DATA_DIR": str(data_dir),
        "O_DATABASE_URL": database_url,
        "TEMPORAL_ADDRESS": temporal,
        "O_DEFAULT_MODEL": "scripted/echo",
        "O_SCRIPTED_JOURNAL": str(data_dir / "journal"),
        **more,
    }


class Platform:
    """Api and worker processes over a database and an engine; each can be killed and started again."""

    def __init__(
        self, data_dir: Path, env: Mapping[str, str], *, worker: Sequence[str] = ("-m", "workers"), workers: int = 1
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {**env, "O_PORT": str(self.port)}
        self.data_dir = data_dir
        self.journal = Path(self.env["O_SCRIPTED_JOURNAL"])
        self._worker = worker
        self.api = Process([sys.executable, "-m", "o.cli.app", "server"], self.env, data_dir / "api.log")
        self.workers = [self.new_worker(str(number)) for number in range(workers)]

    def new_worker(self, name: str, *arguments: str) -> Process:
        return Process([sys.executable, *self._worker, *arguments], self.env, self.data_dir / f"worker-{name}.log")

    def start(self) -> None:
        self.start_api()
        for worker in self.workers:
            worker.start()

    def start_api(self) -> None:
        self.api.start()
        until(self.healthy, "the API being healthy")

    def healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/v1/health/", timeout=1).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        for process in (self.api, *self.workers):
            if process.running:
                process.signal(signal.SIGCONT)
            process.stop()

    def requests(self) -> int:
        """How many requests the scripted model has had, over all processes and kills."""
        return len(self.journal.read_text().splitlines()) if self.journal.exists() else 0


@contextmanager
def folder() -> Iterator[Layout]:
    """A data folder that an unprivileged Postgres may reach, removed at the end."""
    import shutil
    import tempfile

    path = Path(tempfile.mkdtemp(prefix="o-test-"))
    layout = Layout.of(path)
    try:
        path.chmod(0o711)
        layout.make()
        yield layout
    finally:
        shutil.rmtree(path)
