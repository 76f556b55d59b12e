"""A model request is within the window of the model that is asked, its reply included."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from activities.context import assemble, estimate
from o.domain.agent import Agent
from o.domain.messages import Message, Role, TextPart
from o.domain.model import Sampling
from o.domain.request import TurnOptions
from o.providers.base import Profile
from o.store.repositories.providers import Snapshot
from o.store.turn import Asking

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AGENT = Agent(
    id="agent-1",
    org_id="org-1",
    name="n",
    agent_type="letta_v1_agent",
    system="",
    model="x/y",
    context_window=100_000,
    sampling=Sampling(),
    strict=False,
    parallel_tool_calls=True,
    response_format=None,
    rules=(),
    tools=(),
    blocks=(),
    timezone="UTC",
    message_buffer_autoclear=False,
    created_at=NOW,
)


def asking(words: int, max_tokens: int | None = None, *, exchanges: int = 40) -> Asking:
    """A transcript of so many exchanges of so many words each."""

    def message(role: Role, text: str, number: int = 0) -> Message:
        return Message(f"message-{number}", role, (TextPart(text),), NOW)

    said = [message("system", "You are tested.")]
    for number in range(exchanges):
        said += [message("user", "word " * words, number), message("assistant", "Yes.", number)]
    agent = replace(AGENT, sampling=Sampling(max_tokens=max_tokens))
    return Asking(1, 1, "step-1", agent, TurnOptions(), (*said, message("user", "And now?")), (), Snapshot())


@pytest.mark.parametrize("max_tokens", [None, 100, 4_096, 50_000])
@pytest.mark.parametrize("output", [512, 4_096, 8_192])
@pytest.mark.parametrize("words", [1, 100, 400])
def test_prompt_and_longest_reply_fit_the_window(max_tokens: int | None, output: int, words: int) -> None:
    profile = Profile(context_window=8_192, max_output_tokens=output)
    request, _ = assemble(asking(words, max_tokens), "m", profile)
    longest = request.sampling.max_tokens or output
    prompt = estimate(replace(request, sampling=Sampling(max_tokens=1)), profile) - 1
    assert prompt + longest <= 8_192
    assert longest >= min(max_tokens or output, output, 2_048), "a quarter of the window is kept for the reply"
    assert request.messages[-1].text == "And now?"


def test_nothing_is_said_of_the_reply_where_there_is_room() -> None:
    request, _ = assemble(asking(1), "m", Profile(context_window=200_000, max_output_tokens=64_000))
    assert request.sampling.max_tokens is None


def test_a_smaller_share_leaves_more_of_the_transcript_out() -> None:
    profile = Profile(context_window=8_192, max_output_tokens=1_024)
    lengths = [len(assemble(asking(100), "m", profile, share)[0].messages) for share in (1.0, 0.7, 0.4)]
    assert lengths[0] > lengths[1] > lengths[2] > 2


def test_the_last_words_stay_however_long_they_are() -> None:
    asked = asking(3_000, exchanges=1)
    last = replace(asked.messages[1], role="user")
    request, _ = assemble(replace(asked, messages=(asked.messages[0], last)), "m", Profile(1_000, 1_000))
    assert request.messages[-1] == last
    assert request.sampling.max_tokens == 512
