"""Gets what a user's URL names: bounded in bytes and time, and only of the kinds that are wanted."""

import asyncio
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field

import httpx2

from o.errors import InvalidArgument, ProjectError, Unavailable
from o.guard.policy import Denied, Guard
from o.guard.transport import denied_in, transport2

_MOST_REDIRECTS = 5
_LATER = frozenset({408, 425, 429})  # the 4xx that may pass by themselves (RFC 9110, RFC 8470, RFC 6585)
_UNSAID = ("", "application/octet-stream", "binary/octet-stream")


@dataclass(frozen=True)
class Fetched:
    """What was fetched; of an image, the media type is what its first bytes say.

    Attributes:
        charset: how its text is encoded, as the header says it; None where it does not.
        url: where it was found in the end.
    """

    media_type: str
    content: bytes
    charset: str | None = None
    url: str = field(default="", compare=False)


async def fetch(guard: Guard, url: str, *, limit: int, kinds: Collection[str], timeout: float) -> Fetched:
    """GET a URL, following up to five redirects; keeps nothing (no cookie, no connection) for the next one.

    Args:
        limit: bytes the content may have, unpacked.
        kinds: media types that are wanted, in lower case. Of images only png, jpeg, gif and webp can be told.
        timeout: seconds for everything.

    Raises:
        InvalidArgument: the user must change the URL: a denied address, a 4xx, too large, another kind.
        Unavailable: the server is slow, broken or away; trying again may help.
    """
    guard.check(url)
    host = httpx2.URL(url).host
    headers = {"accept": ", ".join(kinds), "accept-encoding": "gzip"}
    try:
        async with (
            asyncio.timeout(timeout),
            httpx2.AsyncClient(
                transport=transport2(guard, bounded=False), trust_env=False, timeout=timeout, headers=headers
            ) as client,
        ):
            return await _follow(client, guard, url, limit, kinds)
    # `from None`: the libraries' words may repeat what the server wrote.
    except (TimeoutError, httpx2.TimeoutException):
        raise Unavailable(f"{host} did not answer within {timeout:g} s") from None
    except httpx2.RequestError as error:
        if reason := denied_in(error):
            raise Denied(reason) from None
        raise Unavailable(f"{host} cannot be reached or does not speak HTTP ({type(error).__name__})") from None
    except ValueError:  # numbers and names in headers that overtax the libraries
        raise Unavailable(f"{host} does not speak HTTP") from None


async def _follow(client: httpx2.AsyncClient, guard: Guard, url: str, limit: int, kinds: Collection[str]) -> Fetched:
    request = client.build_request("GET", url)
    for _ in range(_MOST_REDIRECTS + 1):
        # By hand: the client would read the whole body of a redirect, however large.
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            if response.next_request is None:
                return await _read(response, limit, kinds)
        finally:
            await response.aclose()
        request = response.next_request
        guard.check(str(request.url))
    raise InvalidArgument(f"{request.url.host} leads on and on: more than {_MOST_REDIRECTS} redirects")


async def _read(response: httpx2.Response, limit: int, kinds: Collection[str]) -> Fetched:
    host = response.url.host
    if not response.is_success:
        raise _refusal(host, response.status_code)
    said = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    other_kind = InvalidArgument(f"what {host} sends is not one of {', '.join(sorted(kinds))}")
    if said not in kinds and said not in _UNSAID and not said.startswith("image/"):
        raise other_kind
    content = await _content(response, limit)
    media_type = _media_type(said, content)
    if media_type is None or media_type not in kinds:
        raise other_kind
    return Fetched(media_type, content, response.charset_encoding, str(response.url))


async def _content(response: httpx2.Response, limit: int) -> bytes:
    """The body, unpacked here: the client's decoders undo five layers in a row, which is time without an end."""
    host = response.url.host
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip", "x-gzip"):
        raise InvalidArgument(f"{host} sends its content packed in a way that was not asked for")
    unpacker = None if packing == "identity" else zlib.decompressobj(zlib.MAX_WBITS | 16)
    taken, content = 0, bytearray()
    async for piece in response.aiter_raw():
        taken += len(piece)
        try:
            content += unpacker.decompress(piece, limit + 1 - len(content)) if unpacker else piece
        except zlib.error:
            raise InvalidArgument(f"{host} sends content that cannot be unpacked") from None
        if max(taken, len(content)) > limit:
            raise InvalidArgument(f"what {host} sends is larger than {limit} bytes")
    if unpacker is not None and not unpacker.eof:
        raise Unavailable(f"{host} broke off")
    return bytes(content)


def _refusal(host: str, status: int) -> ProjectError:
    kind = Unavailable if status >= 500 or status in _LATER else InvalidArgument
    return kind(f"{host} answered with status {status}")


def _media_type(said: str, content: bytes) -> str | None:
    """What the content is, by its first bytes for images and by its header for the rest; None if the two disagree."""
    seen = _image_type(content)
    if said.startswith("image/") or (seen and said in _UNSAID):
        return seen
    return None if seen else said


def _image_type(content: bytes) -> str | None:
    """The kind of image that begins with these bytes (WHATWG MIME Sniffing §6.1), None if it is none of the four."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if content.startswith(b"RIFF") and content[8:14] == b"WEBPVP":
        return "image/webp"
    return None
