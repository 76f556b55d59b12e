"""What attacks begin with and aim at, and an eye on what they take."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

# What every attack starts with. `attempt` notes what its work returned as won, unless it is empty, or the error that
# stopped it; any other exception is a mistake of the attack and fails the test.
PRELUDE = """
import ctypes, errno, os, sys
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
won, refused = [], {}

def attempt(name, work):
    try:
        if work():
            won.append(name)
        else:
            refused[name] = "nothing"
    except OSError as error:
        refused[name] = errno.errorcode.get(error.errno, str(error))

def read(path, most=1 << 16):
    with open(path, "rb") as file:
        return file.read(most)

def put(path, data):
    descriptor = os.open(path, os.O_WRONLY)
    try:
        return os.write(descriptor, data) == len(data)
    finally:
        os.close(descriptor)

def syscall(number, *arguments):
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = LIBC.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result

def verdict():
    return {"won": won, "refused": refused}
"""


class Servers:
    """Servers of this machine that no call may reach, on every kind of address."""

    def __init__(self, folder: Path, secret: str, held: ExitStack) -> None:
        self.abstract, self.abstract_datagrams = f"\0o-{secret[:16]}", f"\0o-{secret[:16]}-d"
        self.path, self.path_datagrams = str(folder / ".s.PGSQL.5432"), str(folder / "log")
        self._sockets: dict[str, socket.socket] = {}
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        wanted: tuple[tuple[str, socket.AddressFamily, socket.SocketKind, Any], ...] = (
            ("TCP", socket.AF_INET, stream, ("127.0.0.1", 0)),
            ("UDP", socket.AF_INET, datagram, ("127.0.0.1", 0)),
            ("TCP, IPv6", socket.AF_INET6, stream, ("::1", 0)),
            ("path", socket.AF_UNIX, stream, self.path),
            ("path, datagrams", socket.AF_UNIX, datagram, self.path_datagrams),
            ("abstract", socket.AF_UNIX, stream, self.abstract),
            ("abstract, datagrams", socket.AF_UNIX, datagram, self.abstract_datagrams),
        )
        for name, family, kind, address in wanted:
            made = held.enter_context(socket.socket(family, kind))
            try:
                made.bind(address)
            except OSError:
                assert family == socket.AF_INET6, name  # a machine may have no IPv6
                continue
            made.setblocking(False)
            if kind is stream:
                made.listen()
            self._sockets[name] = made
        for path in (self.path, self.path_datagrams):
            Path(path).chmod(0o666)

    def port(self, name: str) -> int:
        return int(self._sockets[name].getsockname()[1]) if name in self._sockets else 9

    def heard(self) -> list[str]:
        """Names of the servers that something reached, since last asked."""
        found = []
        for name, each in self._sockets.items():
            with suppress(BlockingIOError):
                if each.type == socket.SOCK_STREAM:
                    each.accept()[0].close()
                else:
                    each.recv(64)
                found.append(name)
        return found


class Watch:
    """Looks at a number, as long as it is open, and at how long this event loop was ever kept waiting.

    Attributes:
        most: the highest it was.
        gap: seconds.
    """

    def __init__(self, look: Callable[[], int] = lambda: 0, *, every: float = 0.02) -> None:
        self._look, self._every = look, every
        self.most, self.gap = 0, 0.0

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            self.most = max(self.most, self._look())
            before = time.monotonic()
            await asyncio.sleep(self._every)
            self.gap = max(self.gap, time.monotonic() - before - self._every)
