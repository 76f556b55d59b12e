"""The events of a response, as any server may write them."""

import json
from typing import Any

import pytest

from o.domain.messages import ReasoningPart, TextPart, ToolCall
from o.domain.model import ModelReply, ReplyBuilder
from o.errors import InvalidReply
from o.providers.responses_events import ResponseReader, told_error

CALL = {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": "{}"}
END = {"type": "response.completed", "response": {"status": "completed", "usage": {"input_tokens": 5}}}


def _read(*events: object) -> ModelReply:
    reader, builder = ResponseReader("gpt-5.4", signer="openai"), ReplyBuilder()
    for event in events:
        for each in reader.read(event):
            builder.add(each)
    builder.add(reader.finish())
    return builder.reply()


def _event(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **more}


def test_a_server_that_numbers_nothing() -> None:
    first, second = CALL | {"id": "fc_1", "arguments": ""}, CALL | {"id": "fc_2", "call_id": "call_2"}
    answer = _read(
        _event("output_item.added", item={"type": "message", "id": "msg_1"}),
        _event("output_text.delta", item_id="msg_1", delta="Well."),
        _event("output_item.added", item=first),
        _event("function_call_arguments.delta", item_id="fc_1", delta='{"a": 1}'),
        _event("output_item.done", item=first | {"arguments": '{"a": 1}'}),
        _event("output_item.added", item=second),
        _event("output_item.done", item=second),
        END,
    )
    assert answer.content == (TextPart("Well."),)
    assert answer.tool_calls == (ToolCall("call_1", "look_up", '{"a": 1}'), ToolCall("call_2", "look_up", "{}"))
    assert answer.finish == "tool_calls"
    assert answer.usage.prompt_tokens == 5


def test_items_that_come_whole() -> None:
    texts = [{"type": "output_text", "text": "Yes"}, {"type": "refusal", "refusal": "But no."}]
    items: list[dict[str, Any]] = [
        {"type": "reasoning", "id": "rs_1", "summary": [{"text": "one"}, {"text": "two"}], "encrypted_content": "x"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"text": "aloud"}]},
        {"type": "message", "content": texts},
        CALL,
    ]
    streamed = (_event("output_item.done", output_index=at, item=item) for at, item in enumerate(items))
    for answer in (
        _read(*streamed, END),
        _read({"object": "response", "status": "completed", "output": items}),
        _read(_event("completed", response={"status": "completed", "output": items})),
    ):
        first, second, text = answer.content
        assert isinstance(first, ReasoningPart)
        assert (first.reasoning, first.signed_by) == ("one\n\ntwo", "openai")
        proof = {"id": "rs_1", "encrypted_content": "x", "model": "gpt-5.4", "calls": 0}
        assert json.loads(first.signature or "") == proof
        assert second == ReasoningPart("aloud")
        assert text == TextPart("Yes\n\nBut no.")
        assert answer.tool_calls == (ToolCall("call_1", "look_up", "{}"),)


@pytest.mark.parametrize(
    ("response", "finish"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete", "incomplete_details": None}, "length"),
        ({"status": "completed", "usage": "none", "output": 5}, "stop"),
        (None, "stop"),
    ],
)
def test_the_ends_of_a_reply(response: object, finish: str) -> None:
    assert _read(_event("completed", response=response)).finish == finish


@pytest.mark.parametrize(
    "event",
    [
        {"type": 5},
        {"type": "keepalive", "sequence_number": 3},
        _event("output_item.added", item="none"),
        _event("output_text.delta", delta={}, output_index="first"),
        _event("function_call_arguments.delta", delta="{}", output_index=7),
        _event("output_item.done", item={"type": "reasoning", "summary": "x", "encrypted_content": 5}),
        _event("output_item.done", item={"type": "web_search_call"}),
    ],
)
def test_odd_events_say_nothing(event: object) -> None:
    assert _read(event, END).is_empty


@pytest.mark.parametrize("event", ["text", None, _event("cancelled", response={"status": "cancelled"})])
def test_what_is_no_event_is_no_reply(event: object) -> None:
    with pytest.raises(InvalidReply):
        _read(event)


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "error", "code": "server_error"}, "server_error"),
        ({"type": "error", "error": {"code": "rate_limit_exceeded"}}, "rate_limit_exceeded"),
        (_event("failed", response={"status": "failed", "error": {"code": "invalid_prompt"}}), "invalid_prompt"),
        ({"object": "response", "status": "failed", "error": {"code": "server_error"}}, "server_error"),
        ({"error": {"code": 429}}, 429),
        (_event("failed", response={"status": "failed"}), None),
    ],
)
def test_errors_are_found_where_they_are(event: object, code: object) -> None:
    assert (told_error(event) or {}).get("code") == code
    assert told_error(event) is not None


@pytest.mark.parametrize("event", [END, {"object": "response", "status": "completed", "error": None}, [1]])
def test_no_error_is_found_where_none_is(event: object) -> None:
    assert told_error(event) is None
