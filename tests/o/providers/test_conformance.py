"""What every provider must do, whoever stands behind it: the emulators, llama.cpp's own server, the real services."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx2
import pytest

from o.domain.call_repair import parse_arguments
from o.domain.messages import ImagePart, ReasoningPart, RedactedReasoningPart, TextPart, ToolCall, ToolReturn
from o.domain.model import Finished, ModelRequest, Sampling, TextDelta, ToolChoice
from o.errors import ContextOverflow, ModelBadRequest, ModelError, ModelUnavailable, ModelUnknown, NotFound
from o.providers.anthropic import anthropic_provider
from o.providers.base import Provider
from o.providers.local import LocalProvider
from o.providers.openai import openai_provider
from o.providers.scripted import ScriptedProvider
from o.providers.spec import ProfileChange, ProviderSpec
from tests.emulators.requests import LOOK, NOTE, gather, message, reply, request
from tests.support import llama_server
from tests.support.vendors import VENDORS, Emulator, live

SHORT = Sampling(max_tokens=24, temperature=0.0, seed=1)
ENOUGH = Sampling(max_tokens=300)
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SERVERS = ["openai-on-llama", "responses-on-llama", "anthropic-on-llama", "local"]


@dataclass(frozen=True)
class Case:
    """A provider and one of its models.

    Attributes:
        tiny: the model is SmolLM2: whether it does as it is told is not for these tests to say.
        formless: llama.cpp holds no reply to a form on this wire.
        emulator: what stands behind it, where that is one of ours.
        nowhere: makes a provider of the kind with nothing behind it; None where there is no service.
    """

    provider: Provider
    model: str
    tiny: bool = False
    formless: bool = False
    emulator: Emulator | None = None
    nowhere: Callable[[], Provider] | None = None

    @property
    def sampling(self) -> Sampling:
        return SHORT if self.tiny else ENOUGH


def _on_llama(wire: str, path: Path) -> Provider:
    """An adapter in front of llama.cpp. SmolLM2's template knows no tools, so they are asked for by a schema."""
    known = ((llama_server.MODEL, ProfileChange(context_window=4096, tools="schema")),)

    def transport() -> httpx2.AsyncBaseTransport:
        # It closes idle connections when it likes.
        return httpx2.AsyncHTTPTransport(uds=str(path), limits=httpx2.Limits(max_keepalive_connections=0))

    if wire != "anthropic":
        spec = ProviderSpec("llamacpp", "openai", "http://llama/v1", "none", changes=known)
        return openai_provider(spec, wire="responses" if wire == "responses" else None, transport=transport)
    return anthropic_provider(
        ProviderSpec("llamacpp", "anthropic", "http://llama", "none", changes=known), transport=transport
    )


def _cases() -> list[object]:
    real = [pytest.param(f"live-{name}", marks=pytest.mark.live) for name in VENDORS]
    return [*VENDORS, *SERVERS, "scripted", *real]


@pytest.fixture(params=_cases())
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    name: str = request.param
    nowhere = tmp_path / "nowhere.sock"
    if name.startswith("live-"):
        vendor = VENDORS[name.removeprefix("live-")]
        if (spec := live().get(vendor.name)) is None:
            pytest.skip(f"{vendor.key_variable} is not set, so {vendor.name} itself is not asked")
        case = Case(vendor.provider(spec, first_timeout=60.0, idle_timeout=30.0), vendor.real)
    elif name in VENDORS:
        vendor, emulator = VENDORS[name], request.getfixturevalue("emulated")[name]
        dead = partial(vendor.provider, vendor.spec("http://127.0.0.1:1"))
        case = Case(vendor.provider(vendor.spec(emulator.url)), vendor.model, emulator=emulator, nowhere=dead)
    elif name == "local":
        path: Path = request.getfixturevalue("local_socket")
        case = Case(LocalProvider(path), llama_server.MODEL, tiny=True, nowhere=lambda: LocalProvider(nowhere))
    elif name == "scripted":
        case = Case(ScriptedProvider(), "echo")
    else:
        wire = name.partition("-")[0]
        path = request.getfixturevalue("llama_socket")
        case = Case(
            _on_llama(wire, path),
            llama_server.MODEL,
            tiny=True,
            formless=wire != "openai",
            nowhere=lambda: _on_llama(wire, nowhere),
        )
    yield case
    await case.provider.close()


async def test_text_comes_in_deltas_and_ends_with_one_finished(case: Case) -> None:
    asked = request(case.model, "Say hello to Ada and to Bob, please.", sampling=case.sampling)
    events = await gather(case.provider.stream(asked))
    assert [event for event in events if isinstance(event, Finished)] == events[-1:]
    assert len([event for event in events if isinstance(event, TextDelta)]) > 1
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.reason in ("stop", "length")
    assert end.usage.prompt_tokens > 0
    assert end.usage.completion_tokens > 0
    assert end.usage.cached_input_tokens + end.usage.cache_write_tokens <= end.usage.prompt_tokens


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "take_note")])
async def test_a_demanded_tool_is_called(case: Case, choice: ToolChoice) -> None:
    if case.formless:
        pytest.skip("nothing holds the reply to a form, and SmolLM2 does not do as it is told")
    sampling = replace(case.sampling, max_tokens=120) if case.tiny else case.sampling
    asked = request(case.model, "Note: buy milk.", tools=(NOTE,), choice=choice, sampling=sampling)
    answer = await reply(case.provider, asked)
    (call,) = answer.tool_calls
    assert call.name == "take_note"
    assert call.id
    assert isinstance(parse_arguments(call)["text"], str)
    assert answer.finish == "tool_calls"


