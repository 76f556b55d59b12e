"""What models write for arguments and names of tools: what is repaired, and what is left to the model."""

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from o.domain.call_repair import canonical, mended, parse_arguments, repaired_call, tool_name
from o.domain.json import JsonObject
from o.domain.messages import ToolCall

ANY: JsonObject = {"type": "object"}
NOTE: JsonObject = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["text"],
}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
# Texts that look like code and JSON, where a repair goes wrong first.
HARD = st.lists(
    st.sampled_from(
        ["a", '"', "'", ", ", ": ", "{", "}", "[", "]", "(", ")", "\n", "\\", "don't", "#", "//", "5", "é"]
    ),
    max_size=5,
).map("".join)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "text"]), HARD | st.lists(HARD, max_size=2), min_size=1)


def call(arguments: str, name: str = "take_note") -> ToolCall:
    return ToolCall("call-1", name, arguments)


def read(arguments: str, parameters: JsonObject = ANY, *, cut_off: bool = False) -> JsonObject:
    return parse_arguments(repaired_call(call(arguments), parameters, cut_off=cut_off))


@given(st.dictionaries(st.text(), VALUES))
def test_a_json_object_passes_untouched(value: dict[str, Any]) -> None:
    written = call(json.dumps(value))
    assert repaired_call(written, NOTE) is written
    assert parse_arguments(written) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ("```\n{'a': 1,}\n```", {"a": 1}),
        ("{'a': 'it\\'s', \"b\": \"it's\"}", {"a": "it's", "b": "it's"}),
        ("{'text': 'it's fine', 'n': 1}", {"text": "it's fine", "n": 1}),
        ('{"a": 1, "b": [1, 2,],}', {"a": 1, "b": [1, 2]}),
        ("{“a”: “b”}", {"a": "b"}),
        ("{text: milk, n: 1}", {"text": "milk", "n": 1}),
        ('{"a": True, "b": None, "c": [False]}', {"a": True, "b": None, "c": [False]}),
        ("{'code': 'x = {\"a\": [1, 2]}\\n'}", {"code": 'x = {"a": [1, 2]}\n'}),
        ('{"pattern": "\\d+\\s"}', {"pattern": "\\d+\\s"}),
        ('{"a": "x" "b": "y"}', {"a": "x", "b": "y"}),
        ('{"a": "say "hi" now"}', {"a": 'say "hi" now'}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('"{\\"a\\": 1,}"', {"a": 1}),
        (json.dumps(json.dumps(json.dumps({"a": "b\n"}))), {"a": "b\n"}),
        ("'{\"a\": 1,}'", {"a": 1}),
        ('{"a": {"b": 1}, "c": "hel', {"a": {"b": 1}, "c": "hel"}),
        ('{"a": {"b": [1, 2', {"a": {"b": [1, 2]}}),
        ('{"a": "b"}}', {"a": "b"}),
        ('Here you go: {"a": 1}', {"a": 1}),
        ('{"a": 1} I hope this helps', {"a": 1}),
        ('<arguments>{"a": 1}</arguments>', {"a": 1}),
        ('{"a": "caf\\u00e9", "b": 1e5, "c": 1.50,}', {"a": "café", "b": 100000.0, "c": 1.5}),
        ("  ", {}),
    ],
)
def test_what_can_be_read_in_one_way_is_repaired(text: str, value: JsonObject) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}{"b": 2}',
        '{"a": 1}\n{"a": 1}',
        '{"a": 1} or {"b": 2}',
        '{"a":1},{"b":2}',
        '{"a": 1}, "b": 2}',
        '"a": 1, "b": 2',
        '"a": 1} {"b": 2}',
        "{}{}",
        "hello",
        '"hello"',
        "null",
        "5",
        '[{"a": 1}]',
        "[{'a': 1},",
        "a=1, b=2",
        '{"a": 1, "b":',
        '{"a": 1, "b',
        '{"a": "',
        '{"a": ["x", "',
        '{"a": tru',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": undefined}',
        '{"a", "b"}',
        "{'a': {1, 2}}",
        "{'a': (1, 2)}",
        '{"n": 5 apples}',
        "{zip: 01234}",
        "{'a': 'it''s'}",
        "{'a': 1, 'a': 2}",
        '{"text": "a", b", "n": 1}',
        '{"a": 1 // one\n}',
        '{"path": "C:\\temp\\x"}',
        '{"a": "\ue00a",}',
        "{...}",
    ],
)
def test_what_is_ambiguous_is_left_to_the_model(text: str) -> None:
    with pytest.raises(ValueError, match=r"the arguments of take_note .*Call take_note again with one JSON object"):
        read(text)


