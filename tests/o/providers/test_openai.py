"""The OpenAI provider against the emulator: every fault becomes one of our errors, every request part is sent."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from o.domain.messages import ImagePart, TextPart, ToolCall, ToolReturn
from o.domain.model import Finished, ReasoningDelta, Sampling, TextDelta, ToolChoice, Usage
from o.errors import (
    ContextOverflow,
    InvalidReply,
    ModelAuthentication,
    ModelBadRequest,
    ModelError,
    ModelQuota,
    ModelRateLimited,
    ModelRefused,
    ModelTimeout,
    ModelUnavailable,
)
from o.providers.base import Profile
from o.providers.openai import OpenAIProvider
from tests.emulators.openai_server import KEY, Emulator
from tests.emulators.requests import LOOK, NOTE, gather, message, reply, request


@pytest.fixture
async def provider(emulator: Emulator) -> AsyncIterator[OpenAIProvider]:
    provider = OpenAIProvider(KEY, emulator.url, first_timeout=5.0, idle_timeout=0.3)
    yield provider
    await provider.close()


async def test_a_text_streams_and_ends_with_its_usage(provider: OpenAIProvider) -> None:
    events = await gather(provider.stream(request("gpt-4o", "hello")))
    assert events[:-1] == [TextDelta("You said: "), TextDelta("hello")]
    assert events[-1] == Finished("stop", Usage(11, 7, cached_input_tokens=3, reasoning_tokens=2))


@pytest.mark.parametrize(
    ("model", "kind", "wait"),
    [
        ("429-seconds", ModelRateLimited, 7.0),
        ("429-ms", ModelRateLimited, 1.5),
        ("429-garbage", ModelRateLimited, None),
        ("429-quota", ModelQuota, None),
        ("400", ModelBadRequest, None),
        ("400-overflow", ContextOverflow, None),
        ("400-filter", ModelRefused, None),
        ("401", ModelAuthentication, None),
        ("404", ModelBadRequest, None),
        ("500", ModelUnavailable, None),
        ("529", ModelUnavailable, 2.0),
        ("html", InvalidReply, None),
        ("cut", InvalidReply, None),
        ("broken", InvalidReply, None),
        ("garbage", InvalidReply, None),
        ("not-a-chunk", InvalidReply, None),
        ("in-stream-error", ModelUnavailable, None),
        ("stall", ModelTimeout, None),
    ],
)
async def test_every_fault_is_one_of_our_errors(
    provider: OpenAIProvider, model: str, kind: type[ModelError], wait: float | None
) -> None:
    with pytest.raises(kind) as caught:
        await gather(provider.stream(request(model, "secret words")))
    assert type(caught.value) is kind
    assert caught.value.retry_after == wait
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert KEY not in shown
    assert "secret words" not in shown


async def test_a_date_says_how_long_to_wait(provider: OpenAIProvider) -> None:
    with pytest.raises(ModelRateLimited) as caught:
        await gather(provider.stream(request("429-date", "hello")))
    assert caught.value.retry_after is not None
    assert 20 < caught.value.retry_after <= 30


async def test_a_wrong_key_names_its_variable(emulator: Emulator) -> None:
    provider = OpenAIProvider("sk-wrong", emulator.url)
    with pytest.raises(ModelAuthentication, match="OPENAI_API_KEY") as caught:
        await provider.models()
    assert "sk-wrong" not in str(caught.value)
    await provider.close()


async def test_an_unreachable_server_is_unavailable() -> None:
    provider = OpenAIProvider(KEY, "http://user:password@127.0.0.1:1/v1")
    with pytest.raises(ModelUnavailable) as caught:
        await gather(provider.stream(request("gpt-4o", "hello")))
    assert "password" not in str(caught.value)
    await provider.close()


async def test_a_slow_first_token_is_waited_for(provider: OpenAIProvider) -> None:
    assert (await reply(provider, request("slow-first", "hi"))).content == (TextPart("You said: hi"),)


async def test_closing_the_stream_hangs_up(provider: OpenAIProvider, emulator: Emulator) -> None:
    emulator.hung_up.clear()
    events = provider.stream(request("stall", "hi"))
    assert await anext(events) == TextDelta("You said: ")
    await events.aclose()
    assert emulator.hung_up.wait(5)


async def test_an_empty_reply_is_seen_as_one(provider: OpenAIProvider) -> None:
    assert (await reply(provider, request("empty", "hi"))).is_empty


async def test_repeated_ids_and_positions_stay_two_calls(provider: OpenAIProvider) -> None:
    for model in ("duplicate-ids", "all-zero"):
        calls = (await reply(provider, request(model, "hi", tools=(NOTE,)))).tool_calls
        assert [call.name for call in calls] == ["one", "two"]
        assert len({call.id for call in calls}) == 2


async def test_arguments_come_as_the_model_wrote_them(provider: OpenAIProvider) -> None:
    assert (await reply(provider, request("bad-arguments", "hi"))).tool_calls == (ToolCall("a", "one", '{"x": '),)


async def test_reasoning_and_odd_types(provider: OpenAIProvider) -> None:
    events = await gather(provider.stream(request("thinker", "hi")))
    assert events[:3] == [ReasoningDelta("hm "), ReasoningDelta("yes"), TextDelta("Done.")]
    assert (await reply(provider, request("odd-types", "hi"))).content == (TextPart("fine"),)


async def test_the_finish_reason(provider: OpenAIProvider) -> None:
    assert (await reply(provider, request("length", "hi"))).finish == "length"
    assert (await reply(provider, request("filtered", "hi"))).finish == "content_filter"
    forced = request("gpt-4o", "hi", tools=(NOTE,), choice=ToolChoice("named", "take_note"))
    assert (await reply(provider, forced)).finish == "tool_calls"


async def test_the_whole_request_is_sent(provider: OpenAIProvider, emulator: Emulator) -> None:
    sent = request(
        "gpt-4o",
        message(
            "user", (TextPart("look"), ImagePart(media_type="image/png", data="AAAA"), ImagePart(url="http://x/y"))
        ),
        message(
            "assistant", "well", calls=(ToolCall("c1", "take_note", '{"text": "a"}'), ToolCall("c2", "look_up", "{"))
        ),
        message("tool", returns=(ToolReturn("c1", "ok"), ToolReturn("c2", "no", "error"))),
        tools=(NOTE, LOOK),
        choice=ToolChoice("named", "look_up"),
        sampling=Sampling(temperature=0.5, max_tokens=9, seed=3),
    )
    await reply(provider, sent)
    body: dict[str, Any] = emulator.requests[-1]
    assert body["messages"] == [
        {"role": "system", "content": "You are brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "http://x/y"}},
            ],
        },
        {
            "role": "assistant",
            "content": "well",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "take_note", "arguments": '{"text": "a"}'}},
                {
                    "id": "c2",
                    "type": "function",
                    "function": {"name": "look_up", "arguments": '{"invalid_arguments": "{"}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
        {"role": "tool", "tool_call_id": "c2", "content": "no"},
    ]
    assert [tool["function"]["name"] for tool in body["tools"]] == ["take_note", "look_up"]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look_up"}}
    assert body["parallel_tool_calls"] is False
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.5, 9, 3)
    assert body["stream_options"] == {"include_usage": True}


async def test_reasoning_models_get_their_own_words(provider: OpenAIProvider, emulator: Emulator) -> None:
    sampling = Sampling(temperature=0.5, max_tokens=9, reasoning_effort="low")
    await reply(provider, request("o3-mini", "hi", tools=(NOTE,), sampling=sampling))
    body = emulator.requests[-1]
    assert (body["max_completion_tokens"], body["reasoning_effort"]) == (9, "low")
    assert not {"max_tokens", "temperature", "parallel_tool_calls"} & set(body)


async def test_a_blind_model_gets_words_for_an_image(provider: OpenAIProvider, emulator: Emulator) -> None:
    await reply(provider, request("unheard-of", message("user", (ImagePart(url="http://x/y"),))))
    assert emulator.requests[-1]["messages"][1]["content"][0]["type"] == "text"


async def test_profiles(emulator: Emulator) -> None:
    own = Profile(1000, 100)
    provider = OpenAIProvider(KEY, emulator.url, {"mine": own})
    assert await provider.profile("mine") is own
    assert (await provider.profile("gpt-4o-mini")).context_window == 128_000
    assert (await provider.profile("gpt-4")).context_window == 8_192
    assert (await provider.profile("gpt-5-mini")).reasoning
    assert not (await provider.profile("gpt-5-chat-latest")).reasoning
    assert (await provider.profile("unheard-of")).context_window == 32_768
    assert set(await provider.models()) == {"gpt-4o", "text-embedding-3-small"}
    await provider.close()


async def test_nothing_is_retried_here(provider: OpenAIProvider, emulator: Emulator) -> None:
    before, start = len(emulator.requests), time.monotonic()
    with pytest.raises(ModelUnavailable):
        await gather(provider.stream(request("500", "hi")))
    assert len(emulator.requests) == before + 1
    assert time.monotonic() - start < 2
