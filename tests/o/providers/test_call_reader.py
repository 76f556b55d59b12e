"""Calls that models write into their text: which are read as calls, and what passes as the text it is."""

import json
import time
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from o.domain.model import ModelEvent, TextDelta, ToolCallDelta, ToolSpec
from o.errors import InvalidReply
from o.providers.call_reader import CallReader
from tests.emulators.requests import LOOK, NOTE

BARE = '{"tool": "take_note", "arguments": {"text": "milk"}}'
NAMED = '{"name": "take_note", "parameters": {"text": "milk"}}'
OTHER = '{"name": "look_up", "arguments": {"word": "moon"}}'
MILK = ("take_note", {"text": "milk"})
MOON = ("look_up", {"word": "moon"})


def reader(tools: tuple[ToolSpec, ...] = (NOTE, LOOK), *, demanded: bool = False) -> CallReader:
    numbers = count(1)
    return CallReader(tools, demanded=demanded, new_id=lambda: f"call_{next(numbers)}")


def events(*pieces: str, demanded: bool = False, cut_off: bool = False) -> list[ModelEvent]:
    reads = reader(demanded=demanded)
    return [event for piece in pieces for event in reads.read(piece)] + list(reads.finish(cut_off=cut_off))


def read(*pieces: str, demanded: bool = False, cut_off: bool = False) -> tuple[str, list[tuple[str, object]]]:
    """The text and the calls of a reply."""
    found = events(*pieces, demanded=demanded, cut_off=cut_off)
    calls = [event for event in found if isinstance(event, ToolCallDelta)]
    assert [(call.index, call.id) for call in calls] == [(at, f"call_{at + 1}") for at in range(len(calls))]
    text = "".join(event.text for event in found if isinstance(event, TextDelta))
    return text, [(call.name or "", json.loads(call.arguments)) for call in calls]


@pytest.mark.parametrize(
    ("text", "said", "calls"),
    [
        (BARE, "", [MILK]),
        (f"  {BARE}\n", "", [MILK]),
        (NAMED, "", [MILK]),
        (f"```json\n{BARE}\n```", "", [MILK]),
        (f"```\n{BARE}```\n", "", [MILK]),
        (f"```tool_call\n{BARE}", "", [MILK]),
        (f"<tool_call>\n{NAMED}\n</tool_call>", "", [MILK]),
        (f"<tool_call>{NAMED}", "", [MILK]),
        (f"<tool_call>{NAMED}</tool_call>\n<tool_call>{OTHER}</tool_call>\n", "", [MILK, MOON]),
        (f"[TOOL_CALLS][{NAMED}, {OTHER}]", "", [MILK, MOON]),
        (f"[TOOL_CALLS] [{NAMED}]", "", [MILK]),
        (f"<|python_tag|>{NAMED}", "", [MILK]),
        (f"<|python_tag|>{NAMED}; {OTHER}", "", [MILK, MOON]),
        (f"[{NAMED},\n {OTHER}]", "", [MILK, MOON]),
        (f"{NAMED}\n{OTHER}", "", [MILK, MOON]),
        (f"```json\n{NAMED}\n```\n```json\n{OTHER}\n```", "", [MILK, MOON]),
        (f"I will note that.\n\n{BARE}", "I will note that.\n\n", [MILK]),
        (f"I see [1]: {BARE}", "I see [1]: ", [MILK]),
        (f"Sure:\n```json\n{BARE}\n```\n", "Sure:\n", [MILK]),
        (f"<tool_call>{NAMED}</tool_call> Done {{x}}.", " Done {x}.", [MILK]),
        ('{"function": {"name": "take_note", "arguments": {"text": "milk"}}}', "", [MILK]),
        ('{"type": "function", "id": "1", "function": {"name": "take_note", "arguments": "{\\"text\\": \\"milk\\"}"}}',
         "", [MILK]),
        ('{"function": "take_note", "arguments": {"text": "milk"}}', "", [MILK]),
        ('{"arguments": {"text": "milk"}, "name": "functions.take-note"}', "", [MILK]),
        ("{'tool': 'take_note', 'arguments': {'text': 'milk',}}", "", [MILK]),
        ("{tool: take_note, arguments: {text: milk}}", "", [MILK]),
        ('{"name": "take_note", "arguments": {"text": "milk"}', "", [MILK]),
        ('<tool_call>{"name": "take_note", "arguments": {"text": "milk"}</tool_call>', "", [MILK]),
        ('{"name": "take_note", "arguments": "{\'text\': \'milk\'}"}', "", [MILK]),
        ('{"tool": "look_up"}', "", [("look_up", {})]),
        ('{"tool": "look_up", "arguments": null}', "", [("look_up", {})]),
        ('{"tool": "look_up", "arguments": {"word": "} ] \\" ```"}}', "", [("look_up", {"word": '} ] " ```'})]),
    ],
)  # fmt: skip
def test_what_is_a_call(text: str, said: str, calls: list[tuple[str, object]]) -> None:
    assert read(text) == (said, calls)
    assert read(*text) == (said, calls)