@given(OBJECTS, st.sampled_from(["repr", "comma", "keys", "brace", "fence", "wrapped"]))
@example({"a": ["'}"]}, "repr")
@example({"a": "b\n"}, "comma")
@example({"a": "\\'b'"}, "comma")
@example({"a": '"', "b": "\\"}, "brace")
def test_a_broken_text_is_read_as_it_was_meant_or_not_at_all(value: dict[str, Any], how: str) -> None:
    text = json.dumps(value)
    bare = ", ".join(f"{name}: {json.dumps(each)}" for name, each in value.items())
    broken = {
        "repr": repr(value),
        "comma": text[:-1] + ",}",
        "keys": f"{{{bare}}}",
        "brace": text[:-1],
        "fence": f"```json\n{text}\n```",
        "wrapped": json.dumps(text),
    }[how]
    try:
        found = read(broken)
    except ValueError:
        assert how in ("repr", "comma", "keys", "brace")
    else:
        assert found == value


@given(st.text(alphabet="{}[]()'\"\\:,ab1 \n`“/#tn-.", max_size=40))
def test_whatever_comes_ends_in_an_object_or_an_error(text: str) -> None:
    try:
        repaired = repaired_call(call(text), NOTE)
    except ValueError:
        return
    assert isinstance(json.loads(repaired.arguments, strict=False), dict)


def test_a_repair_must_fit_the_tool() -> None:
    assert read("{'text': 'a', 'count': 1}", NOTE) == {"text": "a", "count": 1}
    with pytest.raises(ValueError, match="required arguments are missing: text"):
        read("{'count': 1}", NOTE)
    with pytest.raises(ValueError, match="no arguments named: mood"):
        read("{'text': 'a', 'mood': 'b'}", NOTE)
    assert read("{'text': 'a', 'mood': 'b'}", {**NOTE, "additionalProperties": True}) == {"text": "a", "mood": "b"}
    assert read('{"mood": 1}', NOTE) == {"mood": 1}  # JSON is left to the tool


def test_a_reply_cut_off_at_its_limit_is_not_completed() -> None:
    with pytest.raises(ValueError, match=r"token limit.*Write less"):
        read('{"text": "rm -rf /tmp/a', NOTE, cut_off=True)
    assert read('{"text": "whole"}', NOTE, cut_off=True) == {"text": "whole"}


def test_what_is_stored_is_canonical() -> None:
    assert repaired_call(call("{'text': 'é',}"), NOTE).arguments == '{"text": "é"}'
    assert canonical({"a": "\ud800"}) == '{"a": "?"}'


@pytest.mark.parametrize("unit", ["[", "{", '{"a":', "{1:", "{]", "(", "'", '"', "\\", "-", ":(", '"a"-', "not "])
@pytest.mark.parametrize("head", ["", '{"a": "', "{'a': "])
def test_hostile_texts_cost_little(head: str, unit: str) -> None:
    for size in (2_000, 100_000):
        started = time.process_time()
        with pytest.raises(ValueError):
            read((head + unit * size)[:size], NOTE)
        assert time.process_time() - started < 5


def test_a_long_text_is_repaired_if_it_is_a_plain_one() -> None:
    words = "word " * 8_000
    assert read(f'{{"text": "{words}",}}') == {"text": words}
    with pytest.raises(ValueError, match="too long"):
        mended("{" + "a: 1, " * 2_000)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("take_note", "take_note"),
        ("functions.take_note", "take_note"),
        ("default_api:take_note", "take_note"),
        ("take-note", "take_note"),
        ("Take_Note", "take_note"),
        ("takeNote", "take_note"),
        (' "take_note"\n', "take_note"),
        ("`take_note()`", "take_note"),
        ("notes.take_note", None),
        ("take_notes", None),
        ("take", None),
        ("lookup", None),
        ("", None),
        ("()", None),
    ],
)
def test_a_name_is_read_where_one_tool_is_meant(written: str, meant: str | None) -> None:
    assert tool_name(written, ["take_note", "look_up", "look-up"]) == meant
