"""OpenAI's Responses API against the emulator: what is sent, how conversations with thoughts go on, what goes wrong."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from o.domain.json import JsonObject
from o.domain.messages import ImagePart, Message, ReasoningPart, RedactedReasoningPart, TextPart, ToolCall, ToolReturn
from o.domain.model import Finished, ModelReply, Sampling, TextDelta, ToolChoice, ToolSpec, Usage
from o.errors import InvalidReply, ModelBadRequest, ModelError, ModelRefused, ModelUnavailable
from o.providers.chat import ChatProvider
from o.providers.openai import OPENAI, openai_provider
from o.providers.spec import ProviderSpec
from tests.emulators.openai_server import KEY, Emulator
from tests.emulators.requests import LOOK, NOTE, gather, message, reply, request

THINK = Sampling(reasoning_effort="medium")
IMAGE = ImagePart(media_type="image/png", data="AAAA")
SHOWN = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}


@pytest.fixture
async def provider(emulator: Emulator) -> AsyncIterator[ChatProvider]:
    emulator.wire.refused.clear()
    spec = ProviderSpec("openai", "openai", emulator.url, KEY, "OPENAI_API_KEY")
    provider = openai_provider(spec, dialect=OPENAI, wire="responses", first_timeout=5.0, idle_timeout=0.5)
    yield provider
    await provider.close()


def _answered(said: tuple[Message, ...], answer: ModelReply) -> tuple[Message, ...]:
    """The transcript with a reply, and with the returns of its calls."""
    returns = tuple(ToolReturn(call.id, "done") for call in answer.tool_calls)
    replied = message("assistant", answer.content, calls=answer.tool_calls)
    return (*said, replied, *([message("tool", returns=returns)] if returns else []))


async def _thought(provider: ChatProvider, model: str = "gpt-5.4") -> tuple[tuple[Message, ...], ModelReply]:
    """What was said, and a reply with a thought and a call."""
    said = (message("user", "Note it."),)
    asked = request(model, *said, tools=(NOTE,), choice=ToolChoice("required"), sampling=THINK)
    return said, await reply(provider, asked)


def _kinds(emulator: Emulator) -> list[str]:
    return [item.get("role", item["type"]) for item in emulator.requests[-1]["input"]]


async def test_a_text_streams_and_ends_with_its_usage(provider: ChatProvider) -> None:
    events = await gather(provider.stream(request("gpt-5.4", "hello")))
    assert events[:-1] == [TextDelta("You said: "), TextDelta("hello")]
    usage = Usage(11, 7, cached_input_tokens=3, cache_write_tokens=4, reasoning_tokens=2)
    assert events[-1] == Finished("stop", usage)


async def test_the_whole_request_is_sent(provider: ChatProvider, emulator: Emulator) -> None:
    talk = replace(message("user", (TextPart("look"), IMAGE, ImagePart(url="http://x/y"))), conversation_id="conv-1")
    calls = (ToolCall("c1", "take_note", '{"text": "a"}'), ToolCall("an id|" + "x" * 70, "look_up", "{"))
    sent = request(
        "gpt-5.4",
        talk,
        message("assistant", "well", calls=calls),
        message("tool", returns=(ToolReturn("c1", "ok", images=(IMAGE,)), ToolReturn(calls[1].id, "", "error"))),
        message("assistant", "done"),
        message("user", "thanks"),
        tools=(NOTE, LOOK),
        choice=ToolChoice("named", "look_up"),
        sampling=Sampling(0.5, 0.9, 1.0, max_tokens=9, seed=3, reasoning_effort="high", verbosity="low"),
    )
    await reply(provider, sent)
    body = emulator.requests[-1]
    second = body["input"][4]["call_id"]
    text = {"type": "output_text", "text": "well"}
    assert body.pop("input") == [
        {"type": "message", "role": "system", "content": "You are brief."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "look"},
                SHOWN,
                {"type": "input_image", "image_url": "http://x/y", "detail": "auto"},
            ],
        },
        {"type": "message", "role": "assistant", "content": [text], "phase": "commentary"},
        {"type": "function_call", "call_id": "c1", "name": "take_note", "arguments": '{"text": "a"}'},
        {"type": "function_call", "call_id": second, "name": "look_up", "arguments": '{"invalid_arguments": "{"}'},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "ok"}, SHOWN]},
        {"type": "function_call_output", "call_id": second, "output": ""},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "done"}],
            "phase": "final_answer",
        },
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "thanks"}]},
    ]
    assert [tool.pop("parameters") for tool in body["tools"]] == [NOTE.parameters, LOOK.parameters]
    assert body == {
        "model": "gpt-5.4",
        "stream": True,
        "store": False,
        "truncation": "disabled",
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "high", "summary": "auto"},
        "text": {"verbosity": "low"},
        "max_output_tokens": 16,
        "prompt_cache_key": "conv-1",
        "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "name": "look_up"},
        "tools": [
            {"type": "function", "name": "take_note", "description": "Write a note down.", "strict": False},
            {"type": "function", "name": "look_up", "description": "Look a word up.", "strict": False},
        ],
    }


async def test_a_model_that_does_not_reason_is_asked_for_no_thoughts(
    provider: ChatProvider, emulator: Emulator
) -> None:
    await reply(provider, request("gpt-4o", "hi", sampling=Sampling(0.5, reasoning=True, verbosity="low")))
    assert not {"reasoning", "include", "text"} & set(emulator.requests[-1])
    assert emulator.requests[-1]["temperature"] == 0.5


async def test_strict_is_said_of_every_tool(provider: ChatProvider, emulator: Emulator) -> None:
    closed: JsonObject = {**NOTE.parameters, "additionalProperties": False}
    asked = request("gpt-5.4", "hi", tools=(NOTE, ToolSpec("closed", "", closed), ToolSpec("bare", "", {})))
    await reply(provider, replace(asked, strict=True))
    marks = {each["name"]: each["strict"] for each in emulator.requests[-1]["tools"]}
    assert marks == {"take_note": False, "closed": True, "bare": False}


async def test_a_form_becomes_a_format(provider: ChatProvider, emulator: Emulator) -> None:
    form: JsonObject = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": {}}}
    answer = await reply(provider, replace(request("gpt-5.4", "hi"), response_format=form))
    assert answer.content == (TextPart('{"answer": "You said: hi"}'),)
    sent = {"type": "json_schema", "name": "a", "strict": True, "schema": {}}
    assert emulator.requests[-1]["text"] == {"format": sent}
    await reply(provider, replace(request("gpt-5.4", "hi"), response_format={"type": "json_object"}))
    assert emulator.requests[-1]["text"] == {"format": {"type": "json_object"}}
    await reply(provider, replace(request("gpt-5.4-pro", "hi"), response_format=form))
    assert "text" not in emulator.requests[-1], "it knows no forms"


@pytest.mark.parametrize("model", ["o4-mini", "gpt-5", "gpt-5.4", "gpt-5.3-codex", "gpt-5.5-pro", "gpt-6.1-sol"])
async def test_thoughts_go_back_as_they_came(provider: ChatProvider, emulator: Emulator, model: str) -> None:
    said, answer = await _thought(provider, model)
    (thought,) = answer.content
    assert isinstance(thought, ReasoningPart)
    assert (thought.reasoning, thought.signed_by) == ("hm yes", "openai@127.0.0.1")
    assert thought.signature
    assert answer.finish == "tool_calls"
    said = (*_answered(said, answer), message("user", "And?"))
    last = await reply(provider, request(model, *said, tools=(NOTE,), sampling=THINK))
    assert last.content[-1] == TextPart("You said: And?")
    assert _kinds(emulator) == ["system", "user", "reasoning", "function_call", "function_call_output", "user"]
    item = emulator.requests[-1]["input"][2]
    assert item["summary"] == [{"type": "summary_text", "text": "hm yes"}]
    assert item["id"] == json.loads(thought.signature)["id"]
    assert emulator.wire.sealed[item["encrypted_content"]] == (model, item["id"])
    assert not emulator.wire.refused


async def test_thoughts_between_calls_keep_their_places(provider: ChatProvider, emulator: Emulator) -> None:
    said = (message("user", "hi"),)
    answer = await reply(provider, request("interleaved", *said, tools=(NOTE, LOOK), parallel=True, sampling=THINK))
    assert [call.id for call in answer.tool_calls] == ["a", "b"]
    await reply(provider, request("interleaved", *_answered(said, answer), tools=(NOTE, LOOK)))
    assert _kinds(emulator)[2:6] == ["reasoning", "function_call", "reasoning", "function_call"]
    assert not emulator.wire.refused


async def test_a_thought_that_is_good_no_more_is_left_out(provider: ChatProvider, emulator: Emulator) -> None:
    said, answer = await _thought(provider)
    emulator.wire.sealed.clear()
    before = len(emulator.requests)
    assert not (await reply(provider, request("gpt-5.4", *_answered(said, answer)))).is_empty
    assert [each.code for each in emulator.wire.refused] == ["invalid_encrypted_content"]
    assert len(emulator.requests) == before + 2
    assert _kinds(emulator) == ["system", "user", "function_call", "function_call_output"]


async def test_thoughts_of_others_are_left_out(provider: ChatProvider, emulator: Emulator) -> None:
    said, answer = await _thought(provider)
    (thought,) = answer.content
    assert isinstance(thought, ReasoningPart)
    for content in (
        (replace(thought, signed_by="openai"),),
        (replace(thought, signed_by="anthropic", signature="sig"), RedactedReasoningPart("xyz", "anthropic")),
        (replace(thought, signature="[1]"), replace(thought, signature="{"), replace(thought, signature=None)),
    ):
        await reply(provider, request("gpt-5.4", *_answered(said, replace(answer, content=content))))
        assert "reasoning" not in _kinds(emulator)
    await reply(provider, request("gpt-5.2", *_answered(said, answer)))
    assert "reasoning" not in _kinds(emulator), "it is another model's"
    assert not emulator.wire.refused


async def test_a_thought_that_came_to_nothing_is_left_out(provider: ChatProvider, emulator: Emulator) -> None:
    said, answer = await _thought(provider)
    cut = message("assistant", answer.content)
    await reply(provider, request("gpt-5.4", *said, cut, message("user", "go on")))
    assert _kinds(emulator) == ["system", "user", "user"]
    twice = message("assistant", (*answer.content, TextPart("so")))
    await reply(provider, request("gpt-5.4", *said, twice, twice))
    assert _kinds(emulator) == ["system", "user", "reasoning", "assistant", "assistant"]
    assert not emulator.wire.refused


async def test_an_organisation_that_is_not_verified_gets_replies(provider: ChatProvider, emulator: Emulator) -> None:
    before = len(emulator.requests)
    asked = request("gpt-5-unverified", "hi", sampling=THINK)
    for tries in (3, 1):  # what is refused is remembered
        assert (await reply(provider, asked)).content[-1] == TextPart("You said: hi")
        assert len(emulator.requests) == before + tries
        before += tries
    body = emulator.requests[-1]
    assert (body["stream"], body["reasoning"]) == (False, {"effort": "medium"})


async def test_a_bad_request_is_sent_once(provider: ChatProvider, emulator: Emulator) -> None:
    before = len(emulator.requests)
    with pytest.raises(ModelBadRequest):
        await reply(provider, request("400", "hi"))
    assert len(emulator.requests) == before + 1


async def test_another_vendors_transcript_goes_on_here(provider: ChatProvider, emulator: Emulator) -> None:
    foreign = (
        message("assistant", "Hello, I am your agent."),
        message("system", "A new day begins."),
        message("user", "  "),
        message("assistant", (TextPart(" "), ReasoningPart("well")), calls=(ToolCall("call_0", "look_up", "[1]"),)),
        message("user", "hurry"),
        message("assistant", calls=(ToolCall("call_0", "take_note", "NaN"), ToolCall("call:1", "x", "{}"))),
        message("tool", returns=(ToolReturn("call_0", "ok"), ToolReturn("nobody's", "left over", images=(IMAGE,)))),
        message("approval", "yes"),
    )
    for length in range(1, len(foreign) + 1):
        assert not (await reply(provider, request("gpt-5.4", *foreign[:length], tools=(NOTE,)))).is_empty
    assert not emulator.wire.refused


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("in-stream-error", ModelUnavailable),
        ("failed", ModelUnavailable),
        ("failed-prompt", ModelRefused),
        ("failed-image", ModelBadRequest),
        ("cancelled", InvalidReply),
    ],
)
async def test_a_response_that_fails_says_why(provider: ChatProvider, model: str, kind: type[ModelError]) -> None:
    with pytest.raises(kind) as caught:
        await gather(provider.stream(request(model, "secret words")))
    assert type(caught.value) is kind
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert KEY not in shown
    assert "secret words" not in shown


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("keepalive", "You said: hi"),  # longer than a silence may be
        ("one-json", "You said: hi"),
        ("two-texts", "Wait.\n\nDone."),
        ("refuses", "I will not."),
    ],
)
async def test_the_ways_a_text_comes(provider: ChatProvider, model: str, text: str) -> None:
    answer = await reply(provider, request(model, "hi"))
    assert answer.content == (TextPart(text),)
    assert answer.finish == "stop"
