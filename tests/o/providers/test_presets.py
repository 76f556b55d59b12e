"""The services known by name: each takes what O sends in the words that it wants, and refuses all others."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from o.domain.json import JsonObject
from o.domain.messages import ReasoningPart, RedactedReasoningPart, TextPart, ToolCall, ToolReturn
from o.domain.model import ModelRequest, Sampling, ToolChoice
from o.errors import ModelBadRequest, NotFound
from o.providers.chat import ChatProvider
from o.providers.openai import openai_provider
from o.providers.presets import PRESETS, preset, preset_provider
from o.providers.spec import ProfileChange, ProviderSpec
from tests.emulators.openai_server import KEY, Emulator
from tests.emulators.requests import LOOK, NOTE, message, reply, request

ALL = Sampling(
    temperature=0.5, top_p=0.9, frequency_penalty=0.1, max_tokens=50, seed=3, reasoning_effort="high", verbosity="low"
)
THINKING = ProfileChange(reasoning=True)
Make = Callable[..., ChatProvider]


@pytest.fixture
async def make(emulator: Emulator) -> AsyncIterator[Make]:
    made: list[ChatProvider] = []

    def make(name: str, *models: str) -> ChatProvider:
        changes = tuple((model, THINKING) for model in models)
        spec = ProviderSpec(name, "openai", f"{emulator.root}/{name}/v1", KEY, preset=name, changes=changes)
        made.append(preset_provider(spec, first_timeout=5.0, idle_timeout=0.5))
        return made[-1]

    yield make
    for provider in made:
        await provider.close()


def _moved(model: str, **more: Any) -> ModelRequest:
    """A conversation that began elsewhere: other ids, thoughts of others, no text beside calls, a name."""
    calls = (
        ToolCall("toolu_01A09q90qw90lq917835lq9", "take_note", '{"text": "a"}'),
        ToolCall("call_2", "look_up", "{"),
    )
    returns = (ToolReturn(calls[0].id, "ok"), ToolReturn("call_2", "no", "error"))
    thought = (ReasoningPart("hm", "c2ln", "anthropic"), RedactedReasoningPart("xx", "anthropic"))
    return request(
        model,
        replace(message("user", "hi"), name="ada"),
        message("assistant", thought, calls=calls),
        message("tool", returns=returns),
        message("user", "and now?"),  # the run was cancelled before the model had answered
        message("assistant", (ReasoningPart("nothing to say"),)),
        message("user", "well?"),
        tools=(NOTE, LOOK),
        **more,
    )


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(
    "choice", [ToolChoice(), ToolChoice("required"), ToolChoice("named", "take_note"), ToolChoice("none")]
)
async def test_a_conversation_moves_to_every_service(make: Make, name: str, choice: ToolChoice) -> None:
    answer = await reply(make(name, "sane"), _moved("sane", sampling=ALL, choice=choice, parallel=True))
    if choice.mode in ("required", "named"):
        assert [call.name for call in answer.tool_calls] == ["take_note"]
    else:
        assert answer.content == (TextPart("You said: well?"),)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
async def test_a_form_is_taken_by_every_service(make: Make, name: str, kind: str) -> None:
    form: JsonObject = {"type": kind}
    if kind == "json_schema":
        form["json_schema"] = {"name": "a", "schema": {"type": "object", "properties": {"answer": {"type": "string"}}}}
    answer = await reply(make(name), replace(request("sane", "hi"), response_format=form))
    assert answer.finish == "stop"
    assert answer.content


@pytest.mark.parametrize("name", PRESETS)
async def test_every_service_lists_its_models(make: Make, name: str) -> None:
    assert (await make(name).models()).language


@pytest.mark.parametrize("name", ["mistral", "gemini", "deepseek", "lmstudio"])
async def test_without_the_preset_the_service_refuses(emulator: Emulator, name: str) -> None:
    spec = ProviderSpec(name, "openai", f"{emulator.root}/{name}/v1", KEY, changes=(("sane", THINKING),))
    provider = openai_provider(spec)
    with pytest.raises(ModelBadRequest):
        await reply(provider, _moved("sane", sampling=ALL, choice=ToolChoice("named", "take_note")))
    await provider.close()


async def test_mistral(make: Make, emulator: Emulator) -> None:
    for _ in range(2):
        await reply(make("mistral", "sane"), _moved("sane", sampling=ALL, choice=ToolChoice("required")))
    first, body = emulator.requests[-2:]
    assert first == body, "an id is made over in the same way every time"
    assert body["tool_choice"] == "any"
    assert body["random_seed"] == 3
    call, other = body["messages"][2]["tool_calls"]
    assert [each["tool_call_id"] for each in body["messages"][3:5]] == [call["id"], other["id"]]
    assert [each["role"] for each in body["messages"][4:7]] == ["tool", "assistant", "user"]


async def test_deepseek_gets_its_thoughts_back_and_rests_for_a_demanded_call(make: Make, emulator: Emulator) -> None:
    provider = make("deepseek")
    await reply(provider, _moved("sane", sampling=Sampling(reasoning_effort="medium")))
    body = emulator.requests[-1]
    assert body["messages"][2]["reasoning_content"] == "hm"
    assert (body["reasoning_effort"], body["thinking"]) == ("high", {"type": "enabled"})
    await reply(provider, _moved("sane", choice=ToolChoice("required")))
    body = emulator.requests[-1]
    assert body["thinking"] == {"type": "disabled"}
    assert "reasoning_effort" not in body
    silent = message("assistant", calls=(ToolCall("a", "take_note", "{}"),))
    await reply(
        provider, request("sane", "hi", silent, message("tool", returns=(ToolReturn("a", "ok"),)), tools=(NOTE,))
    )
    assert emulator.requests[-1]["messages"][2]["reasoning_content"] == ""


async def test_gemini_gets_its_signatures_back(make: Make, emulator: Emulator) -> None:
    provider = make("gemini")
    asked = request("signed", "hi", tools=(NOTE, LOOK), parallel=True)
    answer = await reply(provider, asked)
    called = message("assistant", answer.content, calls=answer.tool_calls)
    returned = message("tool", returns=tuple(ToolReturn(call.id, "ok") for call in answer.tool_calls))
    await reply(provider, replace(asked, model="sane", messages=(*asked.messages, called, returned)))
    first, second = emulator.requests[-1]["messages"][2]["tool_calls"]
    assert first["extra_content"] == {"google": {"thought_signature": "sig"}}
    assert "extra_content" not in second
    await reply(provider, _moved("sane"))
    unsigned = emulator.requests[-1]["messages"][2]["tool_calls"][0]["extra_content"]["google"]["thought_signature"]
    assert unsigned == "skip_thought_signature_validator", "another vendor's signature is nothing to Google"


async def test_openrouter_gets_its_blocks_back(make: Make, emulator: Emulator) -> None:
    provider = make("openrouter", "details", "sane")
    asked = request("details", "hi", tools=(NOTE,), sampling=Sampling(reasoning_effort="high"))
    answer = await reply(provider, asked)
    assert emulator.requests[-1]["reasoning"] == {"enabled": True, "effort": "high"}
    called = message("assistant", answer.content, calls=answer.tool_calls)
    said = (*asked.messages, called, message("tool", returns=(ToolReturn("a", "ok"),)))
    await reply(provider, replace(asked, messages=said))
    details = emulator.requests[-1]["messages"][2]["reasoning_details"]
    assert [each["type"] for each in details] == ["reasoning.text", "reasoning.encrypted"]
    await reply(provider, replace(asked, model="sane", messages=said))
    assert "reasoning_details" not in emulator.requests[-1]["messages"][2], "they mean nothing to another model"
    await reply(provider, request("sane", "hi", sampling=Sampling(reasoning=True)))
    assert emulator.requests[-1]["reasoning"] == {"enabled": True}


@pytest.mark.parametrize("name", ["vllm", "sglang", "llamacpp"])
async def test_servers_of_ones_own_switch_thinking_by_the_template(make: Make, emulator: Emulator, name: str) -> None:
    for on in (True, False):
        await reply(make(name, "sane"), request("sane", "hi", sampling=Sampling(reasoning=on)))
        assert emulator.requests[-1]["chat_template_kwargs"] == {"enable_thinking": on}


async def test_where_no_tool_can_be_named_only_it_is_offered(make: Make, emulator: Emulator) -> None:
    for name in ("lmstudio", "llamacpp"):
        await reply(make(name), request("sane", "hi", tools=(NOTE, LOOK), choice=ToolChoice("named", "look_up")))
        body = emulator.requests[-1]
        assert body["tool_choice"] == "required"
        assert [tool["function"]["name"] for tool in body["tools"]] == ["look_up"]


def test_names() -> None:
    assert preset("lmstudio_openai") is PRESETS["lmstudio"]
    assert preset("google_ai") is PRESETS["gemini"]
    with pytest.raises(NotFound, match="openrouter"):
        preset("nobody")
    variables = [each for known in PRESETS.values() for each in (known.key_variable, known.url_variable) if each]
    assert len(variables) == len(set(variables)) == len(PRESETS)


async def test_a_forgotten_v1_is_added(emulator: Emulator) -> None:
    provider = preset_provider(ProviderSpec("vllm", "openai", emulator.root, KEY, preset="vllm"))
    assert (await provider.models()).language
    await provider.close()


async def test_a_real_llama_cpp_takes_it_all(local_socket: Path) -> None:
    spec = ProviderSpec(
        "llamacpp", "openai", "http://local/v1", preset="llamacpp", changes=(("smollm2-135m", THINKING),)
    )
    provider = preset_provider(spec, transport=lambda: httpx2.AsyncHTTPTransport(uds=str(local_socket)))
    listed = (await provider.models()).language["smollm2-135m"]
    assert listed.context_window > 512
    sampling = replace(ALL, max_tokens=8, temperature=0.0)
    answer = await reply(provider, _moved("smollm2-135m", sampling=sampling, choice=ToolChoice("none")))
    assert answer.usage.prompt_tokens > 0
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"enum": ["yes"]}}}
    formed = await reply(provider, replace(request("smollm2-135m", "hi", sampling=sampling), response_format=form))
    assert formed.content == (TextPart('"yes"'),)
    await provider.close()
