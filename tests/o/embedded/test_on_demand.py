import asyncio
import os
import signal
import socket
import stat
import sys
from pathlib import Path

import pytest

from o.embedded.children import Child, Spec, bare_env
from o.embedded.layout import DataDirUnusable
from o.embedded.on_demand import first_connection, listen_unix

# Answers every connection with its process id.
_SERVER = """
import os, socket, sys
with socket.socket(fileno=int(sys.argv[1])) as listener:
    while True:
        client, _ = listener.accept()
        with client:
            client.sendall(str(os.getpid()).encode())
"""


async def _ask(path: Path) -> int:
    reader, writer = await asyncio.open_unix_connection(str(path))
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer)


async def test_the_first_connection_starts_it_and_after_a_crash_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    listener = listen_unix(path)
    assert listener is not None
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    spec = Spec(
        "model",
        [sys.executable, "-c", _SERVER, str(listener.fileno())],
        bare_env(),
        tmp_path / "log",
        pass_fds=[listener.fileno()],
        before=first_connection(listener),
        lazy=True,
    )
    crashed = asyncio.Event()
    child = Child(spec, lambda _: crashed.set())
    with listener:
        await child.start()
        try:
            assert child.pid is None
            async with asyncio.timeout(10):
                first = await _ask(path)
                assert listen_unix(path) is None  # somebody answers there: no second one
                os.kill(first, signal.SIGKILL)
                await crashed.wait()
                assert child.pid is None
                assert await _ask(path) not in (0, first)
        finally:
            await child.stop()


def test_a_stale_socket_is_replaced_but_nothing_else(tmp_path: Path) -> None:
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(stale))
    listener = listen_unix(stale)
    assert listener is not None
    listener.close()
    plain = tmp_path / "plain"
    plain.write_text("precious")
    with pytest.raises(DataDirUnusable, match="O_LOCAL_MODEL_SOCKET"):
        listen_unix(plain)
    assert plain.read_text() == "precious"


def test_a_path_too_long_is_refused_with_the_variable(tmp_path: Path) -> None:
    with pytest.raises(DataDirUnusable, match="O_LOCAL_MODEL_SOCKET"):
        listen_unix(tmp_path / ("x" * 120))
