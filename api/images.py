"""Images by URL become images by value: what a URL shows may be gone, or something else, when a later turn reads it."""

import asyncio
import base64
from collections.abc import Iterable, Iterator, Mapping

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

# The kinds and the size that every vendor with seeing models takes: Anthropic's limits are the narrowest.
_KINDS = ("image/png", "image/jpeg", "image/gif", "image/webp")
_MOST_BYTES = 5 * 2**20
_MOST_IMAGES = 20
_TIMEOUT = 15.0  # seconds for one image


async def fetched_images(body: SendMessage, guard: Guard) -> Mapping[str, ImagePart]:
    """The images a request names by URL, by their URLs.

    Raises:
        InvalidArgument: there are too many, or one cannot be fetched or is none; the message says which and why.
    """
    urls = sorted(set(_urls(body)))
    if len(urls) > _MOST_IMAGES:
        raise InvalidArgument(f"source.url: one request may name {_MOST_IMAGES} images, this one names {len(urls)}")
    return dict(zip(urls, await asyncio.gather(*(_fetched(url, guard) for url in urls)), strict=True))


async def _fetched(url: str, guard: Guard) -> ImagePart:
    try:
        found = await fetch(guard, url, limit=_MOST_BYTES, kinds=_KINDS, timeout=_TIMEOUT)
    except (InvalidArgument, Unavailable) as error:
        raise InvalidArgument(f"source.url: the image cannot be fetched: {error.message}") from error
    return ImagePart(media_type=found.media_type, data=base64.b64encode(found.content).decode())


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
