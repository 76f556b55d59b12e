"""What OpenAI's models take, each in its own way: efforts, tools, forms; and what is known of them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

import pytest

from o.domain.json import JsonObject
from o.domain.messages import TextPart
from o.domain.model import Sampling, ToolChoice, ToolSpec
from o.domain.price import Price
from o.errors import NotFound
from o.providers.base import Profile
from o.providers.chat import ChatProvider
from o.providers.chat_request import is_strict
from o.providers.dialects import nearest
from o.providers.openai import OPENAI, openai_provider, own_model, own_model_elsewhere
from o.providers.spec import ProviderSpec
from tests.emulators.openai_server import KEY, Emulator
from tests.emulators.requests import NOTE, reply, request


@pytest.fixture
async def provider(emulator: Emulator) -> AsyncIterator[ChatProvider]:
    provider = openai_provider(ProviderSpec("openai", "openai", emulator.url, KEY), dialect=OPENAI)
    yield provider
    await provider.close()


@pytest.fixture
async def chat(emulator: Emulator) -> AsyncIterator[ChatProvider]:
    """The own service, asked over chat completions whatever the model."""
    provider = openai_provider(ProviderSpec("openai", "openai", emulator.url, KEY), dialect=OPENAI, wire="chat")
    yield provider
    await provider.close()


@pytest.fixture
async def gateway(emulator: Emulator) -> AsyncIterator[ChatProvider]:
    provider = openai_provider(ProviderSpec("mine", "openai", emulator.url, KEY))
    yield provider
    await provider.close()


async def _sent(provider: ChatProvider, emulator: Emulator, model: str, **more: Any) -> JsonObject:
    """The body that a request became, which the emulator did not refuse."""
    await reply(provider, request(model, "hi", **more))
    return emulator.requests[-1]


def test_the_nearest_effort() -> None:
    assert nearest("low", "high")["medium"] == "high"
    assert nearest("none", "low")["minimal"] == "low"
    assert nearest("none")["max"] == "none"


@pytest.mark.parametrize(
    ("model", "wanted", "sent"),
    [
        ("o3-mini", "minimal", "low"),
        ("o4-mini", "xhigh", "high"),
        ("gpt-5", "none", "minimal"),
        ("gpt-5-mini", "xhigh", "high"),
        ("gpt-5.1", "minimal", "low"),
        ("gpt-5.2", "xhigh", "xhigh"),
        ("gpt-5.4-mini", "max", "xhigh"),
        ("gpt-5.6-terra", "max", "max"),
        ("gpt-6-astra", "none", "low"),
        ("gpt-6.2-sol", "high", "high"),
        ("gpt-5.1-codex", "xhigh", "high"),
        ("gpt-5.3-codex", "none", "low"),
        ("gpt-5.2-pro", "low", "medium"),
        ("gpt-5.5-pro", "max", "xhigh"),
    ],
)
@pytest.mark.parametrize("wire", ["chat", None])
async def test_an_effort_becomes_one_the_model_takes(
    emulator: Emulator, wire: Literal["chat", None], model: str, wanted: str, sent: str
) -> None:
    if wire == "chat" and ("-pro" in model or "codex" in model):
        pytest.skip("it speaks the Responses API alone")
    provider = openai_provider(ProviderSpec("openai", "openai", emulator.url, KEY), dialect=OPENAI, wire=wire)
    sampling = Sampling(temperature=0.5, max_tokens=9, reasoning_effort=wanted)
    body = await _sent(provider, emulator, model, sampling=sampling)
    assert (body.get("reasoning_effort") or body["reasoning"]["effort"]) == sent
    assert "temperature" not in body
    await provider.close()


async def test_a_model_nobody_knows_is_refused(provider: ChatProvider) -> None:
    with pytest.raises(NotFound, match="gpt-7"):
        await provider.profile("gpt-7")


async def test_whether_to_think_is_an_effort_too(chat: ChatProvider, emulator: Emulator) -> None:
    for reasoning, sent in ((True, "medium"), (False, "none"), (None, None)):
        body = await _sent(chat, emulator, "gpt-5.2", sampling=Sampling(reasoning=reasoning))
        assert body.get("reasoning_effort") == sent
    off = Sampling(reasoning=False, reasoning_effort="high")
    assert (await _sent(chat, emulator, "gpt-5.2", sampling=off))["reasoning_effort"] == "none"


@pytest.mark.parametrize(
    ("model", "responses"),
    [
        ("gpt-4o", False),
        ("gpt-4.1-mini", False),
        ("gpt-5.1-chat-latest", False),
        ("o4-mini", True),
        ("gpt-5-nano", True),
        ("gpt-5.4-pro", True),
        ("gpt-6.1-sol", True),
        ("sane", True),  # listed, and new to everybody
    ],
)
async def test_which_wire_a_model_is_asked_over(
    provider: ChatProvider, emulator: Emulator, model: str, responses: bool
) -> None:
    body = await _sent(provider, emulator, model, tools=(NOTE,), sampling=Sampling(temperature=0.5, seed=1))
    assert ("input" in body) is responses
    assert ("temperature" in body) is (model in ("gpt-4o", "gpt-4.1-mini"))
    assert len(body["tools"]) == 1


async def test_models_that_take_tools_only_when_they_do_not_think(chat: ChatProvider, emulator: Emulator) -> None:
    sampling = Sampling(reasoning_effort="high")
    body = await _sent(chat, emulator, "gpt-5.4", tools=(NOTE,), sampling=sampling)
    assert body["reasoning_effort"] == "none"
    assert (await _sent(chat, emulator, "gpt-5.2", tools=(NOTE,), sampling=sampling))["reasoning_effort"] == "high"


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "take_note")])
async def test_models_that_always_think_get_tools_by_schema_at_a_gateway(
    gateway: ChatProvider, emulator: Emulator, choice: ToolChoice
) -> None:
    answer = await reply(gateway, request("gpt-6.1-sol", "note it", tools=(NOTE,), choice=choice))
    (call,) = answer.tool_calls
    assert (call.name, call.arguments, answer.finish) == ("take_note", '{"text": "x"}', "tool_calls")
    body = emulator.requests[-1]
    assert "tools" not in body
    assert body["response_format"]["type"] == "json_schema"


async def test_old_reasoning_models_know_no_parallel_calls(
    provider: ChatProvider, chat: ChatProvider, emulator: Emulator
) -> None:
    for asked in (provider, chat):
        assert "parallel_tool_calls" not in await _sent(asked, emulator, "o3", tools=(NOTE,), parallel=True)
        assert (await _sent(asked, emulator, "gpt-5.2", tools=(NOTE,), parallel=True))["parallel_tool_calls"] is True


async def test_strict_is_said_only_of_schemas_that_qualify(provider: ChatProvider, emulator: Emulator) -> None:
    closed: JsonObject = {**NOTE.parameters, "additionalProperties": False}
    asked = request("gpt-4o", "hi", tools=(NOTE, ToolSpec("closed", "", closed), ToolSpec("bare", "", {})))
    await reply(provider, replace(asked, strict=True))
    marks = {each["function"]["name"]: each["function"].get("strict") for each in emulator.requests[-1]["tools"]}
    assert marks == {"take_note": None, "closed": True, "bare": None}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {}, "required": [], "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}, False),
        ({"type": "object", "properties": {}, "required": []}, False),
        ({"type": "array", "items": {"type": "object", "properties": {}}}, False),
        ({"anyOf": [{"type": "null"}, {"type": "object"}]}, False),
        ({"$defs": {"x": {"type": "object"}}, "type": "string"}, False),
        ({"type": "string", "default": "a"}, False),
        ({"type": "string"}, True),
    ],
)
def test_which_schemas_qualify(schema: JsonObject, strict: bool) -> None:
    assert is_strict(schema) is strict


async def test_a_form_passes_through(provider: ChatProvider, emulator: Emulator) -> None:
    form: JsonObject = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": {}}}
    answer = await reply(provider, replace(request("gpt-4o", "hi"), response_format=form))
    assert answer.content == (TextPart('{"answer": "You said: hi"}'),)
    assert emulator.requests[-1]["response_format"] == form
    await reply(provider, replace(request("gpt-4o", "hi"), response_format={"type": "json_object"}))
    body = emulator.requests[-1]
    assert "JSON" in body["messages"][0]["content"], "the service refuses the form where nobody speaks of it"
    await reply(provider, replace(request("gpt-4", "hi"), response_format=form))
    assert "response_format" not in emulator.requests[-1]


async def test_a_gateway_gets_openais_models_as_openai_does(gateway: ChatProvider, emulator: Emulator) -> None:
    await reply(gateway, request("gpt-5", "hi", sampling=Sampling(max_tokens=9, temperature=0.1)))
    assert emulator.requests[-1]["max_completion_tokens"] == 9
    await reply(gateway, request("mine", "hi", sampling=Sampling(max_tokens=9, reasoning_effort="low")))
    body = emulator.requests[-1]
    assert body["max_tokens"] == 9
    assert "reasoning_effort" not in body, "nobody says that it reasons"


async def test_profiles_and_prices() -> None:
    def profile(model: str) -> Profile:
        known = own_model(model)
        assert known is not None
        return known.profile

    assert profile("gpt-4o-mini-2024-07-18").price == profile("gpt-4o-mini").price
    assert profile("gpt-4").context_window == 8_192
    assert profile("gpt-4o-2024-05-13").structured == "json_object"
    assert profile("gpt-5-mini").reasoning
    assert profile("gpt-5.6-sol").price == profile("gpt-5.6").price
    price = profile("gpt-6.1-sol").price
    assert price is not None
    assert price.cached_input == Decimal("0.1")
    assert price.long_prompt == (272_000, Price(Decimal(4), Decimal(15), Decimal("0.2"), Decimal(5)))
    assert profile("gpt-5.4-pro").price == Price(
        Decimal(30), Decimal(180), long_prompt=(272_000, Price(Decimal(60), Decimal(270)))
    )
    assert profile("gpt-5.1-codex-mini-2025-11-13").price == profile("gpt-5-mini").price
    assert not profile("gpt-5.3-chat-latest").reasoning
    assert profile("gpt-5.2").price == Price(Decimal("1.75"), Decimal(14), Decimal("0.175"))
    assert profile("gpt-6.9-luna").price is None
    assert profile("ft:gpt-4o-mini:mine::1").price is None
    elsewhere = own_model_elsewhere("gpt-4o")
    assert elsewhere is not None
    assert elsewhere.profile.price is None
    assert own_model("unheard-of") is None
    assert own_model("gpt-40") is None
