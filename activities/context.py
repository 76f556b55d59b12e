"""The model request of a step, assembled from what the store says."""

from collections.abc import Sequence
from dataclasses import replace

from o.domain.context import close_gaps, distinct_ids, estimate_message, estimate_tools, fit, merge_approvals
from o.domain.heartbeats import as_seen
from o.domain.loop import offer
from o.domain.messages import Message, TextPart
from o.domain.model import ModelRequest, Sampling
from o.domain.tokens import image_bound
from o.domain.tool_solver import Allowance
from o.providers.base import Profile
from o.providers.token_counts import counter
from o.store.turn import Asking

# Tokens kept free for the reply where the agent does not say how long it may be.
_REPLY_SHARE = 0.25
# Tokens a reply is taken for, where nobody limits it, until its true length is known.
_USUAL_REPLY = 1024
_LEAST_REPLY = 512  # tokens a reply is given even where our count of the prompt leaves fewer: it is on the safe side
_UNSEEN_IMAGE = 32  # tokens of the words that stand for a picture where the model cannot see


def assemble(asked: Asking, model: str, profile: Profile, share: float = 1.0) -> tuple[ModelRequest, Allowance]:
    """The request for `model`, within the smaller of the agent's window and the model's own, and what it may call.

    Args:
        share: of the window that the transcript may fill, in (0, 1]: less, where the model counted more than we did.
    """
    agent, options = asked.agent, asked.options
    tools, choice, allowed = offer(agent, options.client_tools, asked.history)
    window = int(min(agent.context_window, profile.context_window) * share)
    wanted = min(agent.sampling.max_tokens or profile.max_output_tokens, profile.max_output_tokens)
    reply = min(wanted, int(window * _REPLY_SHARE))
    count, image = counter(profile.tokenizer), _image(profile)
    whole = close_gaps(merge_approvals(_with_system(asked.messages, options.override_system)))
    all_messages = distinct_ids(as_seen(whole, agent))
    room = window - estimate_tools(tools, count)
    messages = fit(all_messages, room - reply, count, image)
    room -= sum(estimate_message(message, count, image) for message in messages)
    request = ModelRequest(
        model=model,
        messages=messages,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=allowed.parallel and agent.parallel_tool_calls and profile.parallel_tool_calls,
        sampling=_within(agent.sampling, wanted, room),
        strict=agent.strict,
        response_format=agent.response_format,
    )
    return request, allowed


def estimate(request: ModelRequest, profile: Profile) -> int:
    """Tokens that prompt and reply may come to: the prompt on the safe side, the reply as it is limited or usual."""
    count, image = counter(profile.tokenizer), _image(profile)
    prompt = sum(estimate_message(message, count, image) for message in request.messages)
    reply = request.sampling.max_tokens or min(_USUAL_REPLY, profile.max_output_tokens)
    return prompt + estimate_tools(request.tools, count) + reply


def _image(profile: Profile) -> int:
    return image_bound(profile.tokenizer) if profile.images else _UNSEEN_IMAGE


def _within(sampling: Sampling, wanted: int, room: int) -> Sampling:
    """The settings with a longest reply that the model can write, and that fits the window beside the prompt.

    Vendors refuse a request whose prompt and longest reply together pass the window. Where nobody limits the reply and
    there is room for the longest, nothing is said of it.
    """
    if sampling.max_tokens is None and wanted <= room:
        return sampling
    return replace(sampling, max_tokens=min(wanted, max(room, _LEAST_REPLY)))


def _with_system(messages: Sequence[Message], override: str | None) -> Sequence[Message]:
    if override is None or not messages:
        return messages
    return [replace(messages[0], content=(TextPart(override),)), *messages[1:]]
