"""A child that is started by the first connection to its unix socket, as an init system would."""

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

from o.embedded.layout import DataDirUnusable


def listen_unix(path: Path, variable: str = "O_LOCAL_MODEL_SOCKET") -> socket.socket | None:
    """Listen on `path` for this user alone; None if somebody already answers there (a server of its own).

    Args:
        variable: what names another path, for messages.

    Raises:
        DataDirUnusable: the path is too long for a socket, or something else lies there.
    """
    if _answers(path):
        return None
    if path.exists() and not stat.S_ISSOCK(path.lstat().st_mode):
        raise DataDirUnusable(f"{path} is no socket: remove it, or name another with {variable}")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise DataDirUnusable(f"the socket {path} cannot be made ({error}): name another with {variable}") from error
    finally:
        os.umask(previous)
    listener.listen(128)
    return listener


def first_connection(listener: socket.socket) -> Callable[[], Awaitable[None]]:
    """Make a function that waits until a connection is waiting in `listener`, without accepting it."""

    async def wait() -> None:
        loop = asyncio.get_running_loop()
        wanted = asyncio.Event()
        loop.add_reader(listener, wanted.set)
        try:
            await wanted.wait()
        finally:
            loop.remove_reader(listener)

    return wait


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
