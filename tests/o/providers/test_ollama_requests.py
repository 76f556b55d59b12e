"""What the Ollama provider sends, and what it knows of its models, against the emulator."""

import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o.domain.messages import ImagePart, ReasoningPart, RedactedReasoningPart, TextPart, ToolCall, ToolReturn
from o.domain.model import Sampling, ToolChoice, ToolSpec
from o.errors import (
    ContextOverflow,
    InvalidReply,
    ModelBadRequest,
    ModelUnavailable,
    ModelUnknown,
    NotFound,
)
from o.providers.ollama import OllamaProvider, ollama_provider
from o.providers.ollama_models import WINDOW
from o.providers.spec import ProfileChange, ProviderSpec
from tests.emulators import ollama_rules, ollama_server
from tests.emulators.ollama_server import KEY, Emulator
from tests.emulators.requests import LOOK, NOTE, gather, message, reply, request


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


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "look_up")])
@pytest.mark.parametrize("model", ["llama3.1", "tiny-words"])
async def test_a_demanded_tool_is_called(
    provider: OllamaProvider, emulator: Emulator, model: str, choice: ToolChoice
) -> None:
    answer = await reply(provider, request(model, "hi", tools=(LOOK, NOTE), choice=choice))
    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("look_up", '{"text": "x"}')]
    assert answer.finish == "tool_calls"
    body = emulator.requests[-1]
    assert "tools" not in body
    assert isinstance(body["format"], dict)


async def test_a_model_without_tools_is_told_of_them_in_words(provider: OllamaProvider, emulator: Emulator) -> None:
    said = (
        "note it",
        message("assistant", calls=(ToolCall("c1", "take_note", '{"text": "a"}'),)),
        message("tool", returns=(ToolReturn("c1", "ok"),)),
    )
    await reply(provider, request("tiny-words:1b", *said, tools=(NOTE,)))
    body = emulator.requests[-1]
    assert "tools" not in body
    assert "take_note" in body["messages"][0]["content"]
    assert [entry["role"] for entry in body["messages"]] == ["system", "user", "assistant", "user"]


async def test_no_tools_are_sent_where_none_may_be_called(provider: OllamaProvider, emulator: Emulator) -> None:
    await reply(provider, request("llama3.1", "hi", tools=(NOTE,), choice=ToolChoice("none")))
    assert "tools" not in emulator.requests[-1]


async def test_the_whole_request_is_sent(provider: OllamaProvider, emulator: Emulator) -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, frequency_penalty=0.1, max_tokens=9, seed=3, verbosity="low")
    sent = request(
        "seer",
        message(
            "user", (TextPart("look"), ImagePart(media_type="image/png", data="AAAA"), ImagePart(url="http://x/y"))
        ),
        message(
            "assistant", "well", calls=(ToolCall("c1", "take_note", '{"text": "a"}'), ToolCall("c2", "look_up", "{"))
        ),
        message(
            "tool", returns=(ToolReturn("c2", "no", "error"), ToolReturn("c1", "ok", images=(ImagePart(data="BBBB"),)))
        ),
        "and?",
        tools=(NOTE, LOOK),
        sampling=sampling,
    )
    await reply(provider, sent)
    body = emulator.requests[-1]
    assert body["messages"] == [
        {"role": "system", "content": "You are brief."},
        {
            "role": "user",
            "content": "look\n\n[an image at a URL, which Ollama cannot fetch]",
            "images": ["AAAA"],
        },
        {
            "role": "assistant",
            "content": "well",
            "tool_calls": [
                {"id": "c1", "function": {"index": 0, "name": "take_note", "arguments": {"text": "a"}}},
                {"id": "c2", "function": {"index": 1, "name": "look_up", "arguments": {"invalid_arguments": "{"}}},
            ],
        },
        {
            "role": "tool",
            "content": "ok\n[the images it returned follow]",
            "tool_name": "take_note",
            "tool_call_id": "c1",
        },
        {"role": "tool", "content": "no", "tool_name": "look_up", "tool_call_id": "c2"},
        {"role": "user", "content": "", "images": ["BBBB"]},
        {"role": "user", "content": "and?"},
    ]
    assert [tool["function"]["name"] for tool in body["tools"]] == ["take_note", "look_up"]
    assert body["tools"][0]["function"]["parameters"] == NOTE.parameters
    assert body["options"] == {
        "num_ctx": WINDOW,
        "num_predict": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "frequency_penalty": 0.1,
        "seed": 3,
    }
    assert (body["stream"], body["truncate"], body["shift"]) == (True, False, False)
    assert not {"think", "format", "keep_alive"} & set(body)


