"""The Anthropic provider against the emulator, which refuses what the service refuses, through the real SDK."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from o.domain.messages import (
    TextPart,
    ToolCall,
)
from o.domain.model import (
    Finished,
    ModelRequest,
    Sampling,
    TextDelta,
    ToolChoice,
    ToolSpec,
    Usage,
)
from o.errors import (
    ContextOverflow,
    InvalidReply,
    ModelAuthentication,
    ModelError,
    ModelOverloaded,
    ModelQuota,
    ModelTimeout,
    ModelUnavailable,
    NotFound,
)
from o.providers import listing_cache
from o.providers.anthropic import AnthropicProvider, anthropic_provider
from o.providers.spec import ProfileChange, ProviderSpec
from tests.emulators import anthropic_server
from tests.emulators.anthropic_rules import REFUSED_THINKING
from tests.emulators.anthropic_server import KEY, Emulator
from tests.emulators.faults import refused_as
from tests.emulators.requests import LOOK, NOTE, gather, reply, request

MODELS = tuple(REFUSED_THINKING)
SETTINGS = (
    Sampling(),
    Sampling(reasoning=True, temperature=0.3, top_p=0.5, seed=1, frequency_penalty=1.0, verbosity="low"),
    Sampling(reasoning=False, reasoning_effort="xhigh", temperature=1.7),
    Sampling(reasoning_effort="none"),
    Sampling(reasoning_effort="xhigh", max_tokens=900_000),
    Sampling(reasoning_tokens=100, max_tokens=3_000),
    Sampling(reasoning_tokens=90_000, max_tokens=1_500),
)
CHOICES = (ToolChoice("required"), ToolChoice("named", "look_up"), ToolChoice(), ToolChoice("none"))


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with anthropic_server.running() as running:
        yield running


@pytest.fixture
async def provider(server: Emulator) -> AsyncIterator[AnthropicProvider]:
    server.refused.clear()
    provider = anthropic_provider(_spec(server.url), first_timeout=5.0, idle_timeout=0.3)
    yield provider
    await provider.close()


def _spec(url: str, key: str = KEY, **more: Any) -> ProviderSpec:
    return ProviderSpec("anthropic", "anthropic", url, key, key_from="ANTHROPIC_API_KEY", **more)


async def test_a_text_streams_and_ends_with_its_usage(provider: AnthropicProvider) -> None:
    events = await gather(provider.stream(request("claude-sonnet-4-6", "hello")))
    assert events[:-1] == [TextDelta("You said: "), TextDelta("hello")]
    # The service counts what it read, what came from its cache and what went into it apart; here they are one prompt.
    used = Usage(5 + 2 + 4, 7, cached_input_tokens=4, cache_write_tokens=2, reasoning_tokens=2)
    assert events[-1] == Finished("stop", used)


@pytest.mark.parametrize(
    ("model", "kind", "wait"),
    [
        ("402", ModelQuota, None),
        ("403", ModelAuthentication, None),
        ("413", ContextOverflow, None),
        ("504", ModelTimeout, None),
        ("in-stream-error", ModelOverloaded, None),
    ],
)
async def test_a_fault_of_this_wire_is_one_of_our_errors(
    provider: AnthropicProvider, model: str, kind: type[ModelError], wait: float | None
) -> None:
    await refused_as(provider, model, kind, wait, key=KEY)


async def test_an_unreachable_server_is_unavailable() -> None:
    provider = anthropic_provider(_spec("http://user:password@127.0.0.1:1"))
    with pytest.raises(ModelUnavailable) as caught:
        await gather(provider.stream(request("claude-opus-5", "hello")))
    assert "password" not in str(caught.value)
    await provider.close()


async def test_a_silent_thought_is_waited_for_and_a_call_that_is_being_written(provider: AnthropicProvider) -> None:
    answer = await reply(provider, request("slow-thought", "hi", tools=(NOTE,)))
    assert [call.name for call in answer.tool_calls] == ["one"]


@pytest.mark.parametrize("model", ["empty", "silent"])
async def test_an_empty_reply_is_seen_as_one(provider: AnthropicProvider, model: str) -> None:
    assert (await reply(provider, request(model, "hi"))).is_empty


async def test_calls_come_as_the_model_made_them(provider: AnthropicProvider) -> None:
    calls = (await reply(provider, request("duplicate-ids", "hi", tools=(NOTE,)))).tool_calls
    assert [call.name for call in calls] == ["one", "two"]
    assert len({call.id for call in calls}) == 2
    answer = await reply(provider, request("parallel", "hi", tools=(NOTE,)))
    assert answer.tool_calls == (ToolCall("toolu_a", "one", '{"text": "x"}'), ToolCall("toolu_b", "two", "{}"))
    assert answer.finish == "tool_calls"
    (call,) = (await reply(provider, request("bad-arguments", "hi", tools=(NOTE,)))).tool_calls
    assert call.arguments == '{"x": '


async def test_odd_types_and_a_whole_reply(provider: AnthropicProvider) -> None:
    assert (await reply(provider, request("odd-types", "hi"))).content == (TextPart("fine"),)
    whole = await reply(provider, request("whole", "hi", tools=(NOTE,), choice=ToolChoice("required")))
    assert whole.tool_calls[0].arguments == '{"text": "x"}'
    assert whole.usage.prompt_tokens == 11


@pytest.mark.parametrize(
    ("model", "reason"), [("length", "length"), ("window", "length"), ("filtered", "content_filter")]
)
async def test_why_it_stopped(provider: AnthropicProvider, model: str, reason: str) -> None:
    assert (await reply(provider, request(model, "hi"))).finish == reason


@pytest.mark.parametrize("model", MODELS)
async def test_every_model_takes_every_setting(provider: AnthropicProvider, server: Emulator, model: str) -> None:
    for choice, sampling in itertools.product(CHOICES, SETTINGS):
        asked = request(model, "hello", tools=(NOTE, LOOK), choice=choice, sampling=sampling)
        answer = await reply(provider, asked)
        assert not server.refused, (choice, sampling)
        demanded = choice.mode in ("required", "named")
        assert [call.name for call in answer.tool_calls] == [choice.name or "take_note"] * demanded
        assert answer.finish == ("tool_calls" if demanded else "stop")


async def test_models_that_still_take_a_temperature_get_it(provider: AnthropicProvider, server: Emulator) -> None:
    hot = Sampling(temperature=1.7, top_p=0.5)
    await reply(provider, request("claude-sonnet-4-6", "hi", sampling=hot))
    assert server.requests[-1]["temperature"] == 1.0
    assert "top_p" not in server.requests[-1]
    assert server.headers[-1]["anthropic-version"] == "2023-06-01"
    await reply(provider, request("claude-sonnet-4-6", "hi", sampling=replace(hot, reasoning=True)))
    await reply(provider, request("claude-opus-5", "hi", sampling=hot))
    for body, headers in zip(server.requests[-2:], server.headers[-2:], strict=True):
        assert "temperature" not in body
        assert headers["anthropic-version"] == "2026-10-21"
    await reply(provider, request("mine", "hi", sampling=hot))  # no model of Anthropic's: its own limits
    assert (server.requests[-1]["temperature"], server.requests[-1]["top_p"]) == (1.7, 0.5)


async def test_a_demanded_call_that_is_not_made_is_no_reply(provider: AnthropicProvider, server: Emulator) -> None:
    asked = request("claude-opus-5-5", "hello", tools=(NOTE,), choice=ToolChoice("named", "no_such_tool"))
    with pytest.raises(InvalidReply):
        await reply(provider, asked)


async def test_long_tool_names_are_ours_again(provider: AnthropicProvider) -> None:
    tool = ToolSpec("mcp.server/" + "x" * 90, "Does things.", {"type": "object", "properties": {}})
    for model in ("claude-opus-5", "claude-opus-5-5"):
        answer = await reply(provider, request(model, "hi", tools=(NOTE, tool), choice=ToolChoice("named", tool.name)))
        assert [call.name for call in answer.tool_calls] == [tool.name]


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 1}, "name": {"type": "string"}},
    "required": ["age"],
}


def _formed(model: str, form: dict[str, Any]) -> ModelRequest:
    return replace(request(model, "hi"), response_format=form)


async def test_a_reply_is_held_to_a_schema_or_told_it(provider: AnthropicProvider, server: Emulator) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
    await reply(provider, _formed("claude-sonnet-5-5", form))
    held = server.requests[-1]["output_config"]["format"]
    assert held["type"] == "json_schema"
    assert held["schema"]["required"] == ["age"]
    assert "minimum" not in held["schema"]["properties"]["age"]
    for other in (
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "any", "schema": {"type": "object"}}},
        {"type": "json_schema", "json_schema": {"name": "odd", "schema": {"type": ["string", "null"]}}},
    ):
        await reply(provider, _formed("claude-sonnet-5-5", other))
        assert "output_config" not in server.requests[-1]
        assert "JSON" in server.requests[-1]["system"][0]["text"]
    assert not server.refused


async def test_strict_tools_are_those_that_can_be(provider: AnthropicProvider, server: Emulator) -> None:
    closed = ToolSpec("closed", "", SCHEMA | {"additionalProperties": False})
    asked = replace(request("claude-opus-5-5", "hi", tools=(NOTE, closed)), strict=True)
    await reply(provider, asked)
    assert [tool.get("strict") for tool in server.requests[-1]["tools"]] == [None, True]
    many = tuple(replace(closed, name=f"t{number}") for number in range(21))
    await reply(provider, replace(asked, tools=many))
    assert not any("strict" in tool for tool in server.requests[-1]["tools"])
    assert not server.refused


async def test_models_are_listed_page_by_page_with_what_they_can(provider: AnthropicProvider) -> None:
    listed = (await provider.models()).language
    assert set(listed) == {"claude-opus-5-5", "claude-haiku-4-5-20251001", "claude-novella-7"}
    opus, novella = listed["claude-opus-5-5"], listed["claude-novella-7"]
    assert (opus.context_window, opus.max_output_tokens, opus.images, opus.reasoning) == (
        1_000_000,
        128_000,
        True,
        True,
    )
    assert opus.display_name == "Claude Opus 5.5"
    assert opus.price is not None
    assert (novella.context_window, novella.images, novella.structured) == (3_000_000, False, "text")


async def test_a_model_nobody_here_knows_is_asked_as_its_listing_says(
    provider: AnthropicProvider, server: Emulator
) -> None:
    await reply(provider, request("claude-novella-7", "hi", sampling=Sampling(reasoning=True, reasoning_tokens=2_000)))
    assert server.requests[-1]["thinking"] == {"type": "enabled", "budget_tokens": 2_000}
    assert server.requests[-1]["max_tokens"] == 256_000


async def test_the_owner_knows_better(server: Emulator) -> None:
    changes = (("claude-opus-5", ProfileChange(context_window=9_000)), ("mine", ProfileChange(reasoning=True)))
    provider = anthropic_provider(_spec(f"{server.url}/v1/", changes=changes))
    assert (await provider.profile("claude-opus-5")).context_window == 9_000
    assert (await provider.profile("claude-opus-5")).max_output_tokens == 2_250
    await reply(provider, request("mine", "hi", sampling=Sampling(reasoning=True, max_tokens=5_000)))
    assert server.requests[-1]["thinking"] == {"type": "enabled", "budget_tokens": 3_976}
    await provider.close()


async def test_what_is_not_there(provider: AnthropicProvider) -> None:
    with pytest.raises(NotFound):
        provider.embedder("any")
    assert (await provider.profile("unheard-of")).context_window == 32_768


async def test_a_listing_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(asked: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(listing_cache, "_TIMEOUT", 0.05)
    provider = anthropic_provider(
        _spec("https://silent.example"), transport=lambda: httpx2.MockTransport(silent), first_timeout=60.0
    )
    async with asyncio.timeout(5):
        assert (await provider.profile("some-model")).context_window == 32_768
    await provider.close()
