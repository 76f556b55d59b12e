"""OpenAI's own service on chat completions: every fault becomes one of our errors, every request part is sent."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from o.domain.messages import ImagePart, TextPart, ToolCall, ToolReturn
from o.domain.model import Finished, Sampling, TextDelta, ToolChoice, Usage
from o.errors import (
    ContextOverflow,
    InvalidReply,
    ModelError,
    ModelRateLimited,
    ModelUnavailable,
)
from o.providers.chat import ChatProvider
from o.providers.openai import OPENAI, openai_provider
from o.providers.spec import ProfileChange, ProviderSpec
from tests.emulators.faults import refused_as
from tests.emulators.openai_server import KEY, Emulator
from tests.emulators.requests import LOOK, NOTE, gather, message, reply, request


def _spec(url: str, key: str = KEY, *changes: tuple[str, ProfileChange]) -> ProviderSpec:
    return ProviderSpec("openai", "openai", base_url=url, api_key=key, key_from="OPENAI_API_KEY", changes=changes)


@pytest.fixture
async def provider(emulator: Emulator) -> AsyncIterator[ChatProvider]:
    provider = openai_provider(_spec(emulator.url), dialect=OPENAI, wire="chat", first_timeout=5.0, idle_timeout=0.3)
    yield provider
    await provider.close()


async def test_a_text_streams_and_ends_with_its_usage(provider: ChatProvider) -> None:
    events = await gather(provider.stream(request("gpt-4o", "hello")))
    assert events[:-1] == [TextDelta("You said: "), TextDelta("hello")]
    assert events[-1] == Finished("stop", Usage(11, 7, cached_input_tokens=3, reasoning_tokens=2))


@pytest.mark.parametrize(
    ("model", "kind", "wait"),
    [
        ("413", ContextOverflow, None),
        ("200-error", ModelRateLimited, None),
        ("gave-up", InvalidReply, None),
        ("in-stream-error", ModelUnavailable, None),
        ("in-stream-status", ModelUnavailable, None),
    ],
)
async def test_a_fault_of_this_wire_is_one_of_our_errors(
    provider: ChatProvider, model: str, kind: type[ModelError], wait: float | None
) -> None:
    await refused_as(provider, model, kind, wait, key=KEY)


async def test_an_unreachable_server_is_unavailable() -> None:
    provider = openai_provider(_spec("http://user:password@127.0.0.1:1/v1"))
    with pytest.raises(ModelUnavailable) as caught:
        await gather(provider.stream(request("gpt-4o", "hello")))
    assert "password" not in str(caught.value)
    await provider.close()


async def test_the_whole_request_is_sent(provider: ChatProvider, emulator: Emulator) -> None:
    long_id = "chatcmpl-tool-" + "0123456789abcdef" * 2  # vLLM's, which OpenAI refuses
    image = ImagePart(media_type="image/png", data="AAAA")
    sent = request(
        "gpt-4o",
        message("user", (TextPart("look"), image, ImagePart(url="http://x/y"))),
        message(
            "assistant", "well", calls=(ToolCall("c1", "take_note", '{"text": "a"}'), ToolCall(long_id, "look_up", "{"))
        ),
        message("tool", returns=(ToolReturn("c1", "ok", images=(image,)), ToolReturn(long_id, "no", "error"))),
        tools=(NOTE, LOOK),
        choice=ToolChoice("named", "look_up"),
        sampling=Sampling(temperature=0.5, top_p=0.9, frequency_penalty=1.0, max_tokens=9, seed=3, verbosity="low"),
    )
    await reply(provider, sent)
    body: dict[str, Any] = emulator.requests[-1]
    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    wrapped = {"name": "look_up", "arguments": '{"invalid_arguments": "{"}'}
    second = body["messages"][2]["tool_calls"][1]["id"]
    assert len(second) <= 40
    assert body["messages"] == [
        {"role": "system", "content": "You are brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                shown,
                {"type": "image_url", "image_url": {"url": "http://x/y"}},
            ],
        },
        {
            "role": "assistant",
            "content": "well",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "take_note", "arguments": '{"text": "a"}'}},
                {"id": second, "type": "function", "function": wrapped},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "ok\n[the images it returned follow]"},
        {"role": "tool", "tool_call_id": second, "content": "no"},
        {"role": "user", "content": [shown]},
    ]
    assert [tool["function"]["name"] for tool in body["tools"]] == ["take_note", "look_up"]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look_up"}}
    assert body["parallel_tool_calls"] is False
    assert (body["temperature"], body["top_p"], body["frequency_penalty"]) == (0.5, 0.9, 1.0)
    assert (body["max_completion_tokens"], body["seed"]) == (9, 3)
    assert body["stream_options"] == {"include_usage": True}
    assert not {"verbosity", "reasoning_effort", "response_format"} & set(body)


async def test_a_blind_model_gets_words_for_an_image(provider: ChatProvider, emulator: Emulator) -> None:
    await reply(provider, request("gpt-4", message("user", (ImagePart(url="http://x/y"),))))
    assert isinstance(emulator.requests[-1]["messages"][1]["content"], str)


async def test_what_the_owner_says_counts(emulator: Emulator) -> None:
    smaller, thinking = ProfileChange(context_window=1000), ProfileChange(reasoning=True)
    provider = openai_provider(_spec(f"{emulator.root}/any/v1", KEY, ("gpt-4o", smaller), ("mine", thinking)))
    assert (await provider.profile("gpt-4o")).context_window == 1000
    await reply(provider, request("mine", "hi", sampling=Sampling(reasoning_effort="low")))
    assert emulator.requests[-1]["reasoning_effort"] == "low"
    await provider.close()


async def test_the_listing_leaves_out_what_is_not_for_chat(provider: ChatProvider) -> None:
    listing = await provider.models()
    assert {"gpt-4o", "gpt-5.2", "gpt-5.3-codex", "gpt-5.4-pro"} <= set(listing.language)
    assert not {"gpt-5-pro", "o3-deep-research", "gpt-6-cyber"} & set(listing.language)
    assert not {"gpt-4o-audio-preview", "whisper-1", "text-embedding-3-small"} & set(listing.language)
    assert listing.embedding == ("text-embedding-3-small",)
    assert listing.language["gpt-4o"].context_window == 128_000


async def test_embeddings_come_in_order_and_of_unit_length(provider: ChatProvider) -> None:
    embedder = provider.embedder("embed-3")
    assert await embedder.dimensions() == 3
    texts = ["a" * length for length in range(1, 301)]  # more than one request's
    vectors = await embedder.embed(texts)
    assert len(vectors) == 300
    assert vectors == sorted(vectors)
    assert all(abs(sum(value * value for value in vector) - 1) < 1e-9 for vector in vectors)
    assert await provider.embedder("text-embedding-3-small").dimensions() == 1536


@pytest.mark.parametrize(
    ("model", "kind"), [("no-vectors", InvalidReply), ("ragged", InvalidReply), ("429-ms", ModelRateLimited)]
)
async def test_bad_embeddings_are_errors(provider: ChatProvider, model: str, kind: type[ModelError]) -> None:
    with pytest.raises(kind):
        await provider.embedder(model).embed(["one", "two"])
