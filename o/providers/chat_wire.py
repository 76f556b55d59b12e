"""The wire format of OpenAI's chat completions, which `openai` and `local` share: messages out, chunks in."""

import json
import re
from collections.abc import Iterator
from typing import Any

from o.domain.json import JsonObject
from o.domain.messages import ImagePart, Message, TextPart, ToolCall
from o.domain.model import Finished, FinishReason, ModelEvent, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from o.errors import InvalidReply

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_NO_IMAGES = "[an image, which this model cannot see]"


def wire_messages(messages: tuple[Message, ...], *, images: bool) -> list[JsonObject]:
    """The transcript in the wire's words. Reasoning is left out: this wire takes none back.

    Args:
        images: whether the model sees; to one that does not, a text stands for each image, because a refused
            image would make every later request of the conversation fail.
    """
    return [entry for message in messages for entry in _entries(message, images)]


def _entries(message: Message, images: bool) -> Iterator[JsonObject]:
    match message.role:
        case "system":
            yield {"role": "system", "content": message.text}
        case "user" | "summary":
            user: JsonObject = {"role": "user", "content": _content(message, images)}
            if message.name and _NAME.fullmatch(message.name):
                user["name"] = message.name
            yield user
        case "assistant":
            assistant: JsonObject = {"role": "assistant", "content": message.text or None}
            if message.tool_calls:
                assistant["tool_calls"] = [_call(call) for call in message.tool_calls]
            elif not message.text:
                assistant["content"] = ""
            yield assistant
        case "tool":
            for returned in message.tool_returns:
                yield {"role": "tool", "tool_call_id": returned.tool_call_id, "content": returned.content}
        case "approval":  # what was asked and answered reaches a model as the calls and returns it came to
            return


def _content(message: Message, images: bool) -> str | list[JsonObject]:
    if not any(isinstance(part, ImagePart) for part in message.content):
        return message.text
    parts: list[JsonObject] = []
    for part in message.content:
        if isinstance(part, TextPart):
            parts.append({"type": "text", "text": part.text})
        elif isinstance(part, ImagePart) and images:
            url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data or ''}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
        elif isinstance(part, ImagePart):
            parts.append({"type": "text", "text": _NO_IMAGES})
    return parts


def _call(call: ToolCall) -> JsonObject:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _valid(call.arguments)}}


def _valid(arguments: str) -> str:
    """Arguments that are a JSON object, whatever the model wrote: some servers refuse the transcript otherwise."""
    try:
        if isinstance(json.loads(arguments), dict):
            return arguments
    except ValueError:
        pass  # wrapped below: the model sees what it wrote, as one string
    return json.dumps({"invalid_arguments": arguments})


class ChunkReader:
    """Turns the chunks of one streamed completion into model events; checks every shape, for servers differ."""

    def __init__(self) -> None:
        self._finish: FinishReason | None = None
        self._usage = Usage()
        self._positions: dict[object, int] = {}
        self._ids: dict[object, str] = {}
        self._calls = 0

    def read(self, chunk: object) -> Iterator[ModelEvent]:
        """The events of one chunk.

        Raises:
            InvalidReply: it is no chunk.
        """
        if not isinstance(chunk, dict):
            raise InvalidReply("the provider sent a chunk that is no JSON object")
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = _usage(usage)
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return
        delta = choice.get("delta")
        if isinstance(delta, dict):
            yield from self._delta(delta)
        if isinstance(reason := choice.get("finish_reason"), str):
            self._finish = _FINISH.get(reason, "stop")

    def finish(self) -> Finished:
        """The last event.

        Raises:
            InvalidReply: the stream ended before the reply did.
        """
        if self._finish is None:
            raise InvalidReply("the provider's stream ended before its reply did")
        # A forced call ends with "stop" on OpenAI's own wire.
        return Finished("tool_calls" if self._calls and self._finish == "stop" else self._finish, self._usage)

    def _delta(self, delta: dict[str, Any]) -> Iterator[ModelEvent]:
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(reasoning, str) and reasoning:
            yield ReasoningDelta(reasoning)
        for name in ("content", "refusal"):
            text = delta.get(name)
            if isinstance(text, str) and text:
                yield TextDelta(text)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                yield self._tool_call(call)

    def _tool_call(self, call: dict[str, Any]) -> ToolCallDelta:
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        call_id, name, arguments = _text(call.get("id")), _text(function.get("name")), _text(function.get("arguments"))
        index = call.get("index") if isinstance(call.get("index"), int) else 0
        # Some servers number every call 0: another id together with a name is another call.
        if index not in self._positions or (call_id and name and self._ids.get(index) not in (None, call_id)):
            self._positions[index] = self._calls
            self._calls += 1
        if call_id:
            self._ids[index] = call_id
        return ToolCallDelta(self._positions[index], call_id, name, arguments or "")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _usage(usage: dict[str, Any]) -> Usage:
    def count(holder: object, name: str) -> int:
        value = holder.get(name) if isinstance(holder, dict) else None
        return value if isinstance(value, int) and value > 0 else 0

    return Usage(
        prompt_tokens=count(usage, "prompt_tokens"),
        completion_tokens=count(usage, "completion_tokens"),
        cached_input_tokens=count(usage.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=count(usage.get("completion_tokens_details"), "reasoning_tokens"),
    )
