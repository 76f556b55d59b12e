"""Anthropic's events, as any server may write them."""

from typing import Any

import pytest

from o.domain.model import (
    Finished,
    FinishReason,
    ModelEvent,
    ReasoningDelta,
    RedactedReasoning,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from o.errors import InvalidReply
from o.providers.anthropic_events import EventReader

END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}


def _read(*events: Any) -> list[ModelEvent]:
    reader = EventReader({"wire": "ours"}, signer="anthropic")
    return [*(each for event in events for each in reader.read(event)), reader.finish()]


def _start(index: Any, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def _delta(index: Any, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def test_blocks_become_parts_and_calls() -> None:
    assert _read(
        _start(0, type="thinking", thinking="", signature=""),
        _delta(0, type="thinking_delta", thinking="hm"),
        _delta(0, type="signature_delta", signature="proof"),
        _start(1, type="redacted_thinking", data="data"),
        _start(2, type="text", text="Now"),
        _delta(2, type="text_delta", text="."),
        _start(3, type="tool_use", id="a", name="wire", input={}),
        _delta(3, type="input_json_delta", partial_json=""),
        _delta(3, type="input_json_delta", partial_json="{}"),
        _start(4, type="tool_use", id="b", name="other", input={"x": 1}),
        _delta(4, type="input_json_delta", partial_json='{"x": 1}'),
        END,
    )[:-1] == [
        ReasoningDelta("hm"),
        ReasoningDelta("", "proof", "anthropic"),
        RedactedReasoning("data", "anthropic"),
        TextDelta("Now"),
        TextDelta("."),
        ToolCallDelta(0, "a", "ours"),
        ToolCallDelta(0, arguments="{}"),
        ToolCallDelta(1, "b", "other", '{"x": 1}'),
    ]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("something new", "stop"),
    ],
)
def test_why_it_stopped(told: str, reason: FinishReason) -> None:
    (end,) = _read({"type": "message_delta", "delta": {"stop_reason": told}})
    assert end == Finished(reason, Usage())


def test_the_last_count_is_the_one_that_counts() -> None:
    begun = {"input_tokens": 0, "cache_read_input_tokens": 30, "cache_creation_input_tokens": None, "output_tokens": 1}
    ended = {"input_tokens": 5, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 40}}
    (end,) = _read(
        {"type": "message_start", "message": {"usage": begun}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": ended},
    )
    assert end == Finished("stop", Usage(35, 9, cached_input_tokens=30, reasoning_tokens=9))


def test_a_stream_that_ends_before_its_reply_is_no_reply() -> None:
    with pytest.raises(InvalidReply):
        _read(_start(0, type="text", text="Now"))
    with pytest.raises(InvalidReply):
        _read([1, 2])


@pytest.mark.parametrize(
    "odd",
    [
        {"type": ["x"]},
        {"type": "message_start", "message": "none", "usage": 5},
        _start({}, type="tool_use", id=5, name=None, input="x") | {"index": []},
        _start(0, type=["x"]),
        _delta(0, type={}),
        _delta(9, type="input_json_delta", partial_json="{}"),
        {"type": "content_block_start"},
        {"type": "message", "content": "x", "usage": [], "stop_reason": 5},
        {"type": "message_delta", "delta": None, "usage": {"output_tokens": "many", "input_tokens": True}},
    ],
)
def test_odd_shapes_do_no_harm(odd: Any) -> None:
    end = _read(odd, END)[-1]
    assert isinstance(end, Finished)
    assert end.usage == Usage(completion_tokens=1)