@pytest.mark.parametrize("arguments", ['{"x": NaN}', '{"x": 1e999}', '{"x": "\\ud800"}', "[1]", "{" * 3000])
async def test_no_arguments_in_a_transcript_stop_an_agent(
    provider: OllamaProvider, emulator: Emulator, arguments: str
) -> None:
    call, returned = ToolCall("c1", "take_note", arguments), ToolReturn("c1", "ok")
    await reply(
        provider, request("llama3.1", message("assistant", calls=(call,)), message("tool", returns=(returned,)))
    )
    sent = emulator.requests[-1]["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert sent == {"invalid_arguments": arguments}


async def test_a_blind_model_gets_words_for_an_image(provider: OllamaProvider, emulator: Emulator) -> None:
    await reply(provider, request("llama3.1", message("user", (ImagePart(media_type="image/png", data="AAAA"),))))
    assert emulator.requests[-1]["messages"][1].keys() == {"role", "content"}


async def test_no_file_is_read_for_an_image(provider: OllamaProvider, emulator: Emulator, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the server")
    with pytest.raises(ModelBadRequest):  # a path is no base64
        await reply(provider, request("seer", message("user", (ImagePart(data=f"{secret}"),))))
    assert emulator.requests[-1]["messages"][1]["images"] == [f"{secret}"]


async def test_a_schema_comes_whole_in_the_words_ollama_reads(provider: OllamaProvider, emulator: Emulator) -> None:
    schema = {
        "type": "object",
        "$defs": {
            "Place": {"type": "object", "properties": {"city": {"type": "string"}, "next": {"$ref": "#/$defs/Place"}}}
        },
        "properties": {
            "at": {"$ref": "#/$defs/Place", "description": "Where."},
            "when": {"oneOf": [{"type": "string"}, {"type": "null"}]},
            "any": True,
            "many": {"type": "array", "items": {"$ref": "#/$defs/Place"}},
            "gone": {"$ref": "#/$defs/Nowhere"},
        },
        "required": ["at"],
    }
    tools = (ToolSpec("go", "Go there.", schema), ToolSpec("stay", "Stay.", {}))
    await reply(provider, request("llama3.1", "hi", tools=tools))
    go, stay = (tool["function"]["parameters"] for tool in emulator.requests[-1]["tools"])
    assert go["properties"]["at"]["properties"]["city"] == {"type": "string"}
    assert go["properties"]["at"]["description"] == "Where."
    assert go["properties"]["when"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert go["properties"]["many"]["items"]["properties"]["city"] == {"type": "string"}
    assert go["properties"]["any"] == go["properties"]["gone"] == {}
    assert "$" not in str(go)
    assert stay == {"type": "object", "properties": {}}


async def test_a_form_holds_the_reply_but_never_forbids_a_call(provider: OllamaProvider, emulator: Emulator) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    answer = await reply(provider, replace(request("llama3.1", "hi"), response_format=form))
    assert answer.content == (TextPart('{"answer": "yes"}'),)
    assert emulator.requests[-1]["format"] == schema
    await reply(provider, replace(request("llama3.1", "hi"), response_format={"type": "json_object"}))
    assert emulator.requests[-1]["format"] == "json"
    await reply(provider, replace(request("caller", "hi", tools=(NOTE,)), response_format=form))
    assert "format" not in emulator.requests[-1]
    assert "answer" in emulator.requests[-1]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("model", "sampling", "sent"),
    [
        ("qwen3", Sampling(), None),
        ("qwen3", Sampling(reasoning=True), True),
        ("qwen3", Sampling(reasoning=False, reasoning_effort="high"), False),
        ("qwen3", Sampling(reasoning_effort="none"), False),
        ("qwen3", Sampling(reasoning_effort="high"), True),
        ("gpt-oss", Sampling(reasoning_effort="high"), "high"),
        ("gpt-oss", Sampling(reasoning_effort="minimal"), "low"),
        ("gpt-oss", Sampling(reasoning_effort="xhigh"), "high"),
        ("gpt-oss", Sampling(reasoning=True), True),
        ("llama3.1", Sampling(reasoning=True, reasoning_effort="high"), None),
    ],
)
async def test_thinking_is_asked_for_as_the_model_has_it(
    provider: OllamaProvider, emulator: Emulator, model: str, sampling: Sampling, sent: bool | str | None
) -> None:
    await reply(provider, request(model, "hi", sampling=sampling))
    assert emulator.requests[-1].get("think") == sent


async def test_thoughts_go_back_within_their_turn_to_a_model_that_thinks(
    provider: OllamaProvider, emulator: Emulator
) -> None:
    def thought(words: str, call: str) -> Any:
        parts = (ReasoningPart(words), RedactedReasoningPart("?", "anthropic"), TextPart("ok"))
        return message("assistant", parts, calls=(ToolCall(call, "take_note", "{}"),))

    def returned(call: str) -> Any:
        return message("tool", returns=(ToolReturn(call, "done"),))

    said = ("one", thought("old", "c1"), returned("c1"), "two", thought("new", "c2"), returned("c2"))
    for model, thoughts in (("qwen3", [None, "new"]), ("llama3.1", [None, None])):
        await reply(provider, request(model, *said, tools=(NOTE,)))
        sent = [entry for entry in emulator.requests[-1]["messages"] if entry["role"] == "assistant"]
        assert [entry.get("thinking") for entry in sent] == thoughts


async def test_profiles(provider: OllamaProvider) -> None:
    plain = await provider.profile("llama3.1")
    assert (plain.context_window, plain.tools, plain.parallel_tool_calls) == (WINDOW, "native", True)
    assert plain.context_window > plain.max_output_tokens > 0
    assert not plain.reasoning
    assert not plain.images
    assert (await provider.profile("tiny-words")).tools == "schema"
    assert (await provider.profile("thinker")).reasoning
    assert (await provider.profile("seer")).images
    assert (await provider.profile("small")).context_window == 8192
    assert (await provider.profile("ancient")).tools == "native"
    assert (await provider.profile("bare")).context_window == WINDOW
    with pytest.raises(NotFound, match="ollama pull missing"):
        await provider.profile("missing")


async def test_a_hosted_model_has_its_whole_window(provider: OllamaProvider, emulator: Emulator) -> None:
    assert (await provider.profile("cloudy:cloud")).context_window == ollama_rules.WINDOW
    await reply(provider, request("cloudy:cloud", "hi"))
    assert "num_ctx" not in emulator.requests[-1]["options"]


async def test_the_owner_knows_better(emulator: Emulator) -> None:
    change = ProfileChange(context_window=2048, tools="schema")
    provider = ollama_provider(spec(emulator, changes=(("llama3.1", change),)))
    profile = await provider.profile("llama3.1:latest")
    assert (profile.context_window, profile.tools) == (2048, "schema")
    assert profile.max_output_tokens <= 2048
    await reply(provider, request("llama3.1", "hi", tools=(NOTE,)))
    assert emulator.requests[-1]["options"]["num_ctx"] == 2048
    assert "tools" not in emulator.requests[-1]
    await provider.close()


async def test_the_listing_asks_for_a_model_again_when_it_is_another(
    provider: OllamaProvider, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(emulator.shown)
    listing = await provider.models()
    assert list(listing.language) == ["qwen3", "seer", "tiny-words:1b"]
    assert list(listing.embedding) == ["embed-3"]
    assert listing.language["seer"].images
    assert sorted(emulator.shown[before:]) == sorted(ollama_server.LISTED)
    monkeypatch.setitem(emulator.digests, "seer:latest", "other")
    await provider.models()
    assert sorted(emulator.shown[before + len(ollama_server.LISTED) :]) == ["missing:latest", "seer:latest"]
    await provider.profile("seer")
    assert len(emulator.shown) == before + len(ollama_server.LISTED) + 2


async def test_a_model_is_asked_for_once_and_again_after_a_refusal(
    provider: OllamaProvider, emulator: Emulator
) -> None:
    before = len(emulator.shown)
    for model in ("llama3.1", "llama3.1:latest"):
        await reply(provider, request(model, "hi"))
    assert emulator.shown[before:] == ["llama3.1"]
    for _ in range(2):
        with pytest.raises(ModelBadRequest):
            await reply(provider, request("no-tools-after-all", "hi"))
    assert emulator.shown[before + 1 :] == ["no-tools-after-all"] * 2


async def test_a_dead_server_stops_no_planning() -> None:
    provider = ollama_provider(ProviderSpec("ollama", "ollama", base_url="http://127.0.0.1:1"))
    assert (await provider.profile("qwen3")).context_window == WINDOW
    await provider.close()


async def test_vectors(provider: OllamaProvider, emulator: Emulator) -> None:
    embedder = provider.embedder("embed-3")
    assert await embedder.dimensions() == 3
    texts = ["a" * (length % 50 + 1) for length in range(70)]
    before = len(emulator.requests)
    vectors = await embedder.embed(texts)
    bodies = emulator.requests[before:]
    assert [len(body["input"]) for body in bodies] == [32, 32, 6]
    assert bodies[0].keys() == {"model", "input", "truncate", "options"}
    assert (bodies[0]["truncate"], bodies[0]["options"]) == (False, {"num_ctx": 512})
    assert len(vectors) == 70
    for text, vector in zip(texts, vectors, strict=True):
        assert math.isclose(math.hypot(*vector), 1)
        assert math.isclose(vector[1] / vector[0], (len(text) + 1) / len(text))
    assert await embedder.embed([]) == []


async def test_vectors_that_cannot_be_made(provider: OllamaProvider) -> None:
    with pytest.raises(ContextOverflow):
        await provider.embedder("embed-3").embed(["a" * 513])
    with pytest.raises(InvalidReply):
        await provider.embedder("embed-none").embed(["a"])
    with pytest.raises(ModelUnknown, match="ollama pull missing"):
        await provider.embedder("missing").dimensions()


async def test_nothing_is_retried_here(provider: OllamaProvider, emulator: Emulator) -> None:
    before = len(emulator.requests)
    with pytest.raises(ModelUnavailable):
        await gather(provider.stream(request("500", "hi")))
    assert len(emulator.requests) == before + 1