@pytest.mark.parametrize(
    "text",
    [
        '{"tool": "unknown", "arguments": {}}',
        '<tool_call>{"name": "unknown", "arguments": {}}</tool_call>',
        f'[{NAMED}, {{"name": "unknown", "arguments": {{}}}}]',
        '{"tool": "take_note", "arguments": []}',
        '{"tool": "take_note", "arguments": 5}',
        '{"tool": "take_note", "arguments": {"text": "a"}, "parameters": {}}',
        '{"tool": "take_note", "name": "look_up", "arguments": {}}',
        '{"name": "take_note", "description": "Write a note down.", "parameters": {"type": "object"}}',
        '{"name": "Ada", "age": 36}',
        '{"name": "Look Up"}',  # somebody's record, as likely
        'Here is the row: {"name": "Look Up", "id": 3}',
        '{"name": "take_note"}',
        '{"function": {"function": {"name": "take_note"}}}',
        '{"type": "object"}',
        "{'tool': 'take_note', 'arguments': {'mood': 'calm'}}",
        '{"tool": "take_note", "arguments": {"text": "mil',
        '{"tool": "take_note", "arguments": {"text": "a"}}{"a": 1}',
        f"{BARE} is how it is written.",
        f"Write:\n```json\n{BARE}\n```\nand nothing else.",
        f"`{BARE}`",
        f"```python\ncall({BARE})\n```",
        '{"a": 1}',
        "{ not json",
        "[1, 2] and [x](y) and [[]]",
        "```python\nprint({})\n```",
        "`code` ```` <b> {} [ { <tool_call",
        "[TOOL_CALLS] none",
        "{\"tool\": ",
        "[",
        "``",
        "",
    ],
)  # fmt: skip
def test_what_is_no_call_is_a_text(text: str) -> None:
    assert read(text) == (text, [])
    assert read(*text) == (text, [])


PIECES = st.lists(
    st.sampled_from(
        [BARE, NAMED, OTHER, "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "```", "```json\n", "{", "}", "[", "]", '"',
         "tool", '{"name": "', "'", ":", ",", ";", "\\", "\n", " ", "a", "arguments", "<", "`"]
    ),
    max_size=8,
)  # fmt: skip


@given(PIECES, st.integers(1, 9), st.booleans())
@example(["```json\n", "a", "{"], 8, False)
def test_how_a_reply_is_cut_does_not_matter(pieces: list[str], size: int, cut_off: bool) -> None:
    text = "".join(pieces)
    whole = read(text, cut_off=cut_off)
    assert read(*(text[at : at + size] for at in range(0, len(text), size)), cut_off=cut_off) == whole
    assert read(*pieces, cut_off=cut_off) == whole
    if not whole[1]:
        assert whole[0] == text


@given(st.text(max_size=60), st.integers(1, 7))
def test_no_text_is_lost(text: str, size: int) -> None:
    assert read(*(text[at : at + size] for at in range(0, len(text), size))) == (text, [])


def test_nothing_waits_that_cannot_be_a_call() -> None:
    for piece in ("Hel", "lo [a", "] x {y", '} {"a": ', "1} <b>", " ```py\nprint"):
        reads = reader()
        assert list(reads.read(piece)) == [TextDelta(piece)]
    reads = reader()
    assert list(reads.read('See {"na')) == [TextDelta("See ")]
    assert list(reads.read("ture")) == [TextDelta('{"nature')]
    assert list(reads.read(' {"name": "Ada"')) == [TextDelta(" ")]
    assert list(reads.read("}")) == [TextDelta('{"name": "Ada"}')]
    assert list(reads.read(f"<tool_call>{NAMED}</tool_call>")) == [
        ToolCallDelta(0, "call_1", "take_note", '{"text": "milk"}')
    ]
    assert reads.called


