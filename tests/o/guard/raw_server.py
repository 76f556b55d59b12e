"""A server that writes whatever bytes a test gives it, and notes what it was asked."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Answer = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    """Answers each path with its bytes and hangs up.

    Attributes:
        heads: the request heads, in order.
        left: set when a client hung up in the middle of an answer.
    """

    port: int
    answers: dict[str, Answer] = field(default_factory=dict)
    heads: list[str] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def stall(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin an answer that never ends."""
        writer.write(answer(b"\x89PNG", length=100))
        await reader.read()  # until the client hangs up
        self.left.set()

    async def flood(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer without an end, as fast as the client reads."""
        writer.write(answer(b"\x89PNG\r\n\x1a\n", length=None))
        try:
            while True:
                writer.write(bytes(65_536))
                await writer.drain()
        except ConnectionError:
            self.left.set()


def answer(
    content: bytes, kind: str = "image/png", status: str = "200 OK", length: int | None = -1, headers: str = ""
) -> bytes:
    """An HTTP answer; `length` is what it claims to be: -1 the truth, None nothing."""
    claimed = len(content) if length == -1 else length
    head = f"HTTP/1.1 {status}\r\nconnection: close\r\n{headers}"
    head += f"content-type: {kind}\r\n" if kind else ""
    head += f"content-length: {claimed}\r\n" if claimed is not None else ""
    return head.encode() + b"\r\n" + content


def redirect(to: str, content: bytes = b"", length: int | None = -1) -> bytes:
    return answer(content, "text/plain", "302 Found", length, f"location: {to}\r\n")


@asynccontextmanager
async def serving(
    host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            server.heads.append(head)
            path = head.split()[1]
            given = server.answers.get(path, answer(b"", status="404 Not Found"))
            if isinstance(given, bytes):
                writer.write(given)
                await writer.drain()
            else:
                await given(reader, writer)
        writer.close()

    listening = await asyncio.start_server(serve, host, port, ssl=tls)
    server = RawServer(listening.sockets[0].getsockname()[1])
    async with listening:
        yield server
