"""What fits the window, and a transcript no vendor refuses."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from o.domain.context import close_gaps, distinct_ids, estimate_message, estimate_tools, fit, merge_approvals
from o.domain.messages import (
    ImagePart,
    Message,
    ReasoningPart,
    RedactedReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
)
from o.domain.model import ToolSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = 1000


def message(role: Role, text: str = "", *, calls: tuple[str, ...] = (), returns: tuple[str, ...] = ()) -> Message:
    return Message(
        id=f"message-{role}-{text}",
        role=role,
        content=(TextPart(text),) if text else (),
        created_at=NOW,
        tool_calls=tuple(ToolCall(call, "a", "{}") for call in calls),
        tool_returns=tuple(ToolReturn(call, "r") for call in returns),
        step_id="step-1",
    )


exchanges = st.lists(
    st.tuples(st.text("x ", min_size=1, max_size=300), st.integers(0, 3), st.text("y ", max_size=300)), max_size=8
)


def transcript(parts: list[tuple[str, int, str]]) -> list[Message]:
    built = [message("system", "You are tested.")]
    for number, (question, calls, answer) in enumerate(parts):
        built.append(message("user", question))
        for call in range(calls):
            name = f"call_{number}_{call}"
            built += [message("assistant", calls=(name,)), message("tool", returns=(name,))]
        built.append(message("assistant", answer or "."))
    return built


@given(exchanges, st.integers(0, 600))
def test_fit_keeps_the_system_message_the_newest_and_whole_exchanges(
    parts: list[tuple[str, int, str]], budget: int
) -> None:
    messages = transcript(parts)
    kept = fit(messages, budget, len, IMAGE)
    assert kept[0] == messages[0]
    assert list(kept[1:]) == messages[len(messages) - len(kept) + 1 :]
    assert len(kept) == 1 or kept[1].role == "user"
    assert close_gaps(kept) == kept
    total = sum(estimate_message(message, len, IMAGE) for message in kept)
    last_exchange_only = [m.role for m in kept[1:]].count("user") <= 1
    assert total <= budget or last_exchange_only
    assert bool(parts) == (len(kept) > 1)


def test_all_a_message_holds_is_counted() -> None:
    picture = ImagePart(url="https://example.com/a.png")
    full = replace(
        message("assistant"),
        content=(TextPart("a" * 10), ReasoningPart("b" * 200), RedactedReasoningPart("c" * 3000, "anthropic"), picture),
        tool_calls=(ToolCall("call-1", "d" * 40_000, "e" * 500_000),),
        tool_returns=(ToolReturn("call-1", "f" * 6_000_000, images=(picture, picture)),),
    )
    around = estimate_message(message("assistant", calls=("call-1",)), lambda text: 0, 0)
    assert estimate_message(full, len, 70_000_000) == 6_543_210 + 3 * 70_000_000 + around


def test_all_a_tool_is_known_by_is_counted() -> None:
    tool = ToolSpec("search", "Look it up.", {"type": "object", "properties": {"query": {"type": "string"}}})
    schema = json.dumps(tool.parameters)
    around = estimate_tools([tool], lambda text: 0)
    assert estimate_tools([tool, tool], len) == 2 * (len("search") + len("Look it up.") + len(schema) + around)


def test_what_lies_behind_the_window_is_not_counted() -> None:
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return len(text)

    many = [message("system", "s"), *(message("user", f"{number:4}") for number in range(2000))]
    kept = fit(many, 100, count, IMAGE)
    assert len(kept) > 5
    assert len(counted) == len(kept) + 1  # the first that did not fit


def test_gaps_are_closed_on_both_sides() -> None:
    broken = [
        message("system", "s"),
        message("tool", returns=("lost",)),
        message("user", "q"),
        message("assistant", calls=("c1", "c2")),
        message("tool", returns=("c1", "stray")),
        message("assistant", calls=("c3",)),
        message("user", "again"),
    ]
    whole = close_gaps(broken)
    assert [m.role for m in whole] == ["system", "user", "assistant", "tool", "assistant", "tool", "user"]
    assert [r.tool_call_id for r in whole[3].tool_returns] == ["c1", "c2"]
    assert whole[3].tool_returns[1].status == "error"
    assert [r.tool_call_id for r in whole[5].tool_returns] == ["c3"]


def test_calls_that_waited_join_those_that_ran() -> None:
    asked = message("approval", calls=("c2",))
    merged = merge_approvals([message("assistant", "hm", calls=("c1",)), asked, message("approval"), message("tool")])
    assert [m.role for m in merged] == ["assistant", "tool"]
    assert [call.id for call in merged[0].tool_calls] == ["c1", "c2"]
    alone = merge_approvals([message("user", "q"), asked])
    assert [m.role for m in alone] == ["user", "assistant"]


@given(st.lists(st.lists(st.sampled_from(["call_1", "call_1_2", "call_2", "x"]), unique=True, min_size=1), max_size=8))
def test_no_two_calls_of_a_transcript_have_one_id(steps: list[list[str]]) -> None:
    messages = [message("system", "You are tested.")]
    for calls in steps:
        messages += [message("assistant", calls=tuple(calls)), message("tool", returns=tuple(reversed(calls)))]
    distinct = distinct_ids(messages)
    ids = [call.id for each in distinct for call in each.tool_calls]
    assert len(ids) == len(set(ids))
    assert close_gaps(distinct) == distinct, "every return still has its call"
    assert [len(each.tool_calls) for each in distinct] == [len(each.tool_calls) for each in messages]
    if len(steps) < 2:
        assert list(distinct) == messages
