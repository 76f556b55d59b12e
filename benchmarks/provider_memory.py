"""What one SDK costs a process: `python -m benchmarks.provider_memory [VENDOR]` prints one JSON object.

It imports next to nothing of its own, so that what is measured is what the worker's modules and the SDK bring.
"""

import asyncio
import gc
import importlib
import json
import re
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import psutil
import uvloop

if TYPE_CHECKING:
    from benchmarks.provider_vendors import Vendor

# Seconds.
_TICK = 0.005
_IDLE = 0.3
_TOKENS = 200


def _uss() -> float:
    """Memory that belongs to this process alone, in MB."""
    gc.collect()
    return float(psutil.Process().memory_full_info().uss) / 1e6


def _since(started: float) -> float:
    """Milliseconds."""
    return (time.perf_counter() - started) * 1000


def worker() -> dict[str, float]:
    """The worker's own modules."""
    before, started = _uss(), time.perf_counter()
    importlib.import_module("workers.vendors")
    taken = _since(started)
    return {"import_ms": taken, "import_mb": _uss() - before, "whole_mb": _uss()}


class _Ticker:
    """Ticks on the loop; notes how late the latest tick was, in milliseconds."""

    def __init__(self) -> None:
        self.latest = 0.0

    async def __aenter__(self) -> "_Ticker":
        self._task = asyncio.create_task(self._tick())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(_TICK * 2)  # what blocked the loop just now is seen by the tick that comes after it
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _tick(self) -> None:
        while True:
            started = time.perf_counter()
            await asyncio.sleep(_TICK)
            self.latest = max(self.latest, _since(started) - _TICK * 1000)


async def first_request(wires: ModuleType, vendor: "Vendor") -> dict[str, float]:
    """The first request of a process, in its two halves: the import as the adapter does it, then all else.

    That is the client with its certificates, and the connection, to a server on this machine.
    """
    chunks = vendor.text(wires.words(_TOKENS))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", asked, re.IGNORECASE)
        await reader.readexactly(int(length[1]) if length else 0)
        body = b"".join(wires.answer_to(asked.split()[1].decode(), chunks))
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {vendor.media_type}\r\ncontent-length: {len(body)}\r\n"
        writer.write(f"{head}connection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    with tempfile.TemporaryDirectory() as folder:
        if vendor.sdk is None:
            address = str(Path(folder) / "socket")
            server = await asyncio.start_unix_server(serve, address)
        else:
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            provider, request = vendor.provider(address, None), vendor.request(calls=False)
            async with _Ticker() as idle:
                await asyncio.sleep(_IDLE)
            before = _uss()
            async with _Ticker() as importing:
                started = time.perf_counter()
                if vendor.sdk is not None:
                    await asyncio.to_thread(importlib.import_module, vendor.sdk)
                import_ms = _since(started)
            imported = _uss()
            async with _Ticker() as asking:
                started = time.perf_counter()
                async for _ in provider.stream(request):
                    pass
                request_ms = _since(started)
            asked = _uss()
            await provider.close()
    return {
        "import_mb": imported - before,
        "request_mb": asked - imported,
        "import_ms": import_ms,
        "request_ms": request_ms,
        "import_stall_ms": importing.latest,
        "request_stall_ms": asking.latest,
        "idle_stall_ms": idle.latest,
    }


def main() -> None:
    """Measure one thing in this process and print it."""
    figures = worker()
    if sys.argv[1:]:
        wires = importlib.import_module("benchmarks.provider_wires")
        vendors = importlib.import_module("benchmarks.provider_vendors").VENDORS
        vendor = next(each for each in vendors if each.name == sys.argv[1])
        figures = uvloop.run(first_request(wires, vendor))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