def test_a_reply_cut_off_at_its_limit_makes_no_call_of_its_own() -> None:
    text = '{"tool": "take_note", "arguments": {"text": "milk"}'
    assert read(text, cut_off=True) == (text, [])
    assert read(BARE, cut_off=True) == ("", [MILK])


def test_without_tools_all_passes() -> None:
    reads = reader(())
    assert list(reads.read(BARE)) == [TextDelta(BARE)]
    assert list(reads.finish()) == []
    assert not reads.called


def test_what_is_held_can_be_let_go() -> None:
    reads = reader()
    assert list(reads.read(f"So: {BARE}")) == [TextDelta("So: ")]
    assert list(reads.release()) == [TextDelta(BARE)]
    assert list(reads.read(BARE)) == [TextDelta(BARE)]
    assert list(reads.finish()) == []
    assert not reads.called


@pytest.mark.parametrize(
    ("text", "call"),
    [
        (BARE, MILK),
        (f"```json\n{BARE}\n```", MILK),
        (f"Certainly! {BARE}", MILK),
        ('{"tool": "take_note", "arguments": {"text": "mil', ("take_note", {"text": "mil"})),
        ('{"tool": "take_note", "arguments": {"text": "mil\\', ("take_note", {"text": "mil\\"})),
        ('{"tool": "take_note", "arguments": {"text": "milk", "mood":', MILK),
        ('{"tool": "take_note", "arguments": {"text": "milk", "mo', MILK),
        ('{"tool": "look_up", "arguments": {"word": "a", "limit": [1, 2', ("look_up", {"word": "a", "limit": [1, 2]})),
        ('{"tool": "take_note", "arguments": {', ("take_note", {})),
        ('{"tool": "take_note", "argu', ("take_note", {})),
    ],
)
def test_a_demanded_call_that_is_cut_off_is_closed(text: str, call: tuple[str, object]) -> None:
    assert read(*text, demanded=True, cut_off=True)[1] == [call]


@pytest.mark.parametrize("text", ["no", "", "{", '{"tool": "unknown", "arguments": {}}', '{"tool', "[1]"])
def test_a_demanded_call_that_does_not_come_is_an_error(text: str) -> None:
    with pytest.raises(InvalidReply):
        read(text, demanded=True)


@pytest.mark.parametrize("unit", ["[", "{", "`", "<", '{"name":', "[{", "{tool", "\\", '"', "'", "<tool_call>{"])
def test_hostile_texts_cost_little(unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    started = time.process_time()
    assert read(*(text[at : at + 50] for at in range(0, len(text), 50))) == (text, [])
    assert read('{"name": "' + text) == ('{"name": "' + text, [])
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("text", "said", "calls"),
    [
        (BARE, "", [MILK]),
        (f"```json\n{NAMED}\n```", "", [MILK]),
        (f"I will note that.\n<tool_call>\n{NAMED}\n</tool_call>", "I will note that.\n", [MILK]),
        (f"Both:\n<tool_call>{NAMED}</tool_call>\n<tool_call>{OTHER}</tool_call>", "Both:\n", [MILK, MOON]),
        (f"Now. [TOOL_CALLS][{NAMED}]", "Now. ", [MILK]),
        *(
            (text, text, [])
            for text in (
                f"To note it you would send:\n```json\n{NAMED}\n```",
                f"You would write {BARE}",
                f"<tool_call>{NAMED}</tool_call> is how it is written.",
                f"Write <tool_call>{NAMED}</tool_call> to note it.",
            )
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_who_calls_in_another_way_may_speak_of_calls(text: str, said: str, calls: list[object], size: int) -> None:
    numbers = count(1)
    reads = CallReader((NOTE, LOOK), demanded=False, new_id=lambda: f"call_{next(numbers)}", explains=True)
    found = [event for at in range(0, len(text), size) for event in reads.read(text[at : at + size])]
    found += reads.finish()
    assert "".join(event.text for event in found if isinstance(event, TextDelta)) == said
    made = [event for event in found if isinstance(event, ToolCallDelta)]
    assert [(call.name, json.loads(call.arguments)) for call in made] == calls
