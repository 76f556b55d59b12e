"""What every provider must do, whatever stands behind it."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from o.domain.messages import ToolCall, ToolReturn
from o.domain.model import Finished, Sampling, TextDelta, ToolChoice, parse_arguments
from o.errors import ContextOverflow, ModelAuthentication, ModelBadRequest, ModelUnavailable
from o.providers.base import Provider
from o.providers.local import LocalProvider
from o.providers.openai import OpenAIProvider
from o.providers.scripted import ScriptedProvider
from tests.emulators.openai_server import KEY, Emulator
from tests.emulators.requests import LOOK, NOTE, gather, message, reply, request

SHORT = Sampling(max_tokens=24, temperature=0.0, seed=1)


@dataclass(frozen=True)
class Case:
    provider: Provider
    model: str
    missing: Callable[[], Provider]


def _over_socket(path: Path) -> OpenAIProvider:
    return OpenAIProvider("none", "http://local/v1", transport=httpx2.AsyncHTTPTransport(uds=str(path)))


@pytest.fixture(params=["openai", "openai-on-llama", "local", "scripted"])
async def case(request: pytest.FixtureRequest, emulator: Emulator, tmp_path: Path) -> AsyncIterator[Case]:
    nowhere = tmp_path / "nowhere.sock"
    match request.param:
        case "openai":
            dead = "http://127.0.0.1:1/v1"
            case = Case(OpenAIProvider(KEY, emulator.url), "gpt-4o", lambda: OpenAIProvider(KEY, dead))
        case "openai-on-llama":
            path: Path = request.getfixturevalue("local_socket")
            case = Case(_over_socket(path), "smollm2-135m", lambda: _over_socket(nowhere))
        case "local":
            path = request.getfixturevalue("local_socket")
            case = Case(LocalProvider(path), "smollm2-135m", lambda: LocalProvider(nowhere))
        case _:
            case = Case(ScriptedProvider(), "echo", ScriptedProvider)
    yield case
    await case.provider.close()


async def test_text_comes_in_deltas_and_ends_with_one_finished(case: Case) -> None:
    events = await gather(case.provider.stream(request(case.model, "Say hello to Ada.", sampling=SHORT)))
    assert [event for event in events if isinstance(event, Finished)] == events[-1:]
    texts = [event for event in events if isinstance(event, TextDelta)]
    assert len(texts) > 1
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.reason in ("stop", "length")
    assert end.usage.prompt_tokens > 0
    assert end.usage.completion_tokens > 0


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "take_note")])
async def test_a_demanded_tool_is_called(case: Case, choice: ToolChoice) -> None:
    if case.model == "smollm2-135m" and isinstance(case.provider, OpenAIProvider):
        pytest.skip("the model's own template knows no tools: that is what the local provider is for")
    sampling = Sampling(max_tokens=120, temperature=0.0, seed=1)
    asked = request(case.model, "Note: buy milk.", tools=(NOTE,), choice=choice, sampling=sampling)
    answer = await reply(case.provider, asked)
    (call,) = answer.tool_calls
    assert call.name == "take_note"
    assert isinstance(parse_arguments(call)["text"], str)
    assert answer.finish == "tool_calls"


async def test_a_transcript_with_calls_is_taken(case: Case) -> None:
    said = (
        "Note: buy milk.",
        message("assistant", calls=(ToolCall("c1", "take_note", json.dumps({"text": "milk"})),)),
        message("tool", returns=(ToolReturn("c1", "written"),)),
        message("user", "Thanks."),
    )
    answer = await reply(case.provider, request(case.model, *said, tools=(NOTE, LOOK), sampling=SHORT))
    assert answer.content or answer.tool_calls


async def test_closing_early_is_clean(case: Case) -> None:
    events = case.provider.stream(request(case.model, "Tell me a long story.", sampling=Sampling(max_tokens=200)))
    await anext(events)
    assert isinstance(events, AsyncGenerator)
    await events.aclose()
    assert (await reply(case.provider, request(case.model, "hi", sampling=SHORT))).content


async def test_the_model_has_a_profile_and_is_listed(case: Case) -> None:
    profile = await case.provider.profile(case.model)
    assert profile.context_window > profile.max_output_tokens > 0
    assert case.model in await case.provider.models()


async def test_a_service_that_is_not_there_is_unavailable(case: Case) -> None:
    if isinstance(case.provider, ScriptedProvider):
        pytest.skip("it has no service")
    provider = case.missing()
    with pytest.raises(ModelUnavailable):
        await gather(provider.stream(request(case.model, "hi")))
    with pytest.raises(ModelUnavailable):
        await provider.models()
    await provider.close()


async def test_too_long_a_request_overflows(case: Case) -> None:
    if case.model != "smollm2-135m":
        pytest.skip("the emulator shows it as a fault of its own; scripts have no window")
    with pytest.raises(ContextOverflow):
        await gather(case.provider.stream(request(case.model, "one two three " * 4000, sampling=SHORT)))


async def test_an_unknown_model_is_refused(case: Case) -> None:
    if case.model == "gpt-4o":
        pytest.skip("the emulator shows it as a fault of its own")
    with pytest.raises((ModelBadRequest, ModelAuthentication)):
        await gather(case.provider.stream(request("no-such-model", "hi")))
