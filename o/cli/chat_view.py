"""Prints the events of one turn as they come: answer, reasoning, tool calls and what they returned."""

from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from o.cli.output import err, out, short, visible

# Stop reasons of a turn that ended as it should need no word.
_QUIET = {"end_turn", "tool_rule", "requires_approval"}
_WORDS = {
    "max_steps": "the turn reached its step limit; say 'go on' to let it continue",
    "cancelled": "cancelled",
    "max_tokens_exceeded": "the answer reached the model's output limit",
    "no_tool_call": "the model called no tool although it had to",
    "invalid_tool_call": "the model called a tool in a way that makes no sense",
    "invalid_llm_response": "the model answered something that is no reply",
    "llm_api_error": "the model's provider failed",
    "context_window_overflow_in_system_prompt": "the agent's system prompt does not fit the model's context window",
    "insufficient_credits": "a budget, or the credit at the provider, is used up",
}


@dataclass
class _Call:
    name: str = ""
    arguments: str = ""


@dataclass
class TurnView:
    """What is known of the turn so far.

    Attributes:
        run_id: the run of the turn, as soon as an event has named it.
        failed: whether it ended in an error.
        approvals: tool calls that wait for a yes or no: id → call in words.
    """

    run_id: str | None = None
    failed: bool = False
    approvals: dict[str, str] = field(default_factory=dict)
    _calls: dict[str, _Call] = field(default_factory=dict)
    _last_call: str = ""
    _open: str = ""

    def show(self, event: dict[str, Any]) -> None:
        """Print one event."""
        self.run_id = event.get("run_id") or self.run_id
        match event.get("message_type"):
            case "assistant_message":
                self._text("answer", _plain(event["content"]), "")
            case "reasoning_message":
                self._text("reasoning", event["reasoning"], "dim italic")
            case "tool_call_message" | "approval_request_message" as kind:
                self._collect(event, waits=kind == "approval_request_message")
            case "tool_return_message":
                self._returned(event)
            case "reset":
                self._line("connection to the model was lost, trying again", "dim")
                self._calls.clear()
                self.approvals.clear()
            case "stop_reason":
                reason = str(event["stop_reason"])
                if reason not in _QUIET and reason != "error":
                    self._line(_WORDS.get(reason, reason), "yellow")
            case "error_message":
                self.failed = True
                self.close()
                text = f"error: {event.get('message')}{_because(event)}"
                err.print(Text(visible(text), style="red"), soft_wrap=True)

    def close(self) -> None:
        """End an open line."""
        if self._open:
            out.print()
            self._open = ""

    def _text(self, kind: str, text: str, style: str) -> None:
        if self._open != kind:
            self.close()
            self._open = kind
        out.print(Text(visible(text), style=style), end="", soft_wrap=True)

    def _line(self, text: str, style: str) -> None:
        self.close()
        out.print(Text(visible(text), style=style), soft_wrap=True)

    def _collect(self, event: dict[str, Any], *, waits: bool) -> None:
        listed = event.get("tool_calls") or event.get("tool_call") or []
        for delta in [listed] if isinstance(listed, dict) else listed:
            self._last_call = delta.get("tool_call_id") or self._last_call
            call = self._calls.setdefault(self._last_call, _Call())
            call.name += delta.get("name") or ""
            call.arguments += delta.get("arguments") or ""
            if waits:
                self.approvals[self._last_call] = f"{call.name}({short(call.arguments)})"

    def _returned(self, event: dict[str, Any]) -> None:
        returns = event.get("tool_returns") or [event]
        for one in returns:
            call = self._calls.pop(one["tool_call_id"], _Call("tool"))
            self.approvals.pop(one["tool_call_id"], None)
            style = "cyan" if one["status"] == "success" else "yellow"
            self._line(f"{call.name}({short(call.arguments, 120)}) → {short(_plain(one['tool_return']), 120)}", style)


def _plain(content: object) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _because(event: dict[str, Any]) -> str:
    detail = event.get("detail")
    return f" ({short(str(detail))})" if detail and detail != event.get("message") else ""
