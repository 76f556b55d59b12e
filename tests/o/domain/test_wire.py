"""Stored messages as wire messages, and the deltas that must add up to the same."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.call_text import said_so_far, split_thought
from o.domain.heartbeats import heard
from o.domain.json import JsonObject
from o.domain.messages import Approval, ImagePart, Message, ReasoningPart, Role, TextPart, ToolCall, ToolReturn
from o.domain.model import (
    Finished,
    ModelEvent,
    ModelReply,
    ReasoningDelta,
    RedactedReasoning,
    ReplyBuilder,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from o.domain.wire import (
    approval_request_id,
    date,
    derived_otid,
    error_message,
    print_message,
    stop_message,
    usage_statistics,
)
from o.domain.wire_deltas import DeltaPrinter
from tests.o.domain.test_loop import agent

ID = "message-5f0c2f4e-7a53-4b4e-9d55-0d6c5f3e9fff"
AT = datetime(2026, 1, 1, 0, 0, 0, 654321, tzinfo=UTC)


def row(role: Role, **fields: Any) -> Message:
    return Message(**{"id": ID, "role": role, "content": (), "created_at": AT, **fields})


def say(text: str, call_id: str = "call_say") -> ToolCall:
    return ToolCall(call_id, "send_message", json.dumps({"message": text}))


def test_a_date_has_whole_seconds_and_an_offset() -> None:
    assert date(AT) == "2026-01-01T00:00:00+00:00"


def test_the_last_hex_digit_of_a_derived_otid_is_the_index() -> None:
    assert [derived_otid(ID, index)[-2:] for index in range(3)] == ["80", "81", "82"]
    assert derived_otid(ID, 0)[:-2] == ID.removeprefix("message-")[:-2]


def test_an_assistant_row_prints_its_parts_in_order_under_one_id() -> None:
    calls = (ToolCall("a", "roll", "{}"), ToolCall("b", "look", '{"x": 1}'))
    printed = print_message(
        row("assistant", content=(ReasoningPart("hm", "sig"), TextPart("Hello")), tool_calls=calls), legacy=False
    )
    assert [m["message_type"] for m in printed] == ["reasoning_message", "assistant_message", "tool_call_message"]
    assert {m["id"] for m in printed} == {ID}
    assert [m["otid"][-1] for m in printed] == ["0", "1", "2"]
    assert printed[0]["source"] == "reasoner_model"
    assert printed[0]["signature"] == "sig"
    assert printed[2]["tool_call"] == {"name": "roll", "arguments": "{}", "tool_call_id": "a"}
    assert [call["tool_call_id"] for call in printed[2]["tool_calls"]] == ["a", "b"]


def test_what_a_legacy_agent_says_by_tool_prints_as_its_words() -> None:
    message = row("assistant", content=(TextPart("think"),), tool_calls=(say("Hi"), ToolCall("c", "roll", "{}")))
    printed = print_message(message, legacy=True)
    assert [(m["message_type"], m.get("reasoning") or m.get("content")) for m in printed] == [
        ("reasoning_message", "think"),
        ("assistant_message", "Hi"),
        ("tool_call_message", None),
    ]
    assert [call["name"] for call in printed[2]["tool_calls"]] == ["roll"]
    plain = print_message(message, legacy=True, use_assistant_message=False)
    assert [m["message_type"] for m in plain] == ["reasoning_message", "tool_call_message"]


def test_the_return_of_what_was_said_is_hidden_and_a_refusal_is_not() -> None:
    said = ToolReturn("call_say", "None", name="send_message")
    rolled = ToolReturn("c", "4", name="roll", stdout=("x",))
    assert print_message(row("tool", tool_returns=(said,)), legacy=True) == []
    (printed,) = print_message(row("tool", tool_returns=(said, rolled)), legacy=True)
    assert printed["tool_return"] == "4"
    assert printed["stdout"] == ["x"]
    assert [r["tool_call_id"] for r in printed["tool_returns"]] == ["c"]
    (refused,) = print_message(row("tool", tool_returns=(replace(said, status="error"),)), legacy=True)
    assert refused["status"] == "error"
    (shown,) = print_message(row("tool", tool_returns=(said,)), legacy=True, use_assistant_message=False)
    assert shown["tool_call_id"] == "call_say"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hello", "hello"),
        ('{"type": "user_message", "message": "packed"}', "packed"),
        ('{"type": "heartbeat", "reason": "x"}', '{"type": "heartbeat", "reason": "x"}'),
        ('{"type": not json', '{"type": not json'),
        ('{"type": ' + "[" * 100_000, '{"type": ' + "[" * 100_000),
    ],
)
def test_user_text_prints_as_it_was_sent(text: str, shown: str) -> None:
    (printed,) = print_message(row("user", content=(TextPart(text),), otid="mine"), legacy=False)
    assert printed["content"] == shown
    assert printed["otid"] == "mine"


def test_images_print_by_reference_or_as_stored() -> None:
    parts = (
        TextPart("see"),
        ImagePart(url="https://example.org/a.png"),
        ImagePart(media_type="image/png", data="AA=="),
    )
    (printed,) = print_message(row("user", content=parts), legacy=False)
    assert [part["type"] for part in printed["content"]] == ["text", "image", "image"]
    assert [part["source"]["type"] for part in printed["content"][1:]] == ["url", "letta"]


def test_an_approval_prints_its_question_and_its_answer() -> None:
    (asked,) = print_message(row("approval", tool_calls=(ToolCall("c", "roll", "{}"),)), legacy=False)
    assert asked["message_type"] == "approval_request_message"
    assert asked["otid"] == ID
    returned = ToolReturn("d", "done")
    answers = (Approval("c", False, "no"), Approval("d", True, returned=returned))
    (answered,) = print_message(row("approval", approvals=answers), legacy=False)
    assert answered["approval_request_id"] == "c"
    assert answered["approve"] is False
    assert [a["type"] for a in answered["approvals"]] == ["approval", "tool"]


def test_an_approval_request_has_the_id_before_its_reply() -> None:
    assert approval_request_id(ID) == "message-5f0c2f4e-7a53-4b4e-9d55-0d6c5f3e9ffe"


def test_the_end_of_a_run_prints_in_the_words_of_the_contract() -> None:
    assert stop_message("end_turn") == {"message_type": "stop_reason", "stop_reason": "end_turn"}
    assert usage_statistics(steps=2, prompt=10, completion=5)["total_tokens"] == 15
    assert error_message("run-1", "llm_unavailable", "gone")["error_type"] == "llm_error"


@given(st.text(), st.integers(0, 200))
def test_what_is_said_so_far_is_a_beginning_of_what_is_said(text: str, cut: int) -> None:
    arguments = json.dumps({"message": text})
    said = said_so_far(arguments[:cut])
    assert said is None or text.replace("\0", "").startswith(said)
    assert said_so_far(arguments) == text.replace("\0", "")


def merged(deltas: Sequence[JsonObject]) -> list[JsonObject]:
    """What a client makes of deltas: fields of equal otid concatenated."""
    found: dict[str, JsonObject] = {}
    for delta in deltas:
        whole = found.setdefault(
            delta["otid"], {"id": delta["id"], "message_type": delta["message_type"], "text": "", "calls": {}}
        )
        whole["text"] += delta.get("content", delta.get("reasoning", ""))
        if fragment := delta.get("tool_calls"):
            call = whole["calls"].setdefault(fragment["tool_call_id"], {"arguments": ""})
            call["arguments"] += fragment["arguments"]
            call.update({"name": fragment["name"]} if "name" in fragment else {})
    return [{**whole, "otid": otid} for otid, whole in found.items()]


def summarised(messages: Sequence[JsonObject]) -> list[JsonObject]:
    return [
        {
            "id": message["id"],
            "message_type": message["message_type"],
            "text": message.get("content", message.get("reasoning", "")),
            "calls": {
                call["tool_call_id"]: {"name": call["name"], "arguments": call["arguments"]}
                for call in message.get("tool_calls", [])
            },
            "otid": message["otid"],
        }
        for message in messages
    ]


def pieces(text: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.integers(0, len(text)), max_size=5).map(
        lambda cuts: [text[a:b] for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), len(text)], strict=True)]
    )


@st.composite
def replies(draw: st.DrawFn) -> list[ModelEvent]:
    events: list[ModelEvent] = [ReasoningDelta(p) for p in draw(st.lists(st.text(max_size=5), max_size=3))]
    events += [TextDelta(p) for p in draw(st.lists(st.text(max_size=5), max_size=3))]
    for index in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(["send_message", "roll", "ask"]))
        arguments = json.dumps({"message": draw(st.text(max_size=9))})
        call_id = draw(st.sampled_from([None, "c1", "c2"]))
        first, *rest = draw(pieces(arguments))
        events.append(ToolCallDelta(index, call_id, name, first))
        events += [ToolCallDelta(index, arguments=piece) for piece in rest]
    return [*events, Finished("stop")]


@pytest.mark.parametrize(("legacy", "use"), [(False, True), (True, True), (True, False)])
@given(events=replies())
def test_deltas_add_up_to_the_stored_row(legacy: bool, use: bool, events: list[ModelEvent]) -> None:
    builder = ReplyBuilder()
    printer = DeltaPrinter(
        message_id=ID, run_id="run-1", step_id="step-1", created_at=AT, legacy=legacy, use_assistant_message=use
    )
    deltas: list[JsonObject] = []
    for event in events:
        builder.add(event)
        deltas += printer.print(event)
    reply = builder.reply()
    stored = row("assistant", content=reply.content, tool_calls=reply.tool_calls, run_id="run-1", step_id="step-1")
    expected = summarised(print_message(stored, legacy=legacy, use_assistant_message=use))
    spoken = legacy and use
    if spoken and any(call.name == "send_message" for call in reply.tool_calls):
        # Speech between other calls is streamed where it stands: the otids of what follows may differ in order.
        def words(message: JsonObject) -> tuple[str, str]:
            return message["message_type"], message["text"]

        shown = [m for m in merged(deltas) if m["text"] or m["calls"]]
        assert sorted(map(words, shown)) == sorted(words(m) for m in expected if m["text"] or m["calls"])
        return
    assert [m for m in merged(deltas) if m["text"] or m["calls"]] == [m for m in expected if m["text"] or m["calls"]]


def streamed(printer: DeltaPrinter, name: str, arguments: Sequence[str]) -> list[JsonObject]:
    first, *rest = arguments
    deltas = printer.print(ToolCallDelta(0, "c1", name, first))
    return deltas + [delta for piece in rest for delta in printer.print(ToolCallDelta(0, arguments=piece))]


@given(
    thought=st.text(max_size=9),
    more=st.dictionaries(st.sampled_from(["message", "text", "request_heartbeat"]), st.text(max_size=5), max_size=3),
    name=st.sampled_from(["send_message", "roll"]),
    cuts=st.data(),
)
def test_a_thought_in_a_call_is_streamed_as_it_is_stored(
    thought: str, more: dict[str, str], name: str, cuts: st.DataObject
) -> None:
    arguments = cuts.draw(pieces(json.dumps({"thinking": thought, **more})))
    printer = DeltaPrinter(message_id=ID, run_id="run-1", step_id="step-1", created_at=AT, legacy=True, thoughts=True)
    deltas = streamed(printer, name, arguments)
    who = replace(agent(kind="memgpt_agent"), thoughts_in_arguments=True)
    said = ModelReply((), (ToolCall("c1", name, "".join(arguments)),), "tool_calls", Usage())
    reply = heard(said, who)
    stored = row("assistant", content=reply.content, tool_calls=reply.tool_calls, run_id="run-1", step_id="step-1")
    expected = [m for m in summarised(print_message(stored, legacy=True)) if m["text"] or m["calls"]]
    kinds = [(m["message_type"], m["text"], m["calls"]) for m in merged(deltas) if m["text"] or m["calls"]]
    if name == "send_message" and next(iter(more), None) != "message":
        return  # what is said after other arguments is shown whole, with the reply
    assert kinds == [(m["message_type"], m["text"], m["calls"]) for m in expected]


@given(st.text(max_size=20), st.integers(0, 60))
def test_what_is_split_off_only_grows(thought: str, cut: int) -> None:
    arguments = json.dumps({"thinking": thought, "text": thought})
    whole, rest = split_thought(arguments)
    some, begun = split_thought(arguments[:cut])
    assert whole.startswith(some) and rest.startswith(begun)
    assert (whole, json.loads(rest)) == (thought.replace("\0", ""), {"text": thought})


@pytest.mark.parametrize("arguments", ['{"text": "x", "thinking": "y"}', "{}", '{"thinking": 5}', "[1]", "oops"])
def test_what_opens_with_no_thought_is_left_whole(arguments: str) -> None:
    assert split_thought(arguments) == ("", arguments)


def test_what_no_row_can_hold_is_taken_out_of_speech_and_thoughts() -> None:
    arguments = '{"thinking": "a\\u0000\\ud83d", "message": "b\\u0000\\ud83d"}'
    assert split_thought(arguments)[0] == "a?"
    printed = print_message(row("assistant", tool_calls=(ToolCall("c", "send_message", arguments),)), legacy=True)
    assert printed[0]["content"] == "b?"


def test_where_it_is_open_whether_calls_wait_they_are_shown_whole() -> None:
    printer = DeltaPrinter(message_id=ID, run_id="r", step_id="s", created_at=AT, legacy=True, undecided=True)
    assert streamed(printer, "roll", ['{"a"', ": 1}"]) == []
    assert printer.print(ToolCallDelta(1, "c2", "send_message", '{"message": "hi"}'))[0]["content"] == "hi"


def test_calls_that_wait_stream_as_an_approval_request() -> None:
    printer = DeltaPrinter(message_id=ID, run_id="r", step_id="s", created_at=AT, legacy=False, waiting={"ask"})
    first, second = printer.print(ToolCallDelta(0, "c", "ask", '{"a"')) + printer.print(
        ToolCallDelta(0, arguments=": 1}")
    )
    assert first["message_type"] == second["message_type"] == "approval_request_message"
    assert first["id"] == first["otid"] == approval_request_id(ID)
    assert first["tool_call"] == {"name": "ask", "arguments": '{"a"', "tool_call_id": "c"}
    assert second["tool_calls"] == {"arguments": ": 1}", "tool_call_id": "c"}


def test_without_parallel_calls_only_the_first_is_shown() -> None:
    printer = DeltaPrinter(message_id=ID, run_id="r", step_id="s", created_at=AT, legacy=False, parallel=False)
    assert len(printer.print(ToolCallDelta(0, "a", "roll", "{}"))) == 1
    assert printer.print(ToolCallDelta(1, "b", "roll", "{}")) == []
    assert printer.print(ToolCallDelta(1, arguments="x")) == []


def test_a_call_whose_name_comes_late_is_shown_whole() -> None:
    printer = DeltaPrinter(message_id=ID, run_id="r", step_id="s", created_at=AT, legacy=False)
    assert printer.print(ToolCallDelta(0, "a", None, "{")) == []
    (delta,) = printer.print(ToolCallDelta(0, None, "roll", "}"))
    assert delta["tool_call"] == {"name": "roll", "arguments": "{}", "tool_call_id": "a"}


def test_thoughts_that_nobody_can_read_are_hidden_alike_in_deltas_and_lists() -> None:
    events: list[ModelEvent] = [
        ReasoningDelta("", "proof-1", "anthropic"),
        RedactedReasoning("sealed", "anthropic"),
        ReasoningDelta("hm "),
        ReasoningDelta("yes", "proof-2", "anthropic"),
        TextDelta("Done."),
        Finished("stop"),
    ]
    builder = ReplyBuilder()
    printer = DeltaPrinter(message_id=ID, run_id="r", step_id="s", created_at=AT, legacy=False)
    deltas: list[JsonObject] = []
    for event in events:
        builder.add(event)
        deltas += printer.print(event)
    stored = print_message(row("assistant", content=builder.reply().content), legacy=False)
    kinds = [(message["message_type"], message.get("state")) for message in stored]
    assert kinds == [
        ("hidden_reasoning_message", "omitted"),
        ("hidden_reasoning_message", "redacted"),
        ("reasoning_message", None),
        ("assistant_message", None),
    ]
    assert list(dict.fromkeys(delta["otid"] for delta in deltas)) == [message["otid"] for message in stored]
    assert [delta["message_type"] for delta in deltas] == [
        "hidden_reasoning_message",
        "hidden_reasoning_message",
        "reasoning_message",
        "reasoning_message",
        "assistant_message",
    ]
    assert deltas[1]["hidden_reasoning"] == stored[1]["hidden_reasoning"] == "sealed"
