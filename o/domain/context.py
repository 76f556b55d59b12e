"""What of the transcript goes into a model request: as much as fits the window, the newest first.

Token counts are estimates on the safe side: UTF-8 bytes / 3 + 4 a message. English text has about four bytes a
token and code about three, so the estimate is seldom too low; a provider that counts more answers with a context
overflow, and the request is built again for a smaller window.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

from o.domain.messages import ImagePart, Message, ReasoningPart, TextPart, ToolReturn
from o.domain.model import ToolSpec

_BYTES_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_IMAGE = 1600  # what the large vendors charge for a full-size picture


def estimate(text: str) -> int:
    """Tokens of a text, on the safe side."""
    return math.ceil(len(text.encode()) / _BYTES_PER_TOKEN)


def estimate_message(message: Message) -> int:
    """Tokens of one message with its tool calls and returns."""
    total = _TOKENS_PER_MESSAGE
    for part in message.content:
        match part:
            case TextPart():
                total += estimate(part.text)
            case ReasoningPart():
                total += estimate(part.reasoning)
            case ImagePart():
                total += _TOKENS_PER_IMAGE
    total += sum(estimate(call.name) + estimate(call.arguments) for call in message.tool_calls)
    return total + sum(estimate(returned.content) for returned in message.tool_returns)


def estimate_tools(tools: Sequence[ToolSpec]) -> int:
    return sum(estimate(tool.name + tool.description + json.dumps(tool.parameters)) for tool in tools)


def fit(messages: Sequence[Message], budget: int) -> tuple[Message, ...]:
    """The system message and the newest whole exchanges that fit `budget` tokens.

    A cut falls only before a user message, so a tool call is never parted from its return. The last exchange
    stays whatever it costs: without it there is nothing to answer.
    """
    system, rest = messages[:1], list(messages[1:])
    exchanges: list[list[Message]] = []
    for message in rest:
        if message.role in ("user", "system", "summary") or not exchanges:
            exchanges.append([])
        exchanges[-1].append(message)
    left = budget - sum(map(estimate_message, system))
    kept: list[list[Message]] = []
    for exchange in reversed(exchanges):
        cost = sum(map(estimate_message, exchange))
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
