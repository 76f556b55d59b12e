"""HTTP to an MCP server: guarded connections, nothing kept between them, and a bound to all that comes back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2

from o.guard.policy import Guard
from o.guard.transport import transport2

# Bytes of one whole answer, and of everything a server sends over one connection.
MOST_OF_ANSWER = 4 * 2**20
MOST_OF_CONNECTION = 32 * 2**20


@dataclass
class Notes:
    """What was seen below the protocol, for words that are more to the point than the protocol's.

    Attributes:
        challenge: `WWW-Authenticate` of the last 401; None if there was none.
        status: of the last refusal that says something of what was asked.
    """

    challenge: str | None = None
    status: int | None = None
    flooded: bool = False
    left: int = MOST_OF_CONNECTION

    def take(self, amount: int) -> bool:
        """Count bytes; False when the server has sent more than it may."""
        self.left -= amount
        self.flooded = self.flooded or self.left < 0
        return not self.flooded


def http_client(
    guard: Guard, notes: Notes, headers: dict[str, str], *, read: float, counts_get: bool = True
) -> httpx2.AsyncClient:
    """A client for one connection to a server; it follows no redirect by itself and keeps no cookie.

    Args:
        read: seconds of silence after which a request is given up.
        counts_get: whether a GET that is refused is a refusal of the server.
    """
    return httpx2.AsyncClient(
        transport=Watched(transport2(guard, limits=httpx2.Limits(max_connections=8)), notes, counts_get=counts_get),
        headers=headers,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx2.Timeout(10.0, read=read),
    )


class Watched(httpx2.AsyncBaseTransport):
    """A transport that notes refusals, drops cookies and counts what comes."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, notes: Notes, *, counts_get: bool) -> None:
        self._inner, self._notes, self._counts_get = inner, notes, counts_get

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        # Servers refuse the stream that they may open for news with whatever status comes to them, and answer all else.
        if response.status_code >= 400 and (self._counts_get or request.method != "GET"):
            self._notes.status = response.status_code
            if response.status_code == 401:
                self._notes.challenge = response.headers.get("www-authenticate", "")
        if "set-cookie" in response.headers:
            del response.headers["set-cookie"]
        streamed = response.headers.get("content-type", "").lower().startswith("text/event-stream")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Counted(response.stream, self._notes, MOST_OF_CONNECTION if streamed else MOST_OF_ANSWER)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, body: httpx2.AsyncByteStream, notes: Notes, most: int) -> None:
        self._body, self._notes, self._left = body, notes, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            self._left -= len(piece)
            if not self._notes.take(len(piece)) or self._left < 0:
                self._notes.flooded = True
                raise httpx2.ReadError("the server sends more than it may")
            yield piece

    async def aclose(self) -> None:
        await self._body.aclose()
