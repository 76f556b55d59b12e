"""The transcript in the words of the Letta V1 wire: stored messages, streamed deltas and the end of a run as JSON.

One stored message prints as one or more wire messages of the same id (letta-v1 contract, section 4). Lists, run
events and streams all print through here, so a message has the same ids wherever it is read.
"""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from o.domain.call_text import SAY_ARGUMENT
from o.domain.json import JsonObject
from o.domain.messages import (
    Approval,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    RedactedReasoningPart,
    TextPart,
    ToolCall,
    ToolReturn,
)
from o.domain.model import storable_text
from o.domain.stop import StopReason

SAY_TOOL = "send_message"


def date(at: datetime) -> str:
    """A message's date: whole seconds, with the offset spelled out."""
    return at.astimezone(UTC).replace(microsecond=0).isoformat()


def derived_otid(message_id: str, index: int) -> str:
    """The otid of the `index`-th wire message (0 ≤ index < 128) of a row: the low seven bits of its uuid count."""
    number = uuid.UUID(message_id.removeprefix("message-")).int
    return str(uuid.UUID(int=(number & ~0x7F) | (index & 0x7F)))


def approval_request_id(message_id: str) -> str:
    """Id of the approval request that a reply leads to: the reply's uuid minus one, as in the contract."""
    return f"message-{uuid.UUID(int=uuid.UUID(message_id.removeprefix('message-')).int - 1)}"


def print_message(message: Message, *, legacy: bool, use_assistant_message: bool = True) -> list[JsonObject]:
    """The wire messages of one stored message, in order.

    Args:
        legacy: the agent speaks through `send_message` (`Agent.speaks_by_tool`): its text is reasoning.
        use_assistant_message: whether such a call prints as what was said, and its return not at all.
    """
    spoken = legacy and use_assistant_message
    bodies: list[JsonObject]
    match message.role:
        case "system":
            bodies = [{"message_type": "system_message", "content": message.text}]
        case "user" | "summary":
            bodies = [{"message_type": "user_message", "content": _user_content(message.content)}]
        case "assistant":
            bodies = _said_parts(message, legacy=legacy)
            bodies += _calls(message.tool_calls, spoken=spoken)
        case "tool":
            bodies = _returns([r for r in message.tool_returns if not (spoken and _is_echo(r))])
        case "approval" if message.tool_calls:
            bodies = _said_parts(message, legacy=legacy)
            bodies.append(_call_message("approval_request_message", message.tool_calls))
        case "approval":
            bodies = [_answer(message.approvals)]
    return [_framed(message, index, body) for index, body in enumerate(bodies)]


def usage_statistics(
    *,
    steps: int,
    prompt: int,
    completion: int,
    cached: int = 0,
    cache_write: int = 0,
    reasoning: int = 0,
    context: int | None = None,
) -> JsonObject:
    """Tokens of a run, summed over its steps; `context` is the size of the last request and its reply."""
    return {
        "message_type": "usage_statistics",
        "completion_tokens": completion,
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "step_count": steps,
        "run_ids": None,
        "cached_input_tokens": cached,
        "cache_write_tokens": cache_write,
        "reasoning_tokens": reasoning,
        "context_tokens": context,
    }


def stop_message(stop: StopReason) -> JsonObject:
    return {"message_type": "stop_reason", "stop_reason": stop}


def error_message(run_id: str, code: str, message: str) -> JsonObject:
    """What a reader learns of a failed run; `code` is the error's code, `message` its words for a person."""
    return {
        "message_type": "error_message",
        "run_id": run_id,
        "error_type": _ERROR_TYPES.get(code, code),
        "message": message,
    }


# The words the contract has for `error_type` where they differ from our codes.
_ERROR_TYPES = {
    "invalid_llm_response": "llm_empty_response",
    "llm_unavailable": "llm_error",
    "llm_overloaded": "llm_error",
    "llm_unknown_model": "llm_error",
    "llm_bad_request": "llm_error",
    "llm_refused": "llm_error",
    "llm_insufficient_credits": "llm_error",
    "context_window_exceeded": "context_window_overflow_in_system_prompt",
}


def tool_call(call: ToolCall) -> JsonObject:
    return {"name": call.name, "arguments": call.arguments, "tool_call_id": call.id}


def said_by(call: ToolCall) -> str | None:
    """What a complete `send_message` call says; None for another tool or arguments without a text."""
    if call.name != SAY_TOOL:
        return None
    try:
        value = json.loads(call.arguments, strict=False)
    except (json.JSONDecodeError, RecursionError):
        return None
    said = value.get(SAY_ARGUMENT) if isinstance(value, dict) else None
    return storable_text(said) if isinstance(said, str) else None


def _framed(message: Message, index: int, body: JsonObject) -> JsonObject:
    kind = body["message_type"]
    if kind == "approval_request_message":
        otid = message.id
    elif message.role in ("assistant", "tool"):
        otid = derived_otid(message.id, index)
    else:
        otid = message.otid or derived_otid(message.id, index)
    return {
        "id": message.id,
        "date": date(message.created_at),
        "name": message.name,
        "otid": otid,
        "sender_id": message.sender_id,
        "step_id": message.step_id,
        "run_id": message.run_id,
        "is_err": None,
        "seq_id": None,
        **body,
    }


