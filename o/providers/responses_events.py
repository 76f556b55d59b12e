"""The replies of OpenAI's Responses API: the events of its stream in, model events out."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from o.domain.json import JsonObject
from o.domain.model import Finished, FinishReason, ModelEvent, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from o.errors import InvalidReply

_GAP = "\n\n"  # between two texts of one reply, and between two parts of a thought
# Why a reply is incomplete; of any other reason all that is known is that there should be more.
_INCOMPLETE: dict[object, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}


@dataclass(slots=True)
class _Item:
    """One item of the reply as far as it came: a thought, a text or a call.

    Attributes:
        before: how many calls had begun before it.
        said: whether anything of its content came in pieces.
    """

    before: int
    said: bool = False


def told_error(event: object) -> JsonObject | None:
    """The error that an event tells, or a reply that came whole; None if all is well."""
    if not isinstance(event, dict):
        return None
    if event.get("type") == "error":
        return _object(event.get("error")) or event
    response = _object(event.get("response")) or event
    error = _object(response.get("error"))
    return error if error or response.get("status") == "failed" else None


class ResponseReader:
    """Turns the events of one streamed response into model events; checks every shape, for servers differ.

    A thought is signed with all that its service wants back (`responses_input`): its id and encrypted content, for
    which model it is good, and how many calls came before it.

    Args:
        model: who thinks.
        signer: who is named as the one that can read the thoughts.
    """

    def __init__(self, model: str, *, signer: str) -> None:
        self._model, self._signer = model, signer
        self._finish: FinishReason | None = None
        self._usage = Usage()
        self._items: dict[object, _Item] = {}
        self._calls = 0
        self._last: tuple[str, object] = ("", None)  # the kind and the part of what was said last

    def read(self, event: object) -> Iterator[ModelEvent]:
        """The events that one event stands for. Those of other kinds stand for none, the service's signs of life too.

        Raises:
            InvalidReply: it is no event, or says that the server gave up.
        """
        if not isinstance(event, dict):
            raise InvalidReply("the provider sent an event that is no JSON object")
        match event.get("type"):
            case "response.output_item.added":
                yield from self._begun(_key(event), _object(event.get("item")))
            case "response.output_text.delta" | "response.refusal.delta":
                yield from self._said("text", event, "content_index")
            case "response.reasoning_summary_text.delta":
                yield from self._said("thought", event, "summary_index")
            case "response.reasoning_text.delta":
                yield from self._said("thought", event, "content_index")
            case "response.function_call_arguments.delta":
                item = self._items.get(_key(event))
                if item is not None and (text := _text(event.get("delta"))):
                    item.said = True
                    yield ToolCallDelta(item.before, arguments=text)
            case "response.output_item.done":
                yield from self._done(_key(event), _object(event.get("item")))
            case "response.completed" | "response.incomplete" | "response.cancelled":
                yield from self._ended(_object(event.get("response")))
            case None if event.get("object") == "response":  # a reply that came whole
                yield from self._ended(event)

    def finish(self) -> Finished:
        """The last event.

        Raises:
            InvalidReply: the stream ended before the reply did.
        """
        if self._finish is None:
            raise InvalidReply("the provider's stream ended before its reply did")
        return Finished("tool_calls" if self._calls and self._finish == "stop" else self._finish, self._usage)

    def _begun(self, key: object, item: JsonObject) -> Iterator[ModelEvent]:
        self._items[key] = begun = _Item(self._calls)
        if item.get("type") == "function_call":
            self._calls += 1
            arguments = _text(item.get("arguments"))
            begun.said = bool(arguments)
            yield ToolCallDelta(
                begun.before, _text(item.get("call_id")) or None, _text(item.get("name")) or None, arguments
            )

    def _done(self, key: object, item: JsonObject) -> Iterator[ModelEvent]:
        """What an item has at its end: its proof, and its content if none came in pieces."""
        if key not in self._items:
            yield from self._begun(key, item)
        begun = self._items[key]
        match item.get("type"):
            case "message" if not begun.said:
                for at, part in enumerate(_objects(item.get("content"))):
                    yield from self._piece("text", (key, at), _text(part.get("text")) or _text(part.get("refusal")))
            case "reasoning":
                if not begun.said:
                    for at, part in enumerate(_objects(item.get("summary")) or _objects(item.get("content"))):
                        yield from self._piece("thought", (key, at), _text(part.get("text")))
                if sealed := _text(item.get("encrypted_content")):
                    self._last = ("", None)
                    proof: JsonObject = {"id": _text(item.get("id")), "encrypted_content": sealed}
                    proof |= {"model": self._model, "calls": begun.before}
                    yield ReasoningDelta("", json.dumps(proof), self._signer)
            case "function_call" if not begun.said:
                yield ToolCallDelta(begun.before, arguments=_text(item.get("arguments")))

    def _said(self, kind: Literal["text", "thought"], event: JsonObject, part: str) -> Iterator[ModelEvent]:
        key = _key(event)
        self._items.setdefault(key, _Item(self._calls)).said = True
        yield from self._piece(kind, (key, event.get(part)), _text(event.get("delta")))

    def _piece(self, kind: Literal["text", "thought"], part: object, text: str) -> Iterator[ModelEvent]:
        if not text:
            return
        last_kind, last_part = self._last
        self._last = (kind, part)
        text = _GAP + text if last_kind == kind and last_part != part else text
        yield TextDelta(text) if kind == "text" else ReasoningDelta(text)

    def _ended(self, response: JsonObject) -> Iterator[ModelEvent]:
        status = response.get("status")
        if status in ("failed", "cancelled"):
            raise InvalidReply("the provider gave its reply up")
        if not self._items:
            for at, item in enumerate(_objects(response.get("output"))):
                yield from self._done(at, item)
        self._usage = _usage(_object(response.get("usage")))
        reason = _object(response.get("incomplete_details")).get("reason")
        self._finish = _INCOMPLETE.get(reason, "length") if status == "incomplete" else "stop"


def _key(event: JsonObject) -> object:
    """What tells the items of a reply apart: their places, or with llama.cpp, which numbers nothing, their ids."""
    place = event.get("output_index")
    return (
        place if isinstance(place, int) else _text(event.get("item_id")) or _text(_object(event.get("item")).get("id"))
    )


def _usage(usage: JsonObject) -> Usage:
    read, written = _object(usage.get("input_tokens_details")), _object(usage.get("output_tokens_details"))
    return Usage(
        prompt_tokens=_count(usage, "input_tokens"),
        completion_tokens=_count(usage, "output_tokens"),
        cached_input_tokens=_count(read, "cached_tokens"),
        cache_write_tokens=_count(read, "cache_write_tokens"),
        reasoning_tokens=_count(written, "reasoning_tokens"),
    )


def _count(holder: JsonObject, name: str) -> int:
    value = holder.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
