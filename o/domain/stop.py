"""Why a turn ended, and the run status each reason implies (letta-v1 contract, section 5.3)."""

from typing import Literal

StopReason = Literal[
    "end_turn",
    "max_steps",
    "tool_rule",
    "requires_approval",
    "cancelled",
    "max_tokens_exceeded",
    "no_tool_call",
    "invalid_tool_call",
    "invalid_llm_response",
    "llm_api_error",
    "context_window_overflow_in_system_prompt",
    "insufficient_credits",
    "error",
]
RunStatus = Literal["created", "running", "completed", "failed", "cancelled"]

_COMPLETED = frozenset({"end_turn", "max_steps", "tool_rule", "requires_approval"})

# What a step that failed for good means for its run, by the error's code.
_BY_CODE: dict[str, StopReason] = {
    "cancelled": "cancelled",
    "context_window_exceeded": "context_window_overflow_in_system_prompt",
    "invalid_llm_response": "invalid_llm_response",
    "llm_insufficient_credits": "insufficient_credits",
    "budget_exceeded": "insufficient_credits",
    "invalid_tool_call": "invalid_tool_call",
}


def run_status(reason: StopReason) -> RunStatus:
    """The final status of a run that stopped for `reason`."""
    if reason == "cancelled":
        return "cancelled"
    return "completed" if reason in _COMPLETED else "failed"


def stop_reason_of(code: str) -> StopReason:
    """The stop reason of a run whose step failed with an error of this code."""
    if code in _BY_CODE:
        return _BY_CODE[code]
    return "llm_api_error" if code.startswith("llm_") else "error"
