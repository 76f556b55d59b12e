"""Groq on its own SDK, against its emulator."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from o.domain.json import JsonObject
from o.domain.messages import ReasoningPart, TextPart, ToolCall, ToolReturn
from o.domain.model import Finished, Sampling, TextDelta, ToolChoice, Usage
from o.errors import (
    ContextOverflow,
    InvalidReply,
    ModelError,
    ModelOverloaded,
    ModelUnknown,
    NotFound,
)
from o.providers.chat import ChatProvider
from o.providers.groq import groq_provider
from o.providers.spec import ProviderSpec
from tests.emulators import groq_server
from tests.emulators.groq_server import KEY, Emulator
from tests.emulators.requests import LOOK, NOTE, gather, message, reply, request

FORM: JsonObject = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}


@pytest.fixture(scope="module")
def groq() -> Iterator[Emulator]:
    with groq_server.running() as running:
        yield running


@pytest.fixture
async def provider(groq: Emulator) -> AsyncIterator[ChatProvider]:
    spec = ProviderSpec("groq", "groq", base_url=groq.url, api_key=KEY, key_from="GROQ_API_KEY")
    provider = groq_provider(spec, first_timeout=5.0, idle_timeout=0.3)
    yield provider
    await provider.close()


async def test_a_text_streams_and_ends_with_its_usage(provider: ChatProvider) -> None:
    events = await gather(provider.stream(request("llama-3.3-70b-versatile", "hello")))
    assert events[:-1] == [TextDelta("You said: "), TextDelta("hello")]
    assert events[-1] == Finished("stop", Usage(11, 7, cached_input_tokens=3, reasoning_tokens=2))


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("tool-use-failed", InvalidReply),
        ("json-failed", InvalidReply),
        ("422", InvalidReply),
        ("413", ContextOverflow),
        ("413-tokens", ContextOverflow),
        ("498", ModelOverloaded),
        ("decommissioned", ModelUnknown),
        ("stream-error", InvalidReply),
    ],
)
async def test_a_fault_of_groqs_is_one_of_our_errors(
    provider: ChatProvider, model: str, kind: type[ModelError]
) -> None:
    with pytest.raises(kind) as caught:
        await gather(provider.stream(request(model, "secret words")))
    assert type(caught.value) is kind
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert KEY not in shown
    assert "secret words" not in shown


@pytest.mark.parametrize(
    ("model", "wanted", "sent", "form"),
    [
        ("openai/gpt-oss-120b", "none", "low", None),
        ("openai/gpt-oss-20b", "xhigh", "high", None),
        ("qwen/qwen3-32b", "none", "none", "parsed"),
        ("qwen/qwen3-32b", "high", "default", "parsed"),
        ("qwen/qwen3.8-27b", "xhigh", "high", "parsed"),
        ("llama-3.3-70b-versatile", "high", None, None),
    ],
)
async def test_every_model_gets_an_effort_it_takes(
    provider: ChatProvider, groq: Emulator, model: str, wanted: str, sent: str | None, form: str | None
) -> None:
    sampling = Sampling(max_tokens=9, frequency_penalty=0.5, verbosity="low", seed=1, reasoning_effort=wanted)
    await reply(provider, request(model, "hi", sampling=sampling))
    body = groq.requests[-1]
    assert (body.get("reasoning_effort"), body.get("reasoning_format")) == (sent, form)
    assert body["max_completion_tokens"] == 9


async def test_a_form_comes_whole(provider: ChatProvider, groq: Emulator) -> None:
    asked = replace(request("openai/gpt-oss-20b", "hi"), response_format=FORM)
    events = await gather(provider.stream(asked))
    assert events[0] == TextDelta('{"answer": "You said: hi"}')
    assert groq.requests[-1]["stream"] is False
    assert "stream_options" not in groq.requests[-1]


async def test_beside_tools_a_form_is_asked_for_in_words(provider: ChatProvider, groq: Emulator) -> None:
    await reply(provider, replace(request("openai/gpt-oss-20b", "hi", tools=(NOTE,)), response_format=FORM))
    body = groq.requests[-1]
    assert "response_format" not in body
    assert "JSON schema" in body["messages"][0]["content"]


async def test_thoughts_go_back_with_the_calls_they_led_to(provider: ChatProvider, groq: Emulator) -> None:
    called = message("assistant", (ReasoningPart("hm"),), calls=(ToolCall("a", "take_note", "{}"),))
    said = ("hi", called, message("tool", returns=(ToolReturn("a", "ok"),)))
    for model, sent in (("openai/gpt-oss-20b", "hm"), ("llama-3.3-70b-versatile", None)):
        await reply(provider, request(model, *said, tools=(NOTE, LOOK)))
        assert groq.requests[-1]["messages"][2].get("reasoning") == sent


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "take_note")])
async def test_a_demanded_tool_is_called(provider: ChatProvider, choice: ToolChoice) -> None:
    answer = await reply(provider, request("openai/gpt-oss-20b", "hi", tools=(NOTE,), choice=choice))
    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("take_note", '{"text": "x"}')]


async def test_the_listing(provider: ChatProvider) -> None:
    listing = await provider.models()
    assert not {"gone", "whisper-large-v3"} & set(listing.language)
    known, new = listing.language["llama-3.3-70b-versatile"], listing.language["some/new-model"]
    assert known.price is not None
    assert (known.max_output_tokens, new.context_window, new.max_output_tokens) == (32_768, 65_536, 8_000)
    assert listing.embedding == ()
    with pytest.raises(NotFound, match="no-such-model"):
        await provider.profile("no-such-model")


async def test_it_embeds_nothing(provider: ChatProvider) -> None:
    with pytest.raises(NotFound):
        provider.embedder("any")


@pytest.mark.parametrize("tail", ["", "/", "/openai/v1", "/openai/v1/"])
async def test_the_address_in_both_spellings(groq: Emulator, tail: str) -> None:
    provider = groq_provider(ProviderSpec("groq", "groq", base_url=groq.url + tail, api_key=KEY))
    assert (await reply(provider, request("openai/gpt-oss-20b", "hi"))).content == (TextPart("You said: hi"),)
    await provider.close()


async def test_pictures_are_said_to_be_seen_by_those_that_see(provider: ChatProvider) -> None:
    assert (await provider.profile("qwen/qwen3.8-27b")).images
    assert not (await provider.profile("openai/gpt-oss-120b")).images
