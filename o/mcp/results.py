"""What an MCP tool returned, as a model may read it: text and a few images, whatever the server sent."""

import base64
import binascii
import json

from mcp_types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from o.domain.mcp_pins import storable
from o.domain.messages import ImagePart
from o.mcp.base import McpResult

_MOST_TEXT = 1_000_000  # characters; the tool's own limit is what usually cuts
_MOST_IMAGES = 8
_MOST_OF_IMAGE = 5_000_000  # bytes
_IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def result_of(answer: CallToolResult) -> McpResult:
    """The answer of a server. What is no text is named where it cannot be shown."""
    texts: list[str] = []
    images: list[ImagePart] = []
    for block in answer.content:
        if isinstance(block, ImageContent) and (image := _image(block)) is not None and len(images) < _MOST_IMAGES:
            images.append(image)
        else:
            texts.append(_words(block))
    text = "\n".join(texts)
    if not text and answer.structured_content is not None:
        text = json.dumps(answer.structured_content, ensure_ascii=False)
    return McpResult(_bounded(str(storable(text))), "error" if answer.is_error else "success", tuple(images))


def _words(block: ContentBlock) -> str:
    match block:
        case TextContent():
            return block.text
        case ImageContent() | AudioContent():
            kind = "image" if isinstance(block, ImageContent) else "recording"
            return f"[{kind} of {len(block.data) * 3 // 4} bytes, {block.mime_type[:100]}, not shown]"
        case ResourceLink():
            return f"[resource {block.uri}: {block.description or block.name}]"
        case EmbeddedResource(resource=TextResourceContents() as resource):
            return f"[resource {resource.uri}]\n{resource.text}"
        case EmbeddedResource():
            return f"[resource {block.resource.uri}, binary, not shown]"


def _image(block: ImageContent) -> ImagePart | None:
    if block.mime_type not in _IMAGE_TYPES or len(block.data) * 3 // 4 > _MOST_OF_IMAGE:
        return None
    try:
        base64.b64decode(block.data, validate=True)
    except (binascii.Error, ValueError):
        return None
    return ImagePart(media_type=block.mime_type, data=block.data)


def _bounded(text: str) -> str:
    if len(text) <= _MOST_TEXT:
        return text
    return f"{text[:_MOST_TEXT]}… [cut after {_MOST_TEXT} of {len(text)} characters]"
