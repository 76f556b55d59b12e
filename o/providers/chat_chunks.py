"""The replies of OpenAI's chat completions, as any server may write them: chunks in, model events out."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from o.domain.json import JsonObject
from o.domain.model import (
    Finished,
    FinishReason,
    ModelEvent,
    ReasoningDelta,
    RedactedReasoning,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from o.errors import InvalidReply
from o.providers.chat_messages import GOOGLE, details_signer

# The words for the end of a reply; others than these are "stop" (Together says "eos").
_FINISH: dict[str, FinishReason] = {
    "length": "length",
    "model_length": "length",  # Mistral: the window is full
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
# OpenRouter's, DeepSeek's, and vLLM's and SGLang's words for a reply that the server gave up.
_GIVEN_UP = ("error", "insufficient_system_resource", "abort")


@dataclass(slots=True)
class _Call:
    """A call as far as it came, at its position in the reply."""

    position: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class ChunkReader:
    """Turns the chunks of one streamed completion into model events; checks every shape, for servers differ.

    Args:
        model: whom OpenRouter's `reasoning_details` belong to.
    """

    def __init__(self, model: str = "") -> None:
        self._model = model
        self._finish: FinishReason | None = None
        self._said = self._counted_last = False
        self._usage = Usage()
        self._calls: list[_Call] = []
        self._at: dict[int, _Call] = {}  # the call that an index of the server stands for now
        self._details: list[JsonObject] = []

    def read(self, chunk: object) -> Iterator[ModelEvent]:
        """The events of one chunk.

        Raises:
            InvalidReply: it is no chunk, or says that the server gave up.
        """
        if not isinstance(chunk, dict):
            raise InvalidReply("the provider sent a chunk that is no JSON object")
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        choice = choice if isinstance(choice, dict) else {}
        groq = _object(chunk.get("x_groq"))
        if groq.get("error"):
            raise InvalidReply("the provider stopped its stream early")
        for usage in (chunk.get("usage"), groq.get("usage"), choice.get("usage")):
            if isinstance(usage, dict):
                self._usage = _usage(usage)
                self._counted_last = not choice
        delta = choice.get("delta") or choice.get("message")  # the latter in a reply that came whole
        if isinstance(delta, dict):
            for event in self._delta(delta):
                self._said = True
                yield event
        if isinstance(reason := choice.get("finish_reason"), str) and reason:
            if reason in _GIVEN_UP:
                raise InvalidReply("the provider gave its reply up")
            self._finish = _FINISH.get(reason.partition(":")[0], "stop")  # Gemini: "content_filter: RECITATION"

    def finish(self) -> Iterator[ModelEvent]:
        """The last events.

        A server that names no reason (older LM Studio and vLLM) is believed to have ended when it sent its counts in a
        chunk of their own, which come after everything else.

        Raises:
            InvalidReply: the stream ended before the reply did.
        """
        reason = self._finish or ("stop" if self._said and self._counted_last else None)
        if reason is None:
            raise InvalidReply("the provider's stream ended before its reply did")
        if self._details:
            yield RedactedReasoning(json.dumps(self._details), details_signer(self._model))
        # A forced call ends with "stop" on OpenAI's own wire.
        yield Finished("tool_calls" if self._calls and reason == "stop" else reason, self._usage)

    def _delta(self, delta: JsonObject) -> Iterator[ModelEvent]:
        details = _objects(delta.get("reasoning_details"))
        self._keep(details)
        for name in ("reasoning_content", "reasoning"):
            if thought := _text(delta.get(name)):
                yield ReasoningDelta(thought)
                break
        else:
            for detail in details:
                if thought := _text(detail.get("text")) or _text(detail.get("summary")):
                    yield ReasoningDelta(thought)
        yield from _content(delta.get("content"))
        if refusal := _text(delta.get("refusal")):
            yield TextDelta(refusal)
        for call in _objects(delta.get("tool_calls")):
            yield from self._signature(call)
            yield self._tool_call(call.get("index"), call.get("id"), _object(call.get("function")))
        if function := _object(delta.get("function_call")):  # what calls were before there were several
            yield self._tool_call(0, None, function)

    def _keep(self, details: list[JsonObject]) -> None:
        """Add pieces of `reasoning_details` up: those that go on with the last block carry only what is new."""
        for detail in details:
            last = self._details[-1] if self._details else {}
            same = all(detail.get(name) == last.get(name) for name in ("type", "index"))
            grows = next((name for name in ("text", "summary") if isinstance(last.get(name), str)), None)
            if not (last and same and grows):
                self._details.append(dict(detail))
                continue
            grown = last[grows] + (_text(detail.get(grows)) or "")
            last |= {name: value for name, value in detail.items() if value is not None} | {grows: grown}

    def _signature(self, call: JsonObject) -> Iterator[ReasoningDelta]:
        """Google's proof of what was thought before a call; that of a reply's first call counts."""
        google = _object(_object(call.get("extra_content")).get("google"))
        if (signature := _text(google.get("thought_signature"))) and not self._calls:
            yield ReasoningDelta("", signature, GOOGLE)

    def _tool_call(self, index: object, sent_id: object, function: JsonObject) -> ToolCallDelta:
        call_id, name, arguments = _text(sent_id), _text(function.get("name")), _arguments(function.get("arguments"))
        call = self._at.get(index) if isinstance(index, int) else self._calls[-1] if self._calls else None
        if call is None or _another(call, call_id, name):
            call = _Call(len(self._calls))
            self._calls.append(call)
            if isinstance(index, int):
                self._at[index] = call
        call.id, call.name = call.id or call_id, call.name or name
        call.arguments += arguments
        return ToolCallDelta(call.position, call_id, name, arguments)


def _another(call: _Call, call_id: str | None, name: str | None) -> bool:
    """Whether a piece with a call's index, or without any, begins another call.

    Some servers number every call 0, or none, and some repeat id and name with every piece. A new name with a new id is
    another call; without ids it is one if the arguments of the last are whole.
    """
    if name is None:
        return False
    if call_id is not None and call.id is not None:
        return call_id != call.id
    return call.name is not None and _whole(call.arguments)


def _whole(arguments: str) -> bool:
    try:
        json.loads(arguments)
    except (ValueError, RecursionError):
        return False
    return True


def _content(content: object) -> Iterator[ModelEvent]:
    """A text, or Mistral's list of parts, in which thoughts are parts too."""
    if text := _text(content):
        yield TextDelta(text)
    for part in _objects(content):
        if part.get("type") == "thinking":
            for thought in _objects(part.get("thinking")):
                if text := _text(thought.get("text")):
                    yield ReasoningDelta(text)
        elif text := _text(part.get("text")):
            yield TextDelta(text)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _arguments(value: object) -> str:
    """Arguments as text; some servers send the object itself."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return value if isinstance(value, str) else ""


def _usage(usage: JsonObject) -> Usage:
    prompt, total = _count(usage, "prompt_tokens"), _count(usage, "total_tokens")
    read, reasoned = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return Usage(
        prompt_tokens=prompt,
        # xAI and Gemini count thoughts in the total alone.
        completion_tokens=max(_count(usage, "completion_tokens"), total - prompt),
        # The latter is DeepSeek's.
        cached_input_tokens=_count(read, "cached_tokens") or _count(usage, "prompt_cache_hit_tokens"),
        cache_write_tokens=_count(read, "cache_write_tokens"),
        reasoning_tokens=_count(reasoned, "reasoning_tokens"),
    )


def _count(holder: Any, name: str) -> int:
    value = _object(holder).get(name)
    return value if isinstance(value, int) and value > 0 else 0
