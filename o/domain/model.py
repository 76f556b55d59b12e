"""What is asked of a language model and what it answers, in no vendor's words."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Literal

from o.domain.json import JsonObject
from o.domain.messages import Message, Part, ReasoningPart, RedactedReasoningPart, TextPart, ToolCall

FinishReason = Literal["stop", "tool_calls", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it; `parameters` is a JSON schema of type object."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """How free the model is: `auto`, `required` (some tool), `none`, or one tool by `name`."""

    mode: Literal["auto", "required", "none", "named"] = "auto"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling settings; None leaves the provider's default. A model that does not know one is not told of it.

    Attributes:
        temperature: ≥ 0.
        top_p: 0 to 1.
        frequency_penalty: -2 to 2.
        max_tokens: most tokens of the reply, its reasoning included, ≥ 1.
        seed: any integer.
        reasoning: whether a model that can think aloud shall; None as the vendor has it.
        reasoning_effort: how hard it thinks: `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`.
        reasoning_tokens: most tokens of its thinking, ≥ 1, where the vendor counts them apart.
        verbosity: how long it answers: `low`, `medium` or `high`.
    """

    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    reasoning: bool | None = None
    reasoning_effort: str | None = None
    reasoning_tokens: int | None = None
    verbosity: str | None = None


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One model request, complete: the provider adds nothing but its own wire format.

    Attributes:
        model: the provider's own name for the model (the handle after its first slash).
        messages: the transcript; the first is the system message. Every tool call in it has its return.
        strict: whether the arguments of calls must follow their schemas to the letter, where the vendor can see to it.
        response_format: `{"type": "json_object"}`, or `{"type": "json_schema", "json_schema": {"name", "schema"}}`;
            None and `{"type": "text"}` leave the form open.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = False
    sampling: Sampling = Sampling()
    strict: bool = False
    response_format: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model request, as the provider counted them, all ≥ 0.

    Attributes:
        prompt_tokens: all of the request, those read from and written to the provider's cache included.
        completion_tokens: all of the reply, its reasoning included.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of reasoning. The signature comes with the last piece of a part: what follows is another part."""

    text: str
    signature: str | None = None
    signed_by: str | None = None


@dataclass(frozen=True, slots=True)
class RedactedReasoning:
    """A whole part of reasoning that only its vendor can read."""

    redacted: str
    signed_by: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A fragment of the `index`-th tool call: the first carries `id` and `name`, all may carry `arguments`."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of every stream; a stream that ends without one was cut off."""

    reason: FinishReason
    usage: Usage = Usage()


ModelEvent = TextDelta | ReasoningDelta | RedactedReasoning | ToolCallDelta | Finished


@dataclass(frozen=True, slots=True)
class ModelReply:
    """A whole reply: what the events of one request add up to."""

    content: tuple[Part, ...]
    tool_calls: tuple[ToolCall, ...]
    finish: FinishReason
    usage: Usage

    @property
    def is_empty(self) -> bool:
        return not self.tool_calls and not any(part.text.strip() for part in self.content if isinstance(part, TextPart))


@dataclass(slots=True)
class _OpenPart:
    """A part of a reply as far as it came."""

    reasons: bool
    pieces: list[str] = field(default_factory=list)
    signature: str | None = None
    signed_by: str | None = None

    def closed(self) -> Part:
        text = "".join(self.pieces)
        return ReasoningPart(text, self.signature, self.signed_by) if self.reasons else TextPart(text)


@dataclass(slots=True)
class _OpenCall:
    id: str | None = None
    name: str = ""
    arguments: list[str] = field(default_factory=list)


def storable(event: ModelEvent) -> ModelEvent:
    """The event with its texts free of what Postgres cannot hold: NUL characters and half surrogate pairs."""
    match event:
        case TextDelta(text):
            return TextDelta(storable_text(text))
        case ReasoningDelta():
            return replace(
                event, text=storable_text(event.text), signature=event.signature and storable_text(event.signature)
            )
        case ToolCallDelta():
            call_id, name = event.id and storable_text(event.id), event.name and storable_text(event.name)
            return replace(event, id=call_id, name=name, arguments=storable_text(event.arguments))
        case RedactedReasoning():
            return replace(event, redacted=storable_text(event.redacted))
        case Finished():
            return event


def storable_text(text: str) -> str:
    """The text without what Postgres cannot hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def distinct_id(given: str | None, index: int, taken: Collection[str]) -> str:
    """The id of the `index`-th call: its own, or one made from its position where that is missing or taken.

    A transcript with two calls of one id is refused by every vendor afterwards.
    """
    if given and given not in taken:
        return given
    made = f"{given or 'call'}_{index}"
    while made in taken:
        made += "_"
    return made


class ReplyBuilder:
    """Adds model events up to a `ModelReply`, whose parts stand in the order they came."""

    def __init__(self) -> None:
        self._parts: list[_OpenPart | RedactedReasoningPart] = []
        self._calls: dict[int, _OpenCall] = {}
        self._finished: Finished | None = None

    @property
    def finished(self) -> bool:
        return self._finished is not None

    def add(self, event: ModelEvent) -> None:
        match event:
            case TextDelta(text):
                if text:
                    self._part(reasons=False).pieces.append(text)
            case ReasoningDelta(text, signature, signed_by):
                part = self._part(reasons=True)
                part.pieces.append(text)
                if signature:
                    part.signature, part.signed_by = signature, signed_by
            case RedactedReasoning(redacted, signed_by):
                self._parts.append(RedactedReasoningPart(redacted, signed_by))
            case ToolCallDelta():
                call = self._calls.setdefault(event.index, _OpenCall())
                if not call.name:  # what comes later counts no more: readers were shown a call of this name and id
                    call.id, call.name = event.id or call.id, event.name or ""
                call.arguments.append(event.arguments)
            case Finished():
                self._finished = event

    def reply(self, *, default_finish: FinishReason = "stop") -> ModelReply:
        """The reply so far; `default_finish` stands in while no `Finished` has come (a cancelled stream).

        Calls without a name are dropped; a missing or repeated call id is replaced (`distinct_id`).
        """
        parts = tuple(part.closed() if isinstance(part, _OpenPart) else part for part in self._parts)
        calls: list[ToolCall] = []
        seen: set[str] = set()
        for index, call in sorted(self._calls.items()):
            if not call.name:
                continue
            call_id = distinct_id(call.id, index, seen)
            seen.add(call_id)
            calls.append(ToolCall(call_id, call.name, "".join(call.arguments) or "{}"))
        finished = self._finished or Finished(default_finish)
        return ModelReply(parts, tuple(calls), finished.reason, finished.usage)

    def _part(self, *, reasons: bool) -> _OpenPart:
        """The part that a piece goes on with, or a new one."""
        last = self._parts[-1] if self._parts else None
        if isinstance(last, _OpenPart) and last.reasons == reasons and last.signature is None:
            return last
        self._parts.append(opened := _OpenPart(reasons))
        return opened
