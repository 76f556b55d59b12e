"""Transports of the two HTTP libraries that connect only where a Guard lets them.

A name is resolved once, its addresses are judged, and the connection goes to a judged address: no later answer of the
name's server can lead it elsewhere (DNS rebinding). TLS and the Host header still use the name. Redirects are judged
like everything else, for they connect anew. Clients made with these transports should get `trust_env=False`: with a
proxy from the environment in between, it is the proxy that resolves and connects, and it lives in the network that is
to be kept out of reach.

The seam is the network backend below the connection pool. A wrapper that puts the address into the URL would need no
private name, but pools tell connections apart by the URL's host: two names at one address would share a connection
whose certificate was proved for one of them only.

What comes back is bounded too: a user's server shall not fill the memory that all users share. Packed content is not
asked for, and refused: a thousandth of what it unpacks to goes over the wire.
"""

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import cache
from typing import NoReturn, TypeVar

import httpcore
import httpcore2
import httpx
import httpx2

from o.guard.policy import Denied, Guard

_Stream = TypeVar("_Stream")
_SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
# A user's name server may list hundreds of addresses; O shall not knock on all of them.
_MOST_ADDRESSES = 4
# Bytes of one answer. The longest replies, 128,000 tokens of 400 bytes each, make a stream of 50 MB; 128 vectors of
# 4,096 numbers make 12 MB.
_MOST_BYTES = 16 * 2**20
_MOST_STREAMED = 128 * 2**20
_STREAMS = ("text/event-stream", "application/x-ndjson")


def transport(
    guard: Guard,
    *,
    limits: httpx.Limits | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> httpx.AsyncBaseTransport:
    """A guarded transport for clients of `httpx` (groq, ollama).

    Args:
        limits: of the connection pool; httpx's own defaults if None.
        ssl_context: what is trusted; the certificates httpx trusts by default (and SSL_CERT_FILE) if None.
    """
    return _Transport(
        guard, limits or httpx.Limits(max_connections=100, max_keepalive_connections=20), ssl_context or _trusted()
    )


def transport2(
    guard: Guard,
    *,
    limits: httpx2.Limits | None = None,
    ssl_context: ssl.SSLContext | None = None,
    bounded: bool = True,
) -> httpx2.AsyncBaseTransport:
    """A guarded transport for clients of `httpx2` (openai, anthropic); arguments as in `transport`.

    Args:
        bounded: False for a caller that unpacks and bounds what comes itself.
    """
    return _Transport2(
        guard,
        limits or httpx2.Limits(max_connections=100, max_keepalive_connections=20),
        ssl_context or _trusted2(),
        bounded,
    )


def denied_in(error: BaseException) -> str | None:
    """What the guard said if it is the reason of a failed request, however a library or an SDK wrapped it."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        if isinstance(link, Denied):
            return link.message
        seen.add(id(link))
        link = link.__cause__ or link.__context__
    return None


# Loading the certificates takes 20 ms, and they are the same for every transport.
@cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context()


@cache
def _trusted2() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


class _Transport(httpx.AsyncHTTPTransport):
    # The base class makes its pool in __init__ and takes no backend; everything else of it (requests, streams, errors)
    # is as good here. Its __init__ is not called: were `_pool` renamed one day, requests would fail, not slip through.
    def __init__(self, guard: Guard, limits: httpx.Limits, ssl_context: ssl.SSLContext) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Backend(guard),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["accept-encoding"] = "identity"
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Bounded(response.stream, response.headers, httpx.ReadError)
        return response


class _Transport2(httpx2.AsyncHTTPTransport):
    def __init__(self, guard: Guard, limits: httpx2.Limits, ssl_context: ssl.SSLContext, bounded: bool) -> None:
        self._bounded = bounded
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Backend2(guard),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if not self._bounded:
            return await super().handle_async_request(request)
        request.headers["accept-encoding"] = "identity"
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, response.headers, httpx2.ReadError)
        return response


class _Bounded(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    """The body of an answer, of either library, up to as much as it may be.

    Args:
        failed: what to raise, with a Denied as its cause, when it is more, or packed.
    """

    def __init__(
        self,
        body: httpx.AsyncByteStream | httpx2.AsyncByteStream,
        headers: Mapping[str, str],
        failed: type[Exception],
    ) -> None:
        self._body, self._failed = body, failed
        self._packed = headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._left = _MOST_STREAMED if kind in _STREAMS else _MOST_BYTES

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._packed:
            self._refuse("what the server sends is packed, which was not asked for")
        pieces: AsyncIterable[bytes] = self._body
        async for piece in pieces:
            self._left -= len(piece)
            if self._left < 0:
                self._refuse("what the server sends is larger than any answer may be")
            yield piece

    async def aclose(self) -> None:
        await self._body.aclose()

    def _refuse(self, why: str) -> NoReturn:
        raise self._failed(why) from Denied(why)


class _Backend(httpcore.AsyncNetworkBackend):
    """The one of httpcore. What it does not override (unix sockets) the base class refuses."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        async def dial(address: str, seconds: float | None) -> httpcore.AsyncNetworkStream:
            return await self._plain.connect_tcp(address, port, seconds, local_address, socket_options)

        return await _connect(
            self._guard, host, port, timeout, dial, failed=httpcore.ConnectError, late=httpcore.ConnectTimeout
        )


class _Backend2(httpcore2.AsyncNetworkBackend):
    """The one of httpcore2."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        async def dial(address: str, seconds: float | None) -> httpcore2.AsyncNetworkStream:
            return await self._plain.connect_tcp(address, port, seconds, local_address, socket_options)

        return await _connect(
            self._guard, host, port, timeout, dial, failed=httpcore2.ConnectError, late=httpcore2.ConnectTimeout
        )


async def _connect(
    guard: Guard,
    host: str,
    port: int,
    timeout: float | None,
    dial: Callable[[str, float | None], Awaitable[_Stream]],
    *,
    failed: type[Exception],
    late: type[Exception],
) -> _Stream:
    """Resolve, judge, and connect to the first address that answers; each gets its share of the time that is left.

    Args:
        timeout: seconds for everything; None is no bound.
        failed: what to raise, with a Denied as its cause where the guard refused.
        late: what to raise when the time is over.
    """
    clock = asyncio.get_running_loop().time
    end = None if timeout is None else clock() + timeout
    try:
        async with asyncio.timeout(timeout):
            addresses = (await guard.addresses(host, port))[:_MOST_ADDRESSES]
    except Denied as denied:
        raise failed(denied.message) from denied
    except TimeoutError as error:
        raise late("the host name was not resolved in time") from error
    except OSError as error:
        raise failed("the host name cannot be resolved") from error
    for index, address in enumerate(addresses):
        left = len(addresses) - index
        try:
            return await dial(address, None if end is None else max(0.0, end - clock()) / left)
        except (failed, late):
            if left == 1:
                raise
    raise AssertionError("the guard gives at least one address")
