"""The model request of a step, assembled from what the store says."""

from collections.abc import Sequence
from dataclasses import replace

from o.domain.context import close_gaps, estimate_tools, fit, merge_approvals
from o.domain.loop import offer
from o.domain.messages import Message, TextPart
from o.domain.model import ModelRequest
from o.domain.tool_solver import Allowance
from o.providers.base import Profile
from o.store.turn import Asking

# Tokens kept free for the reply where the agent does not say how long it may be.
_REPLY_SHARE = 0.25


def assemble(asked: Asking, model: str, profile: Profile) -> tuple[ModelRequest, Allowance]:
    """The request for `model`, within the smaller of the agent's window and the model's own, and what it may call."""
    agent, options = asked.agent, asked.options
    tools, choice, allowed = offer(agent, options.client_tools, asked.history)
    window = min(agent.context_window, profile.context_window)
    reply = min(agent.sampling.max_tokens or profile.max_output_tokens, int(window * _REPLY_SHARE))
    messages = close_gaps(merge_approvals(_with_system(asked.messages, options.override_system)))
    request = ModelRequest(
        model=model,
        messages=fit(messages, window - reply - estimate_tools(tools)),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=allowed.parallel and agent.parallel_tool_calls and profile.parallel_tool_calls,
        sampling=agent.sampling,
        response_format=agent.response_format,
    )
    return request, allowed


def _with_system(messages: Sequence[Message], override: str | None) -> Sequence[Message]:
    if override is None or not messages:
        return messages
    return [replace(messages[0], content=(TextPart(override),)), *messages[1:]]
