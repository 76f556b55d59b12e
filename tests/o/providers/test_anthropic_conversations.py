"""Conversations on Anthropic's wire that go on, with its own models' thoughts and what other vendors' left behind."""

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from o.domain.messages import ImagePart, Message, ReasoningPart, RedactedReasoningPart, TextPart, ToolCall, ToolReturn
from o.domain.model import ModelReply, ReasoningDelta, RedactedReasoning, Sampling, ToolSpec
from o.providers.anthropic import AnthropicProvider, anthropic_provider
from o.providers.spec import ProviderSpec
from tests.emulators import anthropic_server
from tests.emulators.anthropic_rules import REFUSED_THINKING
from tests.emulators.anthropic_server import KEY, Emulator
from tests.emulators.requests import LOOK, NOTE, gather, message, reply, request

MODELS = tuple(REFUSED_THINKING)
THINK = Sampling(reasoning=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with anthropic_server.running() as running:
        yield running


@pytest.fixture
async def provider(server: Emulator) -> AsyncIterator[AnthropicProvider]:
    server.refused.clear()
    provider = anthropic_provider(ProviderSpec("anthropic", "anthropic", server.url, KEY))
    yield provider
    await provider.close()


def _answered(said: tuple[Message, ...], answer: ModelReply) -> tuple[Message, ...]:
    """The transcript with a reply, and with the returns of its calls."""
    returns = tuple(ToolReturn(call.id, "done") for call in answer.tool_calls)
    replied = message("assistant", answer.content, calls=answer.tool_calls)
    return (*said, replied, *([message("tool", returns=returns)] if returns else []))


@pytest.mark.parametrize("model", MODELS)
async def test_thoughts_go_back_as_they_came(provider: AnthropicProvider, server: Emulator, model: str) -> None:
    said: tuple[Message, ...] = (message("user", "Call `take_note`."),)
    answer = await reply(provider, request(model, *said, tools=(NOTE,), sampling=THINK))
    thought, redacted = answer.content
    assert isinstance(thought, ReasoningPart)
    assert thought.reasoning == "hm yes"
    assert thought.signature
    assert thought.signature.startswith("proof-")
    assert isinstance(redacted, RedactedReasoningPart)
    said = _answered(said, answer)
    assert (await reply(provider, request(model, *said, tools=(NOTE,), sampling=THINK))).content[0] != thought
    sent = server.requests[-1]["messages"][1]["content"]
    assert sent[:2] == [
        {"type": "thinking", "thinking": "hm yes", "signature": thought.signature},
        {"type": "redacted_thinking", "data": redacted.redacted},
    ]
    assert not server.refused


@pytest.mark.parametrize("model", MODELS)
async def test_a_changed_memory_does_not_end_the_conversation(
    provider: AnthropicProvider, server: Emulator, model: str
) -> None:
    said: tuple[Message, ...] = (message("user", "Call `take_note`."),)
    first = request(model, *said, tools=(NOTE,), sampling=THINK)
    said = _answered(said, await reply(provider, first))
    then = request(model, *said, tools=(NOTE, LOOK), sampling=THINK)
    then = replace(then, messages=(message("system", "You are another."), *then.messages[1:]))
    assert (await reply(provider, then)).content
    assert not server.refused


async def test_a_proof_that_is_good_no_more_is_left_out(provider: AnthropicProvider, server: Emulator) -> None:
    said: tuple[Message, ...] = (message("user", "Call `take_note`."),)
    for model in ("claude-haiku-4-5", "claude-opus-5-5"):
        answer = await reply(provider, request(model, *said, tools=(NOTE,), sampling=THINK))
        thought = answer.content[0]
        assert isinstance(thought, ReasoningPart)
        spoiled = replace(answer, content=(replace(thought, signature="spoiled"), *answer.content[1:]))
        asked = request(model, *_answered(said, spoiled), tools=(NOTE,), sampling=THINK)
        server.refused.clear()
        assert not (await reply(provider, asked)).is_empty
        assert len(server.refused) == 1
        assert "thinking" not in str(server.requests[-1]["messages"])


async def test_a_thought_after_a_call_goes_nowhere(provider: AnthropicProvider) -> None:
    events = await gather(provider.stream(request("late-thought", "hi", tools=(NOTE,))))
    assert sum(isinstance(event, RedactedReasoning) for event in events) == 1
    assert sum(isinstance(event, ReasoningDelta) and event.signature is not None for event in events) == 1


# What other vendors' models leave behind: ids and names that do not fit, ids that come again, thoughts without proof
# or with another vendor's, arguments that are no JSON, blank texts, two assistants in a row, errors with images.
FOREIGN = (
    message("assistant", "Hello, I am your agent."),
    message("system", "A new day begins."),
    message("user", "  "),
    message("user", (TextPart("note it"), ImagePart(url="http://plain/x.png"))),
    message(
        "assistant",
        (
            ReasoningPart("well"),
            ReasoningPart("so", "sig", "openai"),
            RedactedReasoningPart("xyz", "openai"),
            TextPart(" "),
        ),
        calls=(ToolCall("call:0|weird id", "take.note", '{"text": "\\ud83d"}'), ToolCall("call_0", "look_up", "[1]")),
    ),
    message("user", "hurry"),
    message(
        "tool",
        returns=(
            ToolReturn("call_0", "", images=(ImagePart(media_type="image/bmp", data="AAAA"),)),
            ToolReturn("call:0|weird id", "no", "error", images=(ImagePart(media_type="image/png", data="AAAA"),)),
        ),
    ),
    message("assistant", "hm"),
    message("assistant", calls=(ToolCall("call_0", "x" * 90, "{"),)),
    message("tool", returns=(ToolReturn("call_0", "ok"), ToolReturn("nobody's", "left over"))),
)


@pytest.mark.parametrize("model", MODELS)
async def test_another_vendors_transcript_goes_on_here(
    provider: AnthropicProvider, server: Emulator, model: str
) -> None:
    offers: tuple[tuple[ToolSpec, ...], ...] = ((NOTE, LOOK, ToolSpec("x" * 90, "", {})), ())
    for length, tools, sampling in itertools.product(range(1, len(FOREIGN) + 1), offers, (Sampling(), THINK)):
        answer = await reply(provider, request(model, *FOREIGN[:length], tools=tools, sampling=sampling))
        assert not answer.is_empty
        assert not server.refused, (length, sampling)
