"""What fits the window, and a transcript no vendor refuses."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from o.domain.context import close_gaps, estimate, estimate_message, fit, merge_approvals
from o.domain.messages import Message, Role, TextPart, ToolCall, ToolReturn

NOW = datetime(2026, 1, 1, tzinfo=UTC)


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
    kept = fit(messages, budget)
    assert kept[0] == messages[0]
    assert list(kept[1:]) == messages[len(messages) - len(kept) + 1 :]
    assert len(kept) == 1 or kept[1].role == "user"
    assert close_gaps(kept) == kept
    total = sum(map(estimate_message, kept))
    last_exchange_only = [m.role for m in kept[1:]].count("user") <= 1
    assert total <= budget or last_exchange_only
    assert bool(parts) == (len(kept) > 1)


@given(st.text(max_size=400))
def test_the_estimate_counts_at_least_a_token_for_three_bytes(text: str) -> None:
    assert estimate(text) * 3 >= len(text.encode())


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
