"""Tools by JSON schema: what the model is told, and what it may write."""

import json
from datetime import UTC, datetime

import pytest

from o.domain.json import JsonObject
from o.domain.messages import Message, ToolCall, ToolReturn
from o.domain.model import ToolChoice, ToolSpec
from o.providers.schema_tools import call_schema, demand, describe, in_plain_words, offered, rehearsed
from tests.emulators.requests import LOOK, NOTE, message, request


def test_what_is_offered() -> None:
    both = (NOTE, LOOK)
    assert offered(request("m", "hi", tools=both)) == both
    assert offered(request("m", "hi", tools=both, choice=ToolChoice("none"))) == ()
    assert offered(request("m", "hi", tools=both, choice=ToolChoice("named", "look_up"))) == (LOOK,)
    assert offered(request("m", "hi", tools=both, choice=ToolChoice("named", "other"))) == ()


def test_the_description_names_tools_and_arguments() -> None:
    told = describe((NOTE, LOOK))
    assert "take_note: Write a note down." in told
    assert "text (string): The note." in told
    assert "word (string)" in told
    assert "plain words" in told
    assert describe(()) == ""


def test_a_demand_repeats_what_was_said_and_asks_for_required_arguments_only() -> None:
    optional = ToolSpec("t", "Do it.", {"properties": {"a": {"enum": ["x", "y"]}, "b": {}}, "required": ["a"]})
    told = demand((optional,), "I am Ada.")
    assert told.splitlines()[0] == 'The user said: "I am Ada."'
    assert "a (one of x, y)" in told and "b (" not in told
    assert list(call_schema((optional,))["properties"]["arguments"]["properties"]) == ["a"]
    assert "Choose the one tool" in demand((NOTE, LOOK), "")


def test_a_tiny_model_is_shown_calls_that_fit_the_schema() -> None:
    tool = ToolSpec(
        "t", "", {"properties": {"a": {"enum": ["x", "y"]}, "b": {"type": "string"}}, "required": ["a", "b"]}
    )
    like = Message(id="message-1", role="user", content=(), created_at=datetime(2026, 1, 1, tzinfo=UTC))
    shown = rehearsed((tool,), "I am Ada.", like)
    assert [message.role for message in shown] == ["system", "user", "assistant", "user", "assistant", "user"]
    calls = [json.loads(message.text) for message in shown if message.role == "assistant"]
    assert all(call["tool"] == "t" and call["arguments"]["a"] == "x" and call["arguments"]["b"] for call in calls)
    assert "I am Ada." in shown[-1].text


def test_the_schema_of_one_and_of_several() -> None:
    assert call_schema((NOTE,)) == {
        "type": "object",
        "properties": {
            "tool": {"const": "take_note"},
            "arguments": {
                "type": "object",
                "properties": {"text": {"type": "string"}},
                "required": ["text"],
                "additionalProperties": False,
            },
        },
        "required": ["tool", "arguments"],
        "additionalProperties": False,
    }
    names = [each["properties"]["tool"]["const"] for each in call_schema((NOTE, LOOK))["oneOf"]]
    assert names == ["take_note", "look_up"]


def test_a_tool_that_requires_nothing_still_gets_an_argument() -> None:
    assert call_schema((LOOK,))["properties"]["arguments"]["required"] == ["word"]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"type": "object"},
        {"type": "object", "properties": {"a": True, "b": {"$ref": "#/$defs/Nowhere"}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "array"}}}},
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}]}, "b": {"type": ["string", "null"]}}},
    ],
)
def test_hostile_schemas_become_finite_ones(parameters: JsonObject) -> None:
    text = json.dumps(call_schema((ToolSpec("t", "", parameters),)))
    assert len(text) < 5000
    assert "$ref" not in text
    assert "maxLength" not in text
    demand((ToolSpec("t", "", parameters),), "")


def test_calls_and_returns_become_texts() -> None:
    calls = (ToolCall("c1", "take_note", '{"text": "a"}'),)
    plain = in_plain_words(
        (
            message("user", "hi"),
            message("assistant", "well", calls=calls),
            message("tool", returns=(ToolReturn("c1", "done"), ToolReturn("c2", "bad", "error", name="look_up"))),
        )
    )
    assert [each.role for each in plain] == ["user", "assistant", "user"]
    assert plain[1].text == 'well\n{"tool": "take_note", "arguments": {"text": "a"}}'
    assert plain[2].text == "[take_note returned] done\n[look_up failed] bad"
    assert not any(each.tool_calls or each.tool_returns for each in plain)
