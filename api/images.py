"""Images by URL become images by value: what a URL shows may be gone, or something else, when a later turn reads it."""

import asyncio
import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence

from api.schemas.messages import (
    Content,
    CreateMessage,
    CreateToolReturn,
    ImageContent,
    SendMessage,
    ToolAnswer,
    UrlImage,
)
from o.domain.messages import ImagePart
from o.errors import InvalidArgument, Unavailable
from o.guard.fetch import fetch
from o.guard.policy import Guard

# What every vendor with seeing models takes. Anthropic's limits are the narrowest: 5 MB of base64 for an image, which
# is 3.75 MB of picture (so says Bedrock of the same models), and 32 MB for a request. What is once in a conversation
# is sent again with every turn: a picture that is too large would be refused for ever.
_KINDS = ("image/png", "image/jpeg", "image/gif", "image/webp")
_MOST_BYTES = 15 * 2**18
_MOST_BYTES_TOGETHER = 20 * 2**20
_MOST_IMAGES = 20
_TIMEOUT = 15.0  # seconds for one image


def image_urls(body: SendMessage) -> list[str]:
    """The URLs of the images a request names, each once."""
    return sorted(set(_urls(body)))


async def fetched_images(urls: Sequence[str], guard: Guard) -> Mapping[str, ImagePart]:
    """The images at these URLs, by URL.

    Raises:
        InvalidArgument: there are too many, they are too large together, or one cannot be fetched or is none; the
            message says which and why.
    """
    if len(urls) > _MOST_IMAGES:
        raise InvalidArgument(f"source.url: one request may name {_MOST_IMAGES} images, this one names {len(urls)}")
    found = await asyncio.gather(*(_fetched(url, guard) for url in urls))
    if sum(len(content) for _, content in found) > _MOST_BYTES_TOGETHER:
        most = _MOST_BYTES_TOGETHER // 2**20
        raise InvalidArgument(f"source.url: the images of one request may have {most} MiB together; send fewer at once")
    return {
        url: ImagePart(media_type=media_type, data=base64.b64encode(content).decode())
        for url, (media_type, content) in zip(urls, found, strict=True)
    }


async def _fetched(url: str, guard: Guard) -> tuple[str, bytes]:
    """The image's media type and content."""
    try:
        found = await fetch(guard, url, limit=_MOST_BYTES, kinds=_KINDS, timeout=_TIMEOUT)
    except (InvalidArgument, Unavailable) as error:
        raise InvalidArgument(f"source.url: the image cannot be fetched: {error.message}") from error
    return found.media_type, found.content


def _urls(body: SendMessage) -> Iterator[str]:
    for item in body.items:
        if isinstance(item, CreateMessage):
            yield from _in(item.content)
            continue
        answers = item.tool_returns if isinstance(item, CreateToolReturn) else item.approvals or []
        for answer in answers:
            if isinstance(answer, ToolAnswer):
                yield from _in(answer.tool_return)


def _in(content: str | Iterable[Content]) -> Iterator[str]:
    if isinstance(content, str):
        return
    for part in content:
        if isinstance(part, ImageContent) and isinstance(part.source, UrlImage):
            yield part.source.url
