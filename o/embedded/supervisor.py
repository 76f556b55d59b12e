"""`o up`: starts every part in order, restarts what crashes, stops everything in order."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from o.embedded import executor, ports, schema_mark
from o.embedded.children import Child, Spec, StartFailed, bare_env, keep_previous, spawn
from o.embedded.layout import Layout
from o.embedded.lock import DataLock
from o.embedded.on_demand import first_connection, listen_unix
from o.embedded.postgres import EmbeddedPostgres
from o.embedded.temporal import EmbeddedTemporal
from o.errors import ProjectError
from o.keyring import Keyring
from o.settings import Settings, without_password

_PYTHON = sys.executable
_O = (_PYTHON, "-m", "o.cli.app")


class KeyNeeded(ProjectError):
    """An address that others can reach needs an API key first."""

    code = "key_needed"


@dataclass(frozen=True)
class Running:
    """Where the parts can be reached."""

    api: str
    ui: str | None
    temporal: str
    database: str
    data_dir: Path


class Supervisor:
    """Runs the platform on one machine until a signal.

    Args:
        settings: with flags applied.
        report: told of crashes, restarts and other things a person should know, a sentence each.
        progress: told what is being started.
    """

    def __init__(self, settings: Settings, *, report: Callable[[str], None], progress: Callable[[str], None]) -> None:
        self._settings = settings
        self._layout = Layout.of(settings.data_dir)
        self._report = report
        self._progress = progress
        self._model_socket = self._layout.model_socket(settings.local_model_socket)
        self._sandbox_socket = self._layout.sandbox_socket(settings.sandbox_socket)
        self._database_url = settings.database_url or self._layout.database_url
        self._stages: list[list[Child]] = []
        self._stop = asyncio.Event()

    async def run(self, ready: Callable[[Running], Awaitable[None]]) -> None:
        """Start everything, call `ready`, and stop everything when SIGINT or SIGTERM comes; a second one hurries.

        Raises:
            ProjectError: a part did not start, the data folder is in use, a port is taken; nothing is left running.
        """
        self._layout.make()
        with ExitStack() as held:
            held.callback(os.umask, os.umask(0o077))  # databases and logs of the parts are for this user alone
            lock = DataLock.acquire(self._layout.lock)
            held.callback(lock.release)
            listener = held.enter_context(self._listen())
            model = _listen_unix(held, self._model_socket, "O_LOCAL_MODEL_SOCKET")
            sandbox = _listen_unix(held, self._sandbox_socket, "O_SANDBOX_SOCKET")
            self._watch_signals(held)
            running = self._running(listener)
            lock.note(api=running.api, temporal=running.temporal, database=running.database)
            try:
                if await self._unless_stopped(self._start(listener, model, sandbox)):
                    await self._unless_stopped(ready(running))
                    await self._stop.wait()
            finally:
                for stage in reversed(self._stages):
                    await asyncio.gather(*(child.stop() for child in stage))

    def _listen(self) -> socket.socket:
        settings = self._settings
        if settings.temporal_address is None:
            ports.check("127.0.0.1", settings.temporal_port, "--temporal-port", "O_TEMPORAL_PORT")
            ports.check("127.0.0.1", settings.ui_port, "--ui-port", "O_UI_PORT")
        # Held by the supervisor and handed down: while the API restarts, connections wait instead of being refused.
        return ports.listen(settings.host, settings.port, "--port", "O_PORT")

    def _running(self, listener: socket.socket) -> Running:
        host, port = listener.getsockname()[:2]
        return Running(
            api=f"http://{_dialable(host)}:{port}",
            ui=self._settings.ui_url,
            temporal=self._settings.temporal,
            database=without_password(self._database_url),
            data_dir=self._layout.data_dir,
        )

    def _watch_signals(self, held: ExitStack) -> None:
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            if self._stop.is_set():
                for stage in self._stages:
                    for child in stage:
                        child.hurry()
            self._stop.set()

        for which in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(which, on_signal)
            held.callback(loop.remove_signal_handler, which)

    async def _unless_stopped(self, work: Awaitable[None]) -> bool:
        """Await `work`, or drop it when the stop signal comes; tell whether it was finished."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return False
        await task
        return True

    async def _start(self, listener: socket.socket, model: socket.socket | None, sandbox: socket.socket | None) -> None:
        Keyring.load(self._settings.key_file)  # made here, once, before several processes want it
        env = {
            **os.environ,
            **self._settings.environment(),
            "O_DATABASE_URL": self._database_url,
            "TEMPORAL_ADDRESS": self._settings.temporal,
            "O_LOCAL_MODEL_SOCKET": str(self._model_socket),
            "O_SANDBOX_SOCKET": str(self._sandbox_socket),
        }
        await _together(self._start_database(env), self._start_temporal(env))
        if not self._settings.loopback:
            await self._require_key(env)
        self._progress("API and workers")
        served = Spec(
            "api",
            [*_O, "server", "--fd", str(listener.fileno())],
            env,
            self._log("api"),
            pass_fds=[listener.fileno()],
            ready=lambda: _answers(*listener.getsockname()[:2]),
        )
        work = [
            Spec(name, [_PYTHON, "-m", "workers"], env, self._log(name), grace=15.0)
            for name in (f"worker-{number + 1}" for number in range(self._settings.workers))
        ]
        lazy = [] if model is None else [self._local_model(model, env)]
        # Its socket is ours, so calls simply wait while it proves itself.
        await self._stage(*lazy, *([] if sandbox is None else [self._executor(sandbox)]))
        await self._stage(served, *work)

    async def _start_database(self, env: dict[str, str]) -> None:
        if self._settings.database_url is None:
            self._progress("Postgres")
            postgres = EmbeddedPostgres(self._layout)
            await asyncio.to_thread(postgres.prepare)
            self._log("postgres")
            await self._stage(postgres.spec())
            await postgres.database()
            if await schema_mark.is_current(self._database_url):
                return
        self._progress("database schema")
        await run_once(Spec("migrate", [*_O, "migrate"], env, self._log("migrate")))
        if self._settings.database_url is None:
            await schema_mark.mark(self._database_url)

    async def _start_temporal(self, env: dict[str, str]) -> None:
        prepare = Spec("prepare", [_PYTHON, "-m", "o.temporal"], env, self._log("prepare"))
        if self._settings.temporal_address is not None:
            await _prepare(prepare)
            return
        self._progress("Temporal")
        temporal = EmbeddedTemporal(
            self._layout,
            port=self._settings.temporal_port,
            ui_port=self._settings.ui_port,
            namespace=self._settings.temporal_namespace,
        )
        self._log("temporal")
        server = temporal.spec()
        # A worker prepares the engine too; here it is awaited only when the engine knows nothing yet, because that
        # costs a second, and after a crash, when no worker starts.
        fresh = not self._layout.temporal_db.exists()

        async def ready() -> None:
            nonlocal fresh
            if server.ready is not None:
                await server.ready()
            if fresh:
                await _prepare(prepare)
            fresh = True

        await self._stage(replace(server, ready=ready))

    def _local_model(self, listener: socket.socket, env: dict[str, str]) -> Spec:
        gguf = self._settings.local_model
        return Spec(
            "local-model",
            [
                *(_PYTHON, "-m", "o.embedded.local_model", "--fd", str(listener.fileno())),
                *("--context", str(self._settings.local_context)),
                *(("--gguf", str(gguf)) if gguf else ()),
            ],
            env,
            self._log("local-model"),
            pass_fds=[listener.fileno()],
            before=first_connection(listener),
            lazy=True,
            grace=5.0,
        )

    def _executor(self, listener: socket.socket) -> Spec:
        return Spec(
            "executor",
            executor.command(self._settings, ("--fd", str(listener.fileno()))),
            bare_env(),
            self._log("executor"),
            pass_fds=[listener.fileno()],
            grace=5.0,
        )

    async def _stage(self, *specs: Spec) -> None:
        """Start these together; they will be stopped together, before all that was started earlier."""
        children = [Child(spec, self._report) for spec in specs]
        self._stages.append(children)
        await _together(*(child.start() for child in children))

    async def _require_key(self, env: dict[str, str]) -> None:
        process = await asyncio.create_subprocess_exec(
            *(*_O, "keys", "ls", "--json"), env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        printed, _ = await process.communicate()
        if process.returncode != 0 or not any(key["revoked_at"] is None for key in json.loads(printed)):
            raise KeyNeeded(
                f"{self._settings.host} can be reached from other machines and there is no API key yet: "
                "start with --host 127.0.0.1, run `o keys create NAME`, then start with this host again"
            )

    def _log(self, name: str) -> Path:
        log = self._layout.logs / f"{name}.log"
        keep_previous(log)
        return log


def _listen_unix(held: ExitStack, path: Path, variable: str) -> socket.socket | None:
    """Listen there until `held` ends; None if somebody else answers there already."""
    listener = listen_unix(path, variable)
    if listener is not None:
        held.enter_context(listener)
        held.callback(path.unlink, missing_ok=True)
    return listener


async def run_once(spec: Spec) -> None:
    """Run a child to its end.

    Raises:
        StartFailed: it failed or took too long; the message is what it printed.
    """
    process = await spawn(spec)
    try:
        async with asyncio.timeout(spec.start_timeout):
            code = await process.wait()
    except (TimeoutError, asyncio.CancelledError) as error:
        process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise StartFailed(f"{spec.name} did not end within {spec.start_timeout:g} s (log: {spec.log})") from None
        raise
    if code != 0:
        printed = [line for line in spec.log.read_text(errors="replace").splitlines() if line.strip()]
        raise StartFailed(f"{spec.name} failed: {printed[-1][:500] if printed else code}\n(log: {spec.log})")


async def _prepare(spec: Spec) -> None:
    """Prepare the engine. Tried again: the SDK's native threads can abort Python while it shuts down, work done."""
    for _ in range(2):
        try:
            await run_once(spec)
        except StartFailed:
            continue
        return
    await run_once(spec)


async def _together(*work: Coroutine[Any, Any, None]) -> None:
    """Await all; at the first failure cancel the others, wait for them, and raise it."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answers(host: str, port: int) -> None:
    """Wait until the API answers its health route. The socket is ours, so the first request simply waits for it."""
    while True:
        try:
            reader, writer = await asyncio.open_connection(_dialable(host).strip("[]"), port)
            try:
                writer.write(b"GET /v1/health/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if b" 200 " in await reader.readline():
                    return
            finally:
                writer.close()
        except OSError:
            pass  # it died with our connection; its next start is asked again
        await asyncio.sleep(0.05)


def _dialable(host: str) -> str:
    if host in ("0.0.0.0", ""):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{'::1' if host == '::' else host}]" if ":" in host else host
