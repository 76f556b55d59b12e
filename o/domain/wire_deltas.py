"""Model events as deltas of the wire: what a reader sees while the reply is still being written."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from o.domain.call_text import said_so_far, split_thought
from o.domain.json import JsonObject
from o.domain.model import (
    Finished,
    ModelEvent,
    ReasoningDelta,
    RedactedReasoning,
    TextDelta,
    ToolCallDelta,
    distinct_id,
)
from o.domain.wire import SAY_TOOL, approval_request_id, date, derived_otid, hidden_reasoning


@dataclass(slots=True)
class _Call:
    """A tool call as far as it was streamed.

    Attributes:
        written: its arguments as the model writes them; `arguments` is the same without a thought they open with.
        shown: characters said, of a call that is speech.
        thought: characters of the thought that were shown.
        opened: whether its name was shown.
    """

    call_id: str
    name: str
    written: str = ""
    arguments: str = ""
    shown: int = 0
    thought: int = 0
    opened: bool = False


class DeltaPrinter:
    """Prints the events of one model request as wire messages with partial content.

    Ids and otids are those `print_message` gives the stored row afterwards, if reasoning and text come before tool
    calls, as they do with every vendor. All deltas of one wire message share its otid.

    Args:
        message_id: id the reply will be stored under.
        legacy: the agent speaks through `send_message`.
        use_assistant_message: whether such a call prints as what is said.
        parallel: False keeps only the first tool call, as the loop will.
        waiting: names of tools whose calls wait for an approval or for the client; they print as requests of the
            approval message, whose id is `approval_request_id(message_id)`.
        thoughts: whether calls may open with a thought, which prints as reasoning (`Agent.thoughts_in_arguments`).
        undecided: whether it depends on the arguments of calls if they wait: then only the whole reply shows them.
    """

    def __init__(
        self,
        *,
        message_id: str,
        run_id: str,
        step_id: str,
        created_at: datetime,
        legacy: bool,
        use_assistant_message: bool = True,
        parallel: bool = True,
        waiting: Collection[str] = (),
        thoughts: bool = False,
        undecided: bool = False,
    ) -> None:
        self._message_id = message_id
        self._common: JsonObject = {"date": date(created_at), "step_id": step_id, "run_id": run_id}
        self._legacy = legacy
        self._spoken = legacy and use_assistant_message
        self._parallel = parallel
        self._waiting = frozenset(waiting)
        self._thoughts = thoughts
        self._undecided = undecided
        self._otids: dict[str, str] = {}
        self._part = ""  # what the last piece was of; another piece of the same goes on with its message
        self._calls: dict[int, _Call | ToolCallDelta] = {}

    def print(self, event: ModelEvent) -> list[JsonObject]:
        """The deltas of one event: none for what shows nothing (an end, an empty text, a call still without name)."""
        match event:
            case TextDelta(text):
                return [self._text(text)] if text else []
            case ReasoningDelta("", signature) if signature and not self._part.startswith("reasoner_model"):
                return [self._hidden(hidden_reasoning("omitted", None))]
            case ReasoningDelta(text, signature):
                return [self._reasoning(text, "reasoner_model", signature)] if text or signature else []
            case RedactedReasoning(redacted):
                return [self._hidden(hidden_reasoning("redacted", redacted))]
            case ToolCallDelta():
                return self._call(event)
            case Finished():
                return []

    def _otid(self, part: str) -> str:
        if part not in self._otids:
            self._otids[part] = derived_otid(self._message_id, len(self._otids))
        return self._otids[part]

    def _hidden(self, body: JsonObject) -> JsonObject:
        """A part of its own, that nobody can read."""
        self._part = ""
        delta = self._delta(self._part_otid("hidden"), body)
        self._part = ""
        return delta

    def _part_otid(self, kind: str) -> str:
        """The otid of the part that a piece of this kind belongs to."""
        if kind != self._part.partition(" ")[0]:
            self._part = f"{kind} {len(self._otids)}"
        return self._otid(self._part)

    def _delta(self, otid: str, body: JsonObject) -> JsonObject:
        return {"id": self._message_id, "otid": otid, **self._common, **body}

    def _text(self, text: str) -> JsonObject:
        if self._legacy:
            return self._reasoning(text, "non_reasoner_model", None)
        return self._delta(self._part_otid("text"), {"message_type": "assistant_message", "content": text})

    def _reasoning(self, text: str, source: str, signature: str | None) -> JsonObject:
        body: JsonObject = {"message_type": "reasoning_message", "reasoning": text, "source": source}
        if signature:
            body["signature"] = signature
        otid = self._part_otid(source)
        if signature:
            self._part = ""  # a signed part is a whole one
        return self._delta(otid, body)

    def _call(self, event: ToolCallDelta) -> list[JsonObject]:
        known = self._calls.get(event.index)
        if isinstance(known, _Call):
            return self._written(known, event.arguments)
        if known is not None:
            event = ToolCallDelta(
                event.index, event.id or known.id, event.name or known.name, known.arguments + event.arguments
            )
        if not event.name:
            self._calls[event.index] = event
            return []
        opened = [call for call in self._calls.values() if isinstance(call, _Call)]
        if opened and not self._parallel:
            return []
        call_id = distinct_id(event.id, event.index, {call.call_id for call in opened})  # as `ReplyBuilder` does
        call = self._calls[event.index] = _Call(call_id, event.name)
        if self._is_speech(call) and not self._thoughts:
            self._otid(f"say {call_id}")  # what it says has its place, said or not
        return self._written(call, event.arguments)

    def _written(self, call: _Call, fresh: str) -> list[JsonObject]:
        """The deltas of another piece of a call's arguments."""
        call.written += fresh
        if not self._thoughts:
            return self._fragment(call, fresh)
        thought, arguments = split_thought(call.written)
        news, call.thought = thought[call.thought :], len(thought)
        deltas = [self._thought(call, news)] if news else []
        if len(arguments) > len(call.arguments):
            deltas += self._fragment(call, arguments[len(call.arguments) :])
        return deltas

    def _thought(self, call: _Call, text: str) -> JsonObject:
        kind = {"message_type": "reasoning_message", "reasoning": text, "source": "non_reasoner_model"}
        body = kind if self._legacy else {"message_type": "assistant_message", "content": text}
        return self._delta(self._otid(f"thought {call.call_id}"), body)

    def _fragment(self, call: _Call, fresh: str) -> list[JsonObject]:
        call.arguments += fresh
        if self._is_speech(call):
            said = said_so_far(call.arguments) or ""
            news, call.shown = said[call.shown :], len(said)
            body = {"message_type": "assistant_message", "content": news}
            return [self._delta(self._otid(f"say {call.call_id}"), body)] if news else []
        if self._undecided or (call.opened and not fresh):
            return []
        named = {} if call.opened else {"name": call.name}
        call.opened = True
        return [self._call_delta(call, {**named, "arguments": fresh})]

    def _is_speech(self, call: _Call) -> bool:
        return self._spoken and call.name == SAY_TOOL and call.name not in self._waiting

    def _call_delta(self, call: _Call, fragment: JsonObject) -> JsonObject:
        delta = {**fragment, "tool_call_id": call.call_id}
        if call.name in self._waiting:
            otid = approval_request_id(self._message_id)
            body = {"message_type": "approval_request_message", "tool_call": delta, "tool_calls": delta}
            return {**self._delta(otid, body), "id": otid}
        body = {"message_type": "tool_call_message", "tool_call": delta, "tool_calls": delta}
        return self._delta(self._otid("calls"), body)
