"""The scripted provider: the request says what is answered, across processes too."""

import json
from pathlib import Path
from typing import Any

import pytest

from o.domain.json import JsonObject
from o.domain.model import Finished, TextDelta, ToolCallDelta, ToolChoice, ToolSpec
from o.errors import ModelBadRequest, ModelRateLimited, ModelUnavailable, NotFound
from o.providers.scripted import Script, ScriptedProvider, Turn
from tests.emulators.requests import LOOK, NOTE, gather, message, reply, request


def _script(*turns: dict[str, Any]) -> str:
    return json.dumps({"turns": turns})


async def test_echo_and_silence() -> None:
    provider = ScriptedProvider()
    events = await gather(provider.stream(request("echo", "hello world")))
    assert events[:-1] == [TextDelta("You "), TextDelta("said: "), TextDelta("hello "), TextDelta("world")]
    assert (await reply(provider, request("silent", "hi"))).is_empty


async def test_turns_are_played_in_order() -> None:
    provider = ScriptedProvider()
    script = _script({"tool_calls": [{"name": "take_note", "arguments": {"text": "a"}}]}, {"text": "Done."})
    first = await reply(provider, request("json", script))
    assert (first.tool_calls[0].name, first.finish) == ("take_note", "tool_calls")
    again = await reply(provider, request("json", script))
    assert again == first, "the same request has the same answer, ids included"
    second = await reply(provider, request("json", script, message("assistant", calls=first.tool_calls)))
    assert second.finish == "stop"
    beyond = request("json", script, message("assistant", "a"), message("assistant", "b"))
    assert (await reply(provider, beyond)).content


async def test_errors_after_a_part_of_the_text_then_success() -> None:
    provider = ScriptedProvider()
    turn = {"text": "whole", "partial": "wh", "error": "llm_rate_limit", "retry_after": 2.5, "attempts_failing": 1}
    asked = request("json", _script(turn))
    events = []
    with pytest.raises(ModelRateLimited) as caught:
        async for event in provider.stream(asked):
            events.append(event)  # noqa: PERF401 - what came before the error counts
    assert events == [TextDelta("wh")]
    assert caught.value.retry_after == 2.5
    assert (await reply(provider, asked)).finish == "stop"


async def test_the_journal_counts_across_providers(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    asked = request("json", _script({"text": "secret", "error": "llm_unavailable", "attempts_failing": 2}))
    for _ in range(2):
        with pytest.raises(ModelUnavailable):
            await reply(ScriptedProvider(journal=journal), asked)
    assert (await reply(ScriptedProvider(journal=journal), asked)).finish == "stop"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert len(lines) == 3
    assert set(lines[0]) == {"model", "messages", "request", "pid", "ns"}
    assert "secret" not in journal.read_text()
    assert journal.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("model", ["echo", "silent"])
async def test_a_demanded_call_is_filled_from_its_schema(model: str) -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "default": "given"},
            "b": {"enum": ["one", "two"]},
            "c": {"type": "integer", "minimum": 4},
            "d": {"anyOf": [{"type": "array"}, {"type": "null"}]},
            "e": {"type": "object", "properties": {"f": {"type": ["boolean", "null"]}}, "required": ["f"]},
            "left out": {"type": "string"},
        },
        "required": ["a", "b", "c", "d", "e"],
    }
    tools = (NOTE, ToolSpec("hard", "", schema), LOOK)
    events = await gather(
        ScriptedProvider().stream(request(model, "hi", tools=tools, choice=ToolChoice("named", "hard")))
    )
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert calls[0].name == "hard"
    assert json.loads(calls[1].arguments) == {"a": "given", "b": "one", "c": 4, "d": [], "e": {"f": True}}
    first = await reply(ScriptedProvider(), request(model, "hi", tools=tools, choice=ToolChoice("required")))
    assert first.tool_calls[0].name == "take_note"


async def test_a_script_of_ones_own_and_bad_ones() -> None:
    script = Script(turns=(Turn(text="a b", reasoning="hm", finish="length", delay=0.001, delta_delay=0.001),))
    answer = await reply(ScriptedProvider(script), request("any", "hi"))
    assert (answer.finish, answer.usage.reasoning_tokens, answer.usage.completion_tokens) == ("length", 1, 3)
    for bad in ("no json", '{"turns": [{"txt": "typo"}]}', _script({"error": "no such"})):
        with pytest.raises(ModelBadRequest):
            await reply(ScriptedProvider(), request("json", bad))
    with pytest.raises(NotFound):
        await ScriptedProvider().profile("other")
    raw = await reply(ScriptedProvider(), request("json", _script({"tool_calls": [{"name": "t", "raw": "{"}]})))
    assert raw.tool_calls[0].arguments == "{"


async def test_usage_counts_words() -> None:
    events = await gather(ScriptedProvider().stream(request("echo", "one two")))
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (5, 4)
