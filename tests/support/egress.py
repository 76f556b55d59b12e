"""A client of the egress proxy that says exactly what a test wants, and a server that notes what reached it."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from o.sandbox.base import Egress

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """A server of this machine.

    Attributes:
        heard: the heads of the requests, as they came.
        answer: what it says to each, whole.
    """

    port: int = 0
    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    heard: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def serving(serve: Answer | None = None, *, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Server]:
    """Run a server; without `serve` it reads a request's head, notes it, and gives `answer`."""
    server = Server()

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(server.answer)
        await writer.drain()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await (serve or plain)(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve_one, address, port)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server


def credentials(token: str, user: str = "o") -> bytes:
    return b"proxy-authorization: Basic " + base64.b64encode(f"{user}:{token}".encode()) + b"\r\n"


async def ask(egress: Egress, request: bytes, *, token: str | None = None) -> bytes:
    """Everything the proxy says to one request. `request` ends before the empty line, which the credentials precede."""
    reader, writer = await asyncio.open_unix_connection(egress.socket)
    try:
        head, _, body = request.partition(b"\r\n\r\n")
        shown = egress.token if token is None else token
        writer.write(head + b"\r\n" + (credentials(shown) if shown else b"") + b"\r\n" + body)
        await writer.drain()
        return await reader.read()
    finally:
        writer.close()


@asynccontextmanager
async def tunnel(egress: Egress, authority: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """An open tunnel."""
    reader, writer = await asyncio.open_unix_connection(egress.socket)
    try:
        writer.write(f"CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n".encode())
        writer.write(credentials(egress.token) + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        yield reader, writer
    finally:
        writer.close()
