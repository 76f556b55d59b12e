"""Calls of a transcript as a vendor takes them that did not make them: under ids that fit, arguments it can read."""

import hashlib
import json
import re

from o.domain.call_repair import parse_arguments
from o.domain.json import JsonObject
from o.domain.messages import ToolCall

# What Anthropic and OpenAI's Responses take for an id.
_FIT = re.compile(r"[A-Za-z0-9_-]{1,64}")


def sent_id(call_id: str, taken: set[str]) -> str:
    """The id a call is sent under, added to those `taken`: some vendors count anew in every reply."""
    wanted = call_id if _FIT.fullmatch(call_id) else f"call_{_digest(call_id)[:24]}"
    free, again = wanted, 1
    while free in taken:
        again += 1
        free = f"{wanted[:54]}_{again}"
    taken.add(free)
    return free


def sent_arguments(call: ToolCall) -> JsonObject:
    """The arguments as an object, whatever the model wrote; what is none, or cannot be sent, goes as one string."""
    try:
        arguments = parse_arguments(call)
        # Half a surrogate pair may hide in an escape, an infinity in 1e999; neither can be sent.
        json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return {"invalid_arguments": call.arguments}
    return arguments


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
