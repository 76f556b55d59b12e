"""The embedded PostgreSQL: made once, run in the foreground as a supervised child, reached over a unix socket only."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
from psycopg.rows import tuple_row

from o.embedded.children import Spec, StartFailed, User, bare_env
from o.embedded.layout import Layout
from o.embedded.postgres_install import installed, reachable_install, require_passage, system_user

# For one machine that does other things too. synchronous_commit stays on: what O has answered must survive.
_TUNING = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "max_wal_size": "1GB",
    "jit": "off",
    "logging_collector": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "log_checkpoints": "off",
    "cluster_name": "o",
}
_DATABASE = "o"
_MAJOR = "18"
_POLL = 0.02


class EmbeddedPostgres:
    """One cluster under a data folder. `prepare` makes it, `spec` says how to run it, `database` makes the database."""

    def __init__(self, layout: Layout, *, package: Path | None = None) -> None:
        """Use the programs of `package`, a folder with bin, lib and share; the installed wheel's if None."""
        self._layout = layout
        self._pgdata = layout.postgres / _MAJOR
        self._user: User | None = system_user()
        for folder in (layout.postgres, layout.postgres_socket_dir):
            require_passage(folder, self._user)
        self._bin = reachable_install(package or installed(), layout.data_dir, self._user) / "bin"

    def prepare(self) -> None:
        """Make folders and cluster where they are missing. Blocks: about two seconds the first time.

        Raises:
            StartFailed: initdb failed.
        """
        for folder in (self._pgdata.parent, self._layout.postgres_socket_dir):
            folder.mkdir(mode=0o700, exist_ok=True)
            if self._user is not None:
                os.chown(folder, self._user.uid, self._user.gid)
            folder.chmod(0o700)
        if self._pgdata.exists():
            return
        # Made beside its place and moved there: a cluster is there whole or not at all, whatever ends us in between.
        draft = self._pgdata.with_name("new")
        shutil.rmtree(draft, ignore_errors=True)
        made = subprocess.run(
            [
                *(self._bin / "initdb", "--pgdata", draft, "--username=postgres", "--auth-local=trust"),
                *("--auth-host=reject", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *("--locale=C", "--no-instructions"),
            ],
            env=bare_env(),
            cwd="/",
            capture_output=True,
            text=True,
            user=self._user.uid if self._user else None,
            group=self._user.gid if self._user else None,
            extra_groups=[] if self._user else None,
        )
        if made.returncode != 0:
            raise StartFailed(f"initdb failed: {made.stderr.strip()[-600:]}")
        draft.rename(self._pgdata)

    def spec(self) -> Spec:
        """How the supervisor runs the server."""
        settings = {**_TUNING, "unix_socket_directories": str(self._layout.postgres_socket_dir)}
        return Spec(
            name="postgres",
            command=[
                str(self._bin / "postgres"),
                "-D",
                str(self._pgdata),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ],
            env=bare_env(),
            log=self._layout.logs / "postgres.log",
            user=self._user,
            before=self._clear,
            ready=self._ready,
            stop_signal=signal.SIGINT,  # "fast": roll back, write a checkpoint, go
            quick_signal=signal.SIGQUIT,
            death_signal=signal.SIGINT,
        )

    async def database(self) -> None:
        """Make the database `o` if it is not there yet."""
        socket_dir = str(self._layout.postgres_socket_dir)
        async with await psycopg.AsyncConnection.connect(
            host=socket_dir, user="postgres", dbname="postgres", autocommit=True, row_factory=tuple_row
        ) as connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_DATABASE])
            if await found.fetchone() is None:
                await connection.execute(f"CREATE DATABASE {_DATABASE}")

    async def _clear(self) -> None:
        """End what an earlier postmaster left: the data-folder lock is ours, so no other may use this cluster."""
        left = list(self._processes())
        for process, how in ((p, signal.SIGINT if p.pid == self._postmaster() else signal.SIGTERM) for p in left):
            _send(process, how)
        alive = await _gone(left, 5.0)
        for process in alive:
            _send(process, signal.SIGKILL)
        await _gone(alive, 5.0)
        # With nobody left on the cluster a pid file can only name a stranger that got the old number since; the server
        # would take that one for its predecessor and refuse to start.
        (self._pgdata / "postmaster.pid").unlink(missing_ok=True)

    def _processes(self) -> Iterator[psutil.Process]:
        home = str(self._pgdata)
        for process in psutil.process_iter(["name"]):
            try:
                if process.info["name"] == "postgres" and process.cwd() == home:
                    yield process
            except psutil.Error:  # gone, or another user's
                continue

    def _postmaster(self) -> int | None:
        """The process id in the server's pid file."""
        try:
            return int((self._pgdata / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None

    async def _ready(self) -> None:
        # The server writes its state into line 8 of its pid file; there is no other signal without a connection.
        while True:
            try:
                lines = (self._pgdata / "postmaster.pid").read_text().splitlines()
            except FileNotFoundError:
                lines = []
            if len(lines) > 7 and lines[7].strip() == "ready":
                return
            await asyncio.sleep(_POLL)


async def _gone(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until these have ended; return those that have not in time.

    They are nobody's children any more: nothing signals their end, and one that nobody collects (a container's first
    process may not) stays in the list of processes as a zombie.
    """
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if _lives(process)]:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(_POLL)
    return alive


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _send(process: psutil.Process, how: signal.Signals) -> None:
    try:
        process.send_signal(how)
    except psutil.NoSuchProcess:
        return