def _user_content(parts: Sequence[Part]) -> str | list[JsonObject]:
    if len(parts) == 1 and isinstance(parts[0], TextPart):
        return _unpacked(parts[0].text)
    printed: list[JsonObject] = []
    for part in parts:
        match part:
            case TextPart():
                printed.append({"type": "text", "text": part.text})
            case ImagePart():
                printed.append(_image(part))
            case ReasoningPart() | RedactedReasoningPart():
                continue
    return printed or ""


def _image(part: ImagePart) -> JsonObject:
    if part.url is not None:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    source = {"type": "letta", "file_id": None, "media_type": part.media_type, "data": part.data}
    return {"type": "image", "source": source}


def _unpacked(text: str) -> str:
    """Rows that older servers packed as {"type": "user_message", "message": …} show their text alone."""
    if not text.startswith('{"type"'):
        return text
    try:
        packed = json.loads(text)
    except (json.JSONDecodeError, RecursionError):  # a person may type anything, also ten thousand brackets
        return text
    if packed.get("type") == "user_message" and isinstance(packed.get("message"), str):
        unpacked: str = packed["message"]
        return unpacked
    return text


def _said_parts(message: Message, *, legacy: bool) -> list[JsonObject]:
    return [
        _said_part(part, legacy=legacy)
        for part in message.content
        if (isinstance(part, TextPart) and part.text)
        or (isinstance(part, ReasoningPart) and (part.reasoning or part.signature))
        or isinstance(part, RedactedReasoningPart)
    ]


def _said_part(part: TextPart | ReasoningPart | RedactedReasoningPart, *, legacy: bool) -> JsonObject:
    match part:
        case RedactedReasoningPart():
            return hidden_reasoning("redacted", part.redacted)
        case ReasoningPart() if not part.reasoning:  # its vendor gives the proof of a thought, and not the thought
            return hidden_reasoning("omitted", None)
        case TextPart() if not legacy:
            return {"message_type": "assistant_message", "content": part.text}
        case TextPart():
            return _reasoning(part.text, "non_reasoner_model", None)
        case ReasoningPart():
            return _reasoning(part.reasoning, "reasoner_model", part.signature)


def hidden_reasoning(state: Literal["redacted", "omitted"], redacted: str | None) -> JsonObject:
    """A thought that nobody can read."""
    return {"message_type": "hidden_reasoning_message", "state": state, "hidden_reasoning": redacted}


def _reasoning(text: str, source: str, signature: str | None) -> JsonObject:
    return {"message_type": "reasoning_message", "reasoning": text, "source": source, "signature": signature}


def _calls(calls: Sequence[ToolCall], *, spoken: bool) -> list[JsonObject]:
    """What was said through `send_message` (where that counts as speech), then one message for all other calls."""
    said: list[JsonObject] = []
    others: list[ToolCall] = []
    for call in calls:
        text = said_by(call) if spoken else None
        if text is None:
            others.append(call)
        else:
            said.append({"message_type": "assistant_message", "content": text})
    return [*said, _call_message("tool_call_message", others)] if others else said


def _call_message(kind: str, calls: Sequence[ToolCall]) -> JsonObject:
    printed = [tool_call(call) for call in calls]
    return {"message_type": kind, "tool_call": printed[0], "tool_calls": printed}


def _is_echo(returned: ToolReturn) -> bool:
    """Whether a return says nothing beyond "it was said". A refused `send_message` is shown."""
    return returned.name == SAY_TOOL and returned.status == "success"


def _returns(returns: Sequence[ToolReturn]) -> list[JsonObject]:
    if not returns:
        return []
    printed = [
        {
            "type": "tool",
            "tool_return": _shown(returned),
            "status": returned.status,
            "tool_call_id": returned.tool_call_id,
            "stdout": list(returned.stdout) or None,
            "stderr": list(returned.stderr) or None,
        }
        for returned in returns
    ]
    # The older fields hold the first return, as text alone.
    first = {key: value for key, value in printed[0].items() if key != "type"} | {"tool_return": returns[0].content}
    return [{"message_type": "tool_return_message", **first, "tool_returns": printed}]


def _shown(returned: ToolReturn) -> str | list[JsonObject]:
    if not returned.images:
        return returned.content
    text = [{"type": "text", "text": returned.content}] if returned.content else []
    return [*text, *map(_image, returned.images)]


def _answer(approvals: Sequence[Approval]) -> JsonObject:
    first = approvals[0] if approvals else None
    return {
        "message_type": "approval_response_message",
        "approvals": [_approval(approval) for approval in approvals],
        "approve": first.approve if first else None,
        "approval_request_id": first.tool_call_id if first else None,
        "reason": first.reason if first else None,
    }


def _approval(approval: Approval) -> JsonObject:
    if approval.returned is None:
        return {
            "type": "approval",
            "tool_call_id": approval.tool_call_id,
            "approve": approval.approve,
            "reason": approval.reason,
        }
    returned = approval.returned
    return {
        "type": "tool",
        "tool_return": _shown(returned),
        "status": returned.status,
        "tool_call_id": returned.tool_call_id,
        "stdout": list(returned.stdout) or None,
        "stderr": list(returned.stderr) or None,
    }
