"""The replies of Anthropic's Messages API: the events of its stream in, model events out."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

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

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
# How the service counts a prompt: what it read, what of it came from its cache, and what went into it. They do not
# overlap.
_PROMPT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class EventReader:
    """Turns the events of one streamed message into model events; checks every shape, for servers differ.

    Args:
        names: what the tools are called here, by what they were called there.
        signer: who is named as the one whose proof a thought carries.

    Attributes:
        flows: whether a text is being written, which comes in a steady stream. Thoughts that are not shown, and
            arguments that the service looks at before it sends them, may take minutes without a word.
    """

    def __init__(self, names: Mapping[str, str], *, signer: str) -> None:
        self.flows = False
        self._names, self._signer = names, signer
        self._finish: FinishReason | None = None
        self._counts: dict[str, int] = {}
        self._calls: dict[int, int] = {}  # positions of calls among the calls, by their positions among all blocks
        self._called = 0
        self._whole: set[int] = set()  # calls whose arguments came at once

    def read(self, event: object) -> Iterator[ModelEvent]:
        """The events that one event stands for.

        Raises:
            InvalidReply: it is no event.
        """
        if not isinstance(event, dict):
            raise InvalidReply("the provider sent an event that is no JSON object")
        match event.get("type"):
            case "message_start":
                self._count(_within(event.get("message"), "usage"))
            case "content_block_start":
                self.flows = _within(event.get("content_block"), "type") == "text"
                yield from self._begun(_index(event), event.get("content_block"))
            case "content_block_delta":
                yield from self._delta(_index(event), event.get("delta"))
            case "content_block_stop":
                self.flows = False
            case "message_delta":
                self._count(event.get("usage"))
                self._stopped(_within(event.get("delta"), "stop_reason"))
            case "message":  # a reply that came whole
                content = event.get("content")
                for index, block in enumerate(content if isinstance(content, list) else ()):
                    yield from self._begun(index, block)
                self._count(event.get("usage"))
                self._stopped(event.get("stop_reason"))

    def finish(self) -> Finished:
        """The last event.

        Raises:
            InvalidReply: the stream ended before the reply did.
        """
        if self._finish is None:
            raise InvalidReply("the provider's stream ended before its reply did")
        counts = self._counts
        usage = Usage(
            prompt_tokens=sum(counts.get(name, 0) for name in _PROMPT),
            completion_tokens=counts.get("output_tokens", 0),
            cached_input_tokens=counts.get("cache_read_input_tokens", 0),
            cache_write_tokens=counts.get("cache_creation_input_tokens", 0),
            reasoning_tokens=min(counts.get("thinking_tokens", 0), counts.get("output_tokens", 0)),
        )
        return Finished("tool_calls" if self._called and self._finish == "stop" else self._finish, usage)

    def _begun(self, index: int, block: object) -> Iterator[ModelEvent]:
        match _within(block, "type"):
            case "text":
                if text := _text(block, "text"):
                    yield TextDelta(text)
            case "thinking":
                if text := _text(block, "thinking"):
                    yield ReasoningDelta(text)
                if signature := _text(block, "signature"):
                    yield self._proof(signature)
            case "redacted_thinking":
                if (data := _text(block, "data")) and not self._called:
                    yield RedactedReasoning(data, self._signer)
            case "tool_use":
                self._calls[index] = self._called
                self._called += 1
                given = _within(block, "input")
                if isinstance(given, dict) and given:
                    self._whole.add(index)
                else:
                    self._whole.discard(index)
                name = _text(block, "name")
                yield ToolCallDelta(
                    self._calls[index],
                    _text(block, "id") or None,
                    self._names.get(name, name) or None,
                    json.dumps(given, ensure_ascii=False) if index in self._whole else "",
                )

    def _delta(self, index: int, delta: object) -> Iterator[ModelEvent]:
        match _within(delta, "type"):
            case "text_delta":
                if text := _text(delta, "text"):
                    yield TextDelta(text)
            case "thinking_delta":
                if text := _text(delta, "thinking"):
                    yield ReasoningDelta(text)
            case "signature_delta":
                if signature := _text(delta, "signature"):
                    yield self._proof(signature)
            case "input_json_delta":
                arguments = _text(delta, "partial_json")
                if arguments and index in self._calls and index not in self._whole:
                    yield ToolCallDelta(self._calls[index], arguments=arguments)

    def _proof(self, signature: str) -> ReasoningDelta:
        """The end of a thought. One that comes after a call gets no proof: it would be sent back before that call."""
        return ReasoningDelta("") if self._called else ReasoningDelta("", signature, self._signer)

    def _count(self, usage: object) -> None:
        """Every count is the newest that was told: those at the end are of the whole reply."""
        for holder, names in (
            (usage, (*_PROMPT, "output_tokens")),
            (_within(usage, "output_tokens_details"), ("thinking_tokens",)),
        ):
            for name in names:
                value = _within(holder, name)
                if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                    self._counts[name] = value

    def _stopped(self, reason: object) -> None:
        if isinstance(reason, str):
            self._finish = _FINISH.get(reason, "stop")


def _index(event: dict[str, Any]) -> int:
    index = event.get("index")
    return index if isinstance(index, int) else 0


def _within(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _text(value: object, name: str) -> str:
    text = _within(value, name)
    return text if isinstance(text, str) else ""
