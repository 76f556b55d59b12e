"""What of the transcript goes into a model request: as much as fits the window, the newest first.

Tokens are counted by the counter the caller brings, exact or on the safe side (`o.domain.tokens`). What the vendors'
wires add around a text is a bound. Where a provider counts more all the same and answers with a context overflow, its
caller builds the request again for a smaller window.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from o.domain.messages import ImagePart, Message, ReasoningPart, RedactedReasoningPart, TextPart, ToolReturn
from o.domain.model import ToolSpec
from o.domain.tokens import TokenCounter

_TOKENS_PER_MESSAGE = 5  # what ChatML and Llama 3 put around one: its role, its begin and its end
_TOKENS_PER_CALL = 16  # Qwen's and Hermes' form: <tool_call>{"name": "…", "arguments": …}</tool_call>
_TOKENS_PER_TOOL = 16  # the same form's {"type": "function", "function": {"name": …, "parameters": …}}


def estimate_message(message: Message, count: TokenCounter, image: int) -> int:
    """Tokens of one message with its tool calls and returns; `image` is what one picture takes."""
    total = _TOKENS_PER_MESSAGE
    for part in message.content:
        match part:
            case TextPart():
                total += count(part.text)
            case ReasoningPart():
                total += count(part.reasoning)
            case RedactedReasoningPart():
                total += count(part.redacted)
            case ImagePart():
                total += image
            case _:
                assert_never(part)
    for call in message.tool_calls:
        total += _TOKENS_PER_CALL + count(call.name) + count(call.arguments)
    for returned in message.tool_returns:
        total += count(returned.content) + image * len(returned.images)
    return total


def estimate_tools(tools: Sequence[ToolSpec], count: TokenCounter) -> int:
    """Tokens of the tools' definitions, as JSON."""
    return sum(
        _TOKENS_PER_TOOL + count(tool.name) + count(tool.description) + count(json.dumps(tool.parameters))
        for tool in tools
    )


def fit(messages: Sequence[Message], budget: int, count: TokenCounter, image: int) -> tuple[Message, ...]:
    """The system message and the newest whole exchanges that fit `budget` tokens; a picture takes `image`.

    A cut falls only before a user message, so a tool call is never parted from its return. The last exchange
    stays whatever it costs: without it there is nothing to answer. Older messages than those that fit are not counted.
    """
    system, rest = messages[:1], list(messages[1:])
    exchanges: list[list[Message]] = []
    for message in rest:
        if message.role in ("user", "system", "summary") or not exchanges:
            exchanges.append([])
        exchanges[-1].append(message)
    left = budget - sum(estimate_message(message, count, image) for message in system)
    kept: list[list[Message]] = []
    for exchange in reversed(exchanges):
        cost = sum(estimate_message(message, count, image) for message in exchange)
        if kept and cost > left:
            break
        kept.append(exchange)
        left -= cost
    return (*system, *(message for exchange in reversed(kept) for message in exchange))


def close_gaps(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The transcript with a return for every tool call and no return without its call.

    Vendors refuse a transcript with an orphan on either side for ever after. A step always stores both, so this
    changes nothing but transcripts that were imported, or cut elsewhere.
    """
    closed: list[Message] = []
    for index, message in enumerate(messages):
        following = messages[index + 1] if index + 1 < len(messages) else None
        if message.role == "tool":
            asked = {call.id for call in closed[-1].tool_calls} if closed and closed[-1].tool_calls else set()
            returns = tuple(returned for returned in message.tool_returns if returned.tool_call_id in asked)
            missing = asked - {returned.tool_call_id for returned in returns}
            if asked:
                closed.append(_with_returns(message, (*returns, *map(_unknown, sorted(missing)))))
            continue
        closed.append(message)
        if message.tool_calls and (following is None or following.role != "tool"):
            returns = tuple(_unknown(call.id) for call in message.tool_calls)
            closed.append(_with_returns(message, returns))
    return tuple(closed)


def distinct_ids(messages: Sequence[Message]) -> tuple[Message, ...]:
    """A transcript without gaps, in which no two calls have one id.

    Some providers count their calls anew in every reply (`call_1`); others refuse a transcript that names one twice.
    """
    seen: set[str] = set()
    renamed: dict[str, str] = {}  # ids of the last message with calls
    distinct: list[Message] = []
    for message in messages:
        if message.tool_calls:
            renamed = {}
            for call in message.tool_calls:
                renamed[call.id] = _unused(call.id, seen)
                seen.add(renamed[call.id])
            calls = tuple(replace(call, id=renamed[call.id]) for call in message.tool_calls)
            distinct.append(replace(message, tool_calls=calls))
        elif message.tool_returns:
            returns = tuple(replace(each, tool_call_id=renamed[each.tool_call_id]) for each in message.tool_returns)
            distinct.append(replace(message, tool_returns=returns))
        else:
            distinct.append(message)
    return tuple(distinct)


def _unused(call_id: str, seen: set[str]) -> str:
    number, free = 1, call_id
    while free in seen:
        number += 1
        free = f"{call_id}_{number}"
    return free


def merge_approvals(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The transcript as a model knows it: a request for approval is an assistant's calls, an answer is nothing.

    Calls that ran freely and calls that had to wait came in one reply, so they are one message again.
    """
    merged: list[Message] = []
    for message in messages:
        if message.role != "approval":
            merged.append(message)
        elif message.tool_calls and merged and merged[-1].role == "assistant" and merged[-1].step_id == message.step_id:
            merged[-1] = replace(merged[-1], tool_calls=(*merged[-1].tool_calls, *message.tool_calls))
        elif message.tool_calls:
            merged.append(replace(message, role="assistant"))
    return tuple(merged)


UNKNOWN_OUTCOME = (
    "The outcome of this call is unknown: it was interrupted and is not safe to repeat. "
    "It may or may not have taken effect; check before you try again."
)


def _unknown(call_id: str) -> ToolReturn:
    return ToolReturn(call_id, UNKNOWN_OUTCOME, "error")


def _with_returns(like: Message, returns: tuple[ToolReturn, ...]) -> Message:
    if like.role == "tool":
        return replace(like, tool_returns=returns)
    return replace(like, role="tool", content=(), tool_calls=(), tool_returns=returns)
