"""What a reply's events add up to: storable texts, and calls whose ids are theirs alone."""

import json

import pytest

from o.domain.model import (
    Finished,
    ModelEvent,
    ReasoningDelta,
    RedactedReasoning,
    ReplyBuilder,
    TextDelta,
    ToolCallDelta,
    storable,
)
from o.domain.wire_deltas import DeltaPrinter
from tests.emulators.requests import message


@pytest.mark.parametrize(
    "event",
    [
        TextDelta("a\0\ud83d"),
        ReasoningDelta("a\0\ud83d", "b\0\ud83d", "c"),
        RedactedReasoning("a\0\ud83d", "c"),
        ToolCallDelta(0, "a\0\ud83d", "b\0\ud83d", "c\0\ud83d"),
    ],
)
def test_no_text_of_an_event_holds_what_the_database_cannot(event: ModelEvent) -> None:
    said = repr(storable(event))
    assert "\\x00" not in said
    assert "\\ud83d" not in said


@pytest.mark.parametrize(
    "ids", [["a", "a", None, None], ["a_2", "a", "a"], ["call_1", None], ["a_1", "a_1", "a_1_1"], ["a", "a", "a_1"]]
)
def test_no_two_calls_have_one_id(ids: list[str | None]) -> None:
    builder, printed = ReplyBuilder(), []
    printer = DeltaPrinter(
        message_id="message-00000000-0000-4000-8000-000000000000",
        run_id="run-1",
        step_id="step-1",
        created_at=message("user").created_at,
        legacy=False,
    )
    for index, call_id in enumerate(ids):
        for event in (ToolCallDelta(index, call_id, "look_up"), ToolCallDelta(index, "another", None, "{}")):
            builder.add(event)
            printed += printer.print(event)
    builder.add(Finished("tool_calls"))
    calls = [call.id for call in builder.reply().tool_calls]
    assert len(set(calls)) == len(ids)
    shown = [delta["tool_call"]["tool_call_id"] for delta in printed]
    assert list(dict.fromkeys(shown)) == calls, json.dumps(shown)