async def test_no_tool_is_called_where_none_is_wanted(case: Case) -> None:
    asked = request(
        case.model, "Hello there.", tools=(NOTE,), choice=ToolChoice("none"), sampling=case.sampling, parallel=True
    )
    assert not (await reply(case.provider, asked)).tool_calls


async def test_a_transcript_with_calls_is_taken(case: Case) -> None:
    said = (
        "Note: buy milk, and look it up.",
        message(
            "assistant",
            "Both at once.",
            calls=(
                ToolCall("c1", "take_note", json.dumps({"text": "milk"})),
                ToolCall("c2", "look_up", json.dumps({"word": "milk"})),
            ),
        ),
        message("tool", returns=(ToolReturn("c1", "written"), ToolReturn("c2", "no such word", "error"))),
        message("assistant", "Done."),
        message("user", "Thanks."),
    )
    answer = await reply(case.provider, request(case.model, *said, tools=(NOTE, LOOK), sampling=case.sampling))
    assert answer.content or answer.tool_calls


async def test_what_other_vendors_left_in_a_transcript_is_taken(case: Case) -> None:
    """Ids, thoughts and arguments as no single vendor would write them, for models change in mid-conversation."""
    weird = "fc_call|with spaces/and=signs-" + "x" * 70
    said = (
        "Note: buy milk.",
        message(
            "assistant",
            (ReasoningPart("unsigned"), ReasoningPart("signed", "proof", "elsewhere")),
            calls=(ToolCall(weird, "take_note", "{'text': 'no JSON'"), ToolCall("x1", "gone_tool", "[1, 2]")),
        ),
        message(
            "tool",
            returns=(
                ToolReturn(weird, "", "error"),
                ToolReturn("x1", "seen", images=(ImagePart(media_type="image/png", data=DOT),)),
            ),
        ),
        message("assistant", (RedactedReasoningPart("sealed", "elsewhere"),)),
        message("user", (TextPart("What do you see?"), ImagePart(media_type="image/png", data=DOT))),
    )
    asked = request(case.model, *said, tools=(NOTE,), sampling=case.sampling)
    answer = await reply(case.provider, replace(asked, sampling=replace(asked.sampling, reasoning=True)))
    assert answer.content or answer.tool_calls


async def test_a_form_is_kept_to(case: Case) -> None:
    if isinstance(case.provider, ScriptedProvider) or case.emulator is not None:
        pytest.skip("nobody is there who could keep to it; what is sent is for the vendors' own tests")
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "colour", "schema": schema, "strict": True}}
    asked = replace(request(case.model, "Choose a colour.", sampling=case.sampling), response_format=form)
    answer = await reply(case.provider, asked)
    (text,) = [part.text for part in answer.content if isinstance(part, TextPart)]
    if case.formless:
        return  # llama.cpp holds no reply to a form on this wire; that it takes the request is what is shown
    assert json.loads(text)["colour"] in ("red", "blue")


async def test_closing_early_is_clean(case: Case) -> None:
    events = case.provider.stream(request(case.model, "Tell me a long story.", sampling=Sampling(max_tokens=200)))
    await anext(events)
    assert isinstance(events, AsyncGenerator)
    await events.aclose()
    assert (await reply(case.provider, request(case.model, "hi", sampling=case.sampling))).content


async def test_the_model_has_a_profile_and_is_listed(case: Case) -> None:
    profile = await case.provider.profile(case.model)
    assert profile.context_window > profile.max_output_tokens > 0
    listed = (await case.provider.models()).language
    assert any(name.startswith(case.model) for name in listed)


async def test_a_service_that_is_not_there_is_unavailable(case: Case) -> None:
    if case.nowhere is None:
        pytest.skip("there is no such service, or it is always there")
    provider = case.nowhere()
    with pytest.raises(ModelUnavailable):
        await gather(provider.stream(request(case.model, "hi")))
    with pytest.raises(ModelUnavailable):
        await provider.models()
    await provider.close()


async def test_too_long_a_request_overflows(case: Case) -> None:
    if not case.tiny:
        pytest.skip("the emulator shows it as a fault of its own; a real window costs money to fill")
    with pytest.raises(ContextOverflow):
        await gather(case.provider.stream(request(case.model, "one two three " * 4000, sampling=SHORT)))


async def test_an_unknown_model_is_refused(case: Case) -> None:
    if "on-llama" in str(case.nowhere) or (case.tiny and not isinstance(case.provider, LocalProvider)):
        pytest.skip("llama.cpp serves one model, and takes any name for it")
    asked: ModelRequest = request("404" if case.emulator else "no-such-model", "hi")
    with pytest.raises((ModelUnknown, ModelBadRequest, NotFound)) as caught:
        await gather(case.provider.stream(asked))
    assert not isinstance(caught.value, ModelError) or not caught.value.retryable
