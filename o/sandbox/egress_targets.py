"""What a request to the proxy is for, how it reads further on, and the connection it gets."""

import asyncio
from dataclasses import dataclass

import h11
import httpx2

from o.sandbox.egress_hosts import comparable
from o.sandbox.egress_peers import Peer, Refusal, end_to_end


@dataclass(frozen=True)
class Target:
    """Whom a request is for.

    Attributes:
        path: what is asked of the host, with the query; None is a tunnel.
    """

    host: str
    port: int
    path: bytes | None

    @classmethod
    def of(cls, request: h11.Request) -> "Target":
        """Read `CONNECT host:port` and `GET http://host/path`. Raises Refusal for anything else."""
        tunnelled = request.method == b"CONNECT"
        text = request.target.decode("ascii", "replace")
        try:
            url = httpx2.URL(f"http://{text}/" if tunnelled else text)
        except (httpx2.InvalidURL, ValueError):
            raise Refusal(400, "the request names no host") from None
        unclear = tunnelled and (url.raw_path != b"/" or not text.rpartition(":")[2].isdecimal())
        if url.scheme != "http" or url.userinfo or unclear:
            raise Refusal(400, "a proxy is asked for http://host/path, or to CONNECT host:port")
        host = comparable(url.raw_host.decode("ascii")) if url.raw_host else None
        if host is None:
            raise Refusal(400, "the request names no host")
        return cls(host, url.port or 80, None if tunnelled else url.raw_path)

    def head(self, request: h11.Request) -> h11.Request:
        """The request as the host itself is asked it, without a word about the proxy."""
        assert self.path is not None
        name = f"[{self.host}]" if ":" in self.host else self.host
        authority = name if self.port == 80 else f"{name}:{self.port}"
        headers = end_to_end(request.headers.raw_items(), without=(b"host",))
        return h11.Request(
            method=request.method,
            target=self.path,
            headers=[(b"host", authority.encode()), *headers, (b"connection", b"close")],
        )


async def first_that_answers(addresses: list[str], port: int, seconds: float) -> Peer:
    """Connect to the first of these addresses that lets us, each within `seconds`. Raises OSError, TimeoutError."""
    for index, address in enumerate(addresses):
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_connection(address, port)
                return Peer(h11.CLIENT, reader, writer)
        except (OSError, TimeoutError):
            if index == len(addresses) - 1:
                raise
    raise AssertionError("the guard gives at least one address")


def header(request: h11.Request, name: bytes) -> bytes:
    """The value of this header, whose name is in lower case; several are one list (RFC 9110 §5.3), none is empty."""
    return b", ".join(value for known, value in request.headers if known == name)
