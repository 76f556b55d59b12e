"""The transcript in the words of OpenAI's chat completions, which most servers speak."""

import hashlib
import json
import re
from collections.abc import Iterator

from o.domain.json import JsonObject
from o.domain.messages import (
    ImagePart,
    Message,
    ReasoningPart,
    RedactedReasoningPart,
    TextPart,
    ToolCall,
    ToolReturn,
)
from o.providers.dialects import Dialect

GOOGLE = "google"  # who signs a `thought_signature`

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_IMAGES_FOLLOW = "[the images it returned follow]"
# For calls that Gemini did not make: https://ai.google.dev/gemini-api/docs/thought-signatures, its last section.
_UNSIGNED = "skip_thought_signature_validator"


def wire_messages(messages: tuple[Message, ...], dialect: Dialect, model: str) -> list[JsonObject]:
    """The transcript in the wire's words, for one model of one server."""
    entries: list[JsonObject] = []
    for message in messages:
        for entry in _entries(message, dialect, model):
            if dialect.filler and entry["role"] == "user" and entries and entries[-1]["role"] == "tool":
                entries.append({"role": "assistant", "content": dialect.filler})
            entries.append(entry)
    return entries


def details_signer(model: str) -> str:
    """Who signs OpenRouter's `reasoning_details`: the model, for they mean nothing to another."""
    return f"openrouter/{model}"


def _entries(message: Message, dialect: Dialect, model: str) -> Iterator[JsonObject]:
    match message.role:
        case "system":
            yield {"role": "system", "content": message.text}
        case "user" | "summary":
            user: JsonObject = {"role": "user", "content": _content(message)}
            if dialect.names and message.name and _NAME.fullmatch(message.name):
                user["name"] = message.name
            yield user
        case "assistant":
            yield _assistant(message, dialect, model)
        case "tool":
            for returned in message.tool_returns:
                call_id = _call_id(returned.tool_call_id, dialect)
                yield {"role": "tool", "tool_call_id": call_id, "content": _returned(returned)}
            if shown := [image for returned in message.tool_returns for image in returned.images]:
                # This wire has no images in a tool's return, and no other message may stand between returns.
                yield {"role": "user", "content": [_image(image) for image in shown]}
        case "approval":  # what was asked and answered reaches a model as the calls and returns it came to
            return


def _assistant(message: Message, dialect: Dialect, model: str) -> JsonObject:
    if not message.tool_calls:
        return {"role": "assistant", "content": message.text or dialect.filler or ""}
    calls = [_call(call, dialect) for call in message.tool_calls]
    assistant: JsonObject = {"role": "assistant", "content": message.text or None, "tool_calls": calls}
    thought = "".join(part.reasoning for part in message.content if isinstance(part, ReasoningPart))
    if dialect.replay and (thought or dialect.replay_always):
        assistant[dialect.replay] = thought
    if dialect.signs == "thought_signature":  # of several calls, the first is the signed one
        calls[0]["extra_content"] = {"google": {"thought_signature": _signature(message) or _UNSIGNED}}
    if dialect.signs == "reasoning_details" and (details := _details(message, model)):
        assistant["reasoning_details"] = details
    return assistant


def _signature(message: Message) -> str | None:
    signed = (part for part in message.content if isinstance(part, ReasoningPart) and part.signed_by == GOOGLE)
    return next((part.signature for part in signed), None)


def _details(message: Message, model: str) -> list[JsonObject]:
    return [
        detail
        for part in message.content
        if isinstance(part, RedactedReasoningPart) and part.signed_by == details_signer(model)
        for detail in json.loads(part.redacted)
    ]


def _content(message: Message) -> str | list[JsonObject]:
    if not any(isinstance(part, ImagePart) for part in message.content):
        return message.text
    parts: list[JsonObject] = []
    for part in message.content:
        if isinstance(part, TextPart):
            parts.append({"type": "text", "text": part.text})
        elif isinstance(part, ImagePart):
            parts.append(_image(part))
    return parts


def _image(part: ImagePart) -> JsonObject:
    url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data or ''}"
    return {"type": "image_url", "image_url": {"url": url}}


def _returned(returned: ToolReturn) -> str:
    return f"{returned.content}\n{_IMAGES_FOLLOW}".strip() if returned.images else returned.content


def _call(call: ToolCall, dialect: Dialect) -> JsonObject:
    function = {"name": call.name, "arguments": _valid(call.arguments)}
    return {"id": _call_id(call.id, dialect), "type": "function", "function": function}


def _call_id(call_id: str, dialect: Dialect) -> str:
    """An id the server takes, always the same for the same: 9 characters from a digest, which all of them take."""
    if dialect.call_ids.fullmatch(call_id):
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:9]


def _valid(arguments: str) -> str:
    """Arguments that are a JSON object, whatever the model wrote: some servers refuse the transcript otherwise."""
    try:
        if isinstance(json.loads(arguments), dict):
            return arguments
    except (ValueError, RecursionError):
        pass  # wrapped below: the model sees what it wrote, as one string
    return json.dumps({"invalid_arguments": arguments})
