"""The Ollama provider against the emulator: every fault becomes one of our errors, every request part is sent."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from o.domain.messages import ReasoningPart, TextPart, ToolCall
from o.domain.model import Finished, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from o.errors import (
    ContextOverflow,
    InvalidReply,
    ModelAuthentication,
    ModelBadRequest,
    ModelError,
    ModelOverloaded,
    ModelUnavailable,
)
from o.guard.policy import Guard
from o.guard.transport import transport
from o.providers.ollama import OllamaProvider, ollama_provider
from o.providers.ollama_client import server_url
from o.providers.spec import ProviderSpec
from tests.emulators import ollama_server
from tests.emulators.faults import refused_as
from tests.emulators.ollama_server import KEY, Emulator
from tests.emulators.requests import LOOK, NOTE, gather, reply, request


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with ollama_server.running() as running:
        yield running


def spec(emulator: Emulator, **given: Any) -> ProviderSpec:
    return ProviderSpec("ollama", "ollama", **{"base_url": emulator.url, "api_key": KEY, **given})


@pytest.fixture
async def provider(emulator: Emulator) -> AsyncIterator[OllamaProvider]:
    provider = ollama_provider(spec(emulator), first_timeout=5.0, idle_timeout=0.3)
    yield provider
    await provider.close()


async def test_a_text_streams_and_ends_with_its_usage(provider: OllamaProvider) -> None:
    events = await gather(provider.stream(request("llama3.1", "hello")))
    assert events[:-1] == [TextDelta("You said: "), TextDelta("hello")]
    assert events[-1] == Finished("stop", Usage(11, 7, cached_input_tokens=3))


@pytest.mark.parametrize(
    ("model", "kind", "wait"),
    [
        ("400-overflow-old", ContextOverflow, None),
        ("cut-prompt", ContextOverflow, None),
        ("413", ModelBadRequest, None),
        ("500-memory", ModelBadRequest, None),
        ("503", ModelOverloaded, None),
        ("moved", ModelBadRequest, None),
        ("no-tools-after-all", ModelBadRequest, None),
        ("bad-arguments", InvalidReply, None),
        ("loaded", InvalidReply, None),
        ("in-stream-error", ModelUnavailable, None),
    ],
)
async def test_a_fault_of_this_wire_is_one_of_our_errors(
    provider: OllamaProvider, model: str, kind: type[ModelError], wait: float | None
) -> None:
    await refused_as(provider, model, kind, wait, key=KEY)


@pytest.mark.parametrize(
    ("model", "fix"),
    [
        ("404", "ollama pull 404"),
        ("missing:7b", "ollama pull missing:7b"),
        ("500-memory", "context_window"),
        ("no-tools-after-all", "set `tools` of this model to `schema`"),
        ("moved", "OLLAMA_BASE_URL"),
    ],
)
async def test_an_error_says_what_to_do(provider: OllamaProvider, model: str, fix: str) -> None:
    with pytest.raises(ModelError, match=fix):
        await gather(provider.stream(request(model, "hi")))


async def test_a_wrong_key_names_its_variable(emulator: Emulator) -> None:
    provider = ollama_provider(spec(emulator, api_key="wrong-key", key_from="OLLAMA_API_KEY"))
    with pytest.raises(ModelAuthentication, match="OLLAMA_API_KEY") as caught:
        await provider.models()
    assert "wrong-key" not in str(caught.value)
    await provider.close()


async def test_a_missing_key_is_asked_for(emulator: Emulator) -> None:
    provider = ollama_provider(spec(emulator, api_key=None))
    with pytest.raises(ModelAuthentication, match="ollama signin"):
        await provider.models()
    await provider.close()


async def test_no_key_of_the_environment_is_sent(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "the-operators-own")
    provider = ollama_provider(spec(emulator, api_key=None))
    with pytest.raises(ModelAuthentication):
        await provider.models()
    assert emulator.authorized_as is None
    await provider.close()


async def test_a_password_in_the_address_is_sent_and_never_shown(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "keyless", True)
    provider = ollama_provider(spec(emulator, api_key=None, base_url=emulator.url.replace("//", "//ada:p%40ss@")))
    assert (await provider.models()).language
    assert emulator.authorized_as == "Basic YWRhOnBAc3M="
    dead = ollama_provider(ProviderSpec("ollama", "ollama", base_url="http://ada:password@127.0.0.1:1"))
    with pytest.raises(ModelUnavailable, match=r"127\.0\.0\.1.*OLLAMA_BASE_URL") as caught:
        await gather(dead.stream(request("qwen3", "hi")))
    assert "password" not in f"{caught.value!r} {caught.value.__cause__!r}"
    with pytest.raises(ModelUnavailable):
        await dead.models()
    await provider.close()
    await dead.close()


@pytest.mark.parametrize(
    ("written", "root"),
    [
        (None, "http://127.0.0.1:11434"),
        ("ollama:11434", "ollama:11434"),
        (" http://ollama:11434/ ", "http://ollama:11434"),
        ("http://ollama:11434/v1/", "http://ollama:11434"),
        ("https://box.example/ollama/api", "https://box.example/ollama"),
    ],
)
def test_an_address_is_taken_as_people_write_it(written: str | None, root: str) -> None:
    assert server_url(written) == root


async def test_any_way_to_write_the_address_reaches_the_server(emulator: Emulator) -> None:
    for written in (emulator.url.removeprefix("http://"), f"{emulator.url}/v1", f"{emulator.url}/"):
        provider = ollama_provider(spec(emulator, base_url=written))
        assert (await reply(provider, request("llama3.1", "hi"))).content
        await provider.close()


async def test_an_address_that_leads_elsewhere_is_named(emulator: Emulator) -> None:
    for written, words in ((f"{emulator.url}/nothing/here", "is not Ollama"), ("http://[", "no URL")):
        provider = ollama_provider(spec(emulator, base_url=written))
        with pytest.raises(ModelBadRequest, match=rf"{words}.*OLLAMA_BASE_URL"):
            await gather(provider.stream(request("qwen3", "hi")))
        await provider.close()


async def test_the_guard_says_why_it_refused(emulator: Emulator) -> None:
    given = spec(emulator, guarded=True)
    provider = ollama_provider(given, transport=lambda: transport(Guard()))
    with pytest.raises(ModelBadRequest, match="loopback"):
        await provider.models()
    with pytest.raises(ModelBadRequest, match="loopback"):
        await gather(provider.stream(request("qwen3", "hi")))
    await provider.close()


async def test_silence_while_a_call_is_written_is_no_stall(emulator: Emulator) -> None:
    provider = ollama_provider(spec(emulator), first_timeout=30.0, idle_timeout=0.05)
    events = provider.stream(request("stall", "hi", tools=(NOTE,)))
    await anext(events)
    with pytest.raises(TimeoutError):  # ours, not the provider's
        await asyncio.wait_for(anext(events), 0.5)
    await events.aclose()
    await provider.close()


class Watched(httpx.AsyncHTTPTransport):
    """Knows whether the last answer's connection was given up."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self.closed = False
        response.stream = WatchedStream(response.stream, self)
        return response


class WatchedStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, watched: Watched) -> None:
        self._stream, self._watched = stream, watched

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        await self._stream.aclose()
        self._watched.closed = True


async def test_closing_the_stream_hangs_up(emulator: Emulator) -> None:
    emulator.hung_up.clear()
    watched = Watched()
    provider = ollama_provider(spec(emulator), transport=lambda: watched)
    events = provider.stream(request("stall", "hi"))
    assert await anext(events) == TextDelta("You said: ")
    assert not watched.closed
    await events.aclose()
    assert watched.closed  # already now, not when the garbage is collected
    assert await asyncio.to_thread(emulator.hung_up.wait, 5)
    await provider.close()


async def test_cancelling_hangs_up(emulator: Emulator) -> None:
    emulator.hung_up.clear()
    provider = ollama_provider(spec(emulator))
    began = asyncio.Event()

    async def ask() -> None:
        async for _ in provider.stream(request("stall", "hi")):
            began.set()

    asking = asyncio.create_task(ask())
    await asyncio.wait_for(began.wait(), 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await asyncio.to_thread(emulator.hung_up.wait, 5)
    await provider.close()


@pytest.mark.parametrize("model", ["empty", "silent"])
async def test_an_empty_reply_is_seen_as_one(provider: OllamaProvider, model: str) -> None:
    assert (await reply(provider, request(model, "hi"))).is_empty


@pytest.mark.parametrize("model", ["duplicate-ids", "no-ids"])
async def test_every_call_has_an_id_of_its_own(provider: OllamaProvider, model: str) -> None:
    events = await gather(provider.stream(request(model, "hi", tools=(NOTE,))))
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert [(call.index, call.name) for call in calls] == [(0, "one"), (1, "two")]
    assert all(call.id for call in calls)
    assert len({call.id for call in calls}) == 2
    assert isinstance(end := events[-1], Finished)
    assert end.reason == "tool_calls"


async def test_two_calls_in_one_message(provider: OllamaProvider) -> None:
    answer = await reply(provider, request("parallel", "hi", tools=(NOTE, LOOK), parallel=True))
    assert answer.tool_calls == (ToolCall("a", "take_note", '{"text": "x"}'), ToolCall("b", "look_up", '{"text": "x"}'))


async def test_reasoning_and_odd_types(provider: OllamaProvider) -> None:
    events = await gather(provider.stream(request("thinker", "hi")))
    assert events[:3] == [ReasoningDelta("hm "), ReasoningDelta("yes"), TextDelta("Done.")]
    tagged = await reply(provider, request("think-tags", "hi"))
    assert tagged.content == (ReasoningPart("hm yes"), TextPart("Done."))
    assert (await reply(provider, request("odd-types", "hi"))).content == (TextPart("fine"),)


async def test_the_finish_reason(provider: OllamaProvider) -> None:
    assert (await reply(provider, request("length", "hi"))).finish == "length"
    assert (await reply(provider, request("caller", "hi", tools=(NOTE,)))).finish == "tool_calls"
