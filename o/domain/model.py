"""What is asked of a language model and what it answers, in no vendor's words."""

import json
from dataclasses import dataclass, field, replace
from typing import Literal

from o.domain.json import JsonObject
from o.domain.messages import Message, Part, ReasoningPart, TextPart, ToolCall

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
    """Sampling settings; None leaves the provider's default.

    Attributes:
        temperature: ≥ 0.
        max_tokens: most tokens of the reply, ≥ 1.
        seed: any integer, where the provider knows seeds.
        reasoning_effort: the vendor's own word (`minimal`, `low`, `high`, …).
    """

    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    reasoning_effort: str | None = None


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One model request, complete: the provider adds nothing but its own wire format.

    Attributes:
        model: the provider's own name for the model (the handle after its first slash).
        messages: the transcript; the first is the system message. Every tool call in it has its return.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = False
    sampling: Sampling = Sampling()
    response_format: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model request, as the provider counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str
    signature: str | None = None


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


ModelEvent = TextDelta | ReasoningDelta | ToolCallDelta | Finished


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
class _OpenCall:
    id: str | None = None
    name: str = ""
    arguments: list[str] = field(default_factory=list)


def storable(event: ModelEvent) -> ModelEvent:
    """The event with its texts free of what Postgres cannot hold: NUL characters and half surrogate pairs."""
    match event:
        case TextDelta(text):
            return TextDelta(_storable(text))
        case ReasoningDelta(text, signature):
            return ReasoningDelta(_storable(text), signature)
        case ToolCallDelta():
            return replace(event, arguments=_storable(event.arguments))
        case Finished():
            return event


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


class ReplyBuilder:
    """Adds model events up to a `ModelReply`."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._signature: str | None = None
        self._calls: dict[int, _OpenCall] = {}
        self._finished: Finished | None = None

    @property
    def finished(self) -> bool:
        return self._finished is not None

    def add(self, event: ModelEvent) -> None:
        match event:
            case TextDelta(text):
                self._text.append(text)
            case ReasoningDelta(text, signature):
                self._reasoning.append(text)
                self._signature = signature or self._signature
            case ToolCallDelta():
                call = self._calls.setdefault(event.index, _OpenCall())
                call.id = event.id or call.id
                call.name = event.name or call.name
                call.arguments.append(event.arguments)
            case Finished():
                self._finished = event

    def reply(self, *, default_finish: FinishReason = "stop") -> ModelReply:
        """The reply so far; `default_finish` stands in while no `Finished` has come (a cancelled stream).

        Calls without a name are dropped; a missing or repeated call id is replaced by one made from the position,
        since a transcript with two calls of one id is refused by every vendor afterwards.
        """
        parts: list[Part] = []
        if self._reasoning:
            parts.append(ReasoningPart("".join(self._reasoning), self._signature))
        if text := "".join(self._text):
            parts.append(TextPart(text))
        calls: list[ToolCall] = []
        seen: set[str] = set()
        for index, call in sorted(self._calls.items()):
            if not call.name:
                continue
            call_id = call.id if call.id and call.id not in seen else f"{call.id or 'call'}_{index}"
            seen.add(call_id)
            calls.append(ToolCall(call_id, call.name, "".join(call.arguments) or "{}"))
        finished = self._finished or Finished(default_finish)
        return ModelReply(tuple(parts), tuple(calls), finished.reason, finished.usage)


def parse_arguments(call: ToolCall) -> JsonObject:
    """The arguments of a call as an object.

    Raises:
        ValueError: not JSON, or not an object; the text says which, for the model to read.
    """
    try:
        value = json.loads(call.arguments, strict=False)
    except json.JSONDecodeError as error:
        raise ValueError(f"the arguments of {call.name} are not valid JSON: {error}") from error
    except RecursionError:
        raise ValueError(f"the arguments of {call.name} are nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"the arguments of {call.name} must be a JSON object, not {type(value).__name__}")
    return value
