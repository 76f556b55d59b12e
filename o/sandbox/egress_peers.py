"""The two ends of an exchange through the proxy: bytes counted, HTTP read strictly, tunnels with half-closed ends."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import h11

_PIECE = 65_536
_MOST_HEAD = 65_536  # bytes of a request's or an answer's head
_UCRED = struct.Struct("iII")  # pid, uid, gid
_LINGER = 1.0  # seconds a refused client has to read why
# Of one connection only (RFC 9110 §7.6.1), and the proxy's own credentials, which are nobody else's to see.
_HOP_BY_HOP = frozenset(
    b"connection proxy-connection keep-alive proxy-authorization proxy-authenticate te trailer upgrade expect".split()
)
_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding"})

Headers = list[tuple[bytes, bytes]]


class Refusal(Exception):
    """The proxy answers a request itself: a status, and one sentence for whoever wrote the tool."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class Peer:
    """One end: a stream, and the HTTP that is spoken over it.

    Args:
        moved: is told of every byte that came in; what it raises ends the exchange.
    """

    def __init__(
        self,
        role: type[h11.CLIENT] | type[h11.SERVER],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        moved: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.reader, self.writer, self.moved = reader, writer, moved
        self.http = h11.Connection(role, max_incomplete_event_size=_MOST_HEAD)
        self._asked_for_head = False

    async def receive(self) -> h11.Event:
        """The next event. Raises h11.RemoteProtocolError for what is no HTTP, OSError for a broken stream."""
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA and event is not h11.PAUSED:
                break
            if self.http.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            self.http.receive_data(await self.read())
        assert isinstance(event, h11.Event)
        if isinstance(event, h11.Request):
            self._asked_for_head = event.method == b"HEAD"
        return event

    async def read(self) -> bytes:
        """The next bytes, empty at the end."""
        piece = await self.reader.read(_PIECE)
        self.moved(len(piece))
        return piece

    async def send(self, event: h11.Event) -> None:
        """Write an event, waiting until the other side has room for it."""
        if data := self.http.send(event):
            await self.write(data)

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def refuse(self, refusal: Refusal) -> None:
        """Answer instead of passing on; a no-op once an answer has begun."""
        if self.http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        words = "".join(letter if " " <= letter <= "~" else "?" for letter in refusal.words)
        body = words.encode() + b"\n"
        headers = [("content-type", "text/plain"), ("content-length", str(len(body))), ("connection", "close")]
        if refusal.status == 407:
            headers.append(("proxy-authenticate", 'Basic realm="o"'))
        with suppress(OSError, h11.LocalProtocolError, TimeoutError):
            # The reason too: of a refused tunnel, most libraries show nothing else.
            await self.send(h11.Response(status_code=refusal.status, headers=headers, reason=words.encode()[:300]))
            if not self._asked_for_head:
                await self.send(h11.Data(data=body))
            await self.send(h11.EndOfMessage())
            self.writer.write_eof()
            # To close over unread bytes is a reset, which can overtake the answer.
            async with asyncio.timeout(_LINGER):
                while await self.reader.read(_PIECE):
                    pass

    def user(self) -> int:
        """The uid at the other end of a unix socket."""
        credentials = self.writer.get_extra_info("socket").getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size
        )
        uid: int = _UCRED.unpack(credentials)[1]
        return uid

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


def end_to_end(headers: Iterable[tuple[bytes, bytes]], *, without: Iterable[bytes] = ()) -> Headers:
    """The headers that travel on: neither those of one connection nor those that `connection` names."""
    given = [(name.lower(), value) for name, value in headers]
    named = {
        option.strip().lower() for name, value in given if name == b"connection" for option in value.split(b",")
    } - _FRAMING
    dropped = _HOP_BY_HOP | named | frozenset(without)
    if any(name == b"transfer-encoding" for name, _ in given):
        dropped |= {b"content-length"}
    return [(name, value) for name, value in given if name not in dropped]


async def forward(client: Peer, server: Peer, head: h11.Request) -> None:
    """Pass one request and its answer on, and nothing that follows them.

    Both sides are read and written anew, so what the one means is what the other hears: no second request can hide
    behind the first.

    Raises:
        h11.RemoteProtocolError, OSError: one side broke.
    """
    await server.send(head)
    async with _together() as tasks:
        upload = tasks.create_task(_upload(client, server))
        await _download(client, server)
        upload.cancel()


@asynccontextmanager
async def _together() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that raises what went wrong first, and not a group of it."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def _upload(client: Peer, server: Peer) -> None:
    while True:
        event = await client.receive()
        if not isinstance(event, h11.Data | h11.EndOfMessage):
            return
        with suppress(OSError):  # a server may answer, and hang up, before it has read everything
            await server.send(h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event)
        if isinstance(event, h11.EndOfMessage):
            return


async def _download(client: Peer, server: Peer) -> None:
    while not isinstance(event := await server.receive(), h11.Response):
        if not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("the server hung up without an answer")
    headers = [*end_to_end(event.headers.raw_items(), without=(b"transfer-encoding",)), (b"connection", b"close")]
    await client.send(h11.Response(status_code=event.status_code, headers=headers, reason=event.reason))
    while isinstance(piece := await server.receive(), h11.Data):
        await client.send(piece)
    if not isinstance(piece, h11.EndOfMessage):
        raise h11.RemoteProtocolError("the server broke off")
    await client.send(h11.EndOfMessage())


async def tunnel(client: Peer, server: Peer) -> None:
    """Pass bytes both ways until both sides have ended; the end of one direction does not end the other."""
    await client.send(h11.Response(status_code=200, headers=[], reason=b"Connection established"))
    early, _ = client.http.trailing_data
    if early:
        await server.write(early)
    async with _together() as tasks:
        tasks.create_task(_pump(client, server))
        tasks.create_task(_pump(server, client))


async def _pump(source: Peer, target: Peer) -> None:
    while piece := await source.read():
        await target.write(piece)
    if target.writer.can_write_eof():
        target.writer.write_eof()
