"""The conversation row is the lock and the queue: order, hand-over, cancel, deduplication, whatever comes twice."""

import asyncio

import pytest

from o import ids
from o.contracts.turn import StepRef
from o.domain import loop
from o.domain.messages import Approval, TextPart, ToolCall
from o.domain.model import ModelReply, Usage
from o.errors import (
    Cancelled,
    Conflict,
    ConversationBusy,
    InvalidArgument,
    NotFound,
    PendingApproval,
    Superseded,
    Unprocessable,
)
from o.store import queue, turn
from o.store.expiry import wake
from o.store.session import Store
from tests.support.agents import make_agent, request

SAID = ModelReply((TextPart("Hi there."),), (), "stop", Usage(10, 3))


async def accept(store: Store, asked: queue.TurnRequest) -> queue.Accepted:
    async with store.transaction() as tx:
        return await queue.accept(tx, asked)


async def begin(store: Store, at: StepRef) -> turn.Asking:
    async with store.transaction() as tx:
        begun = await turn.begin(tx, at)
    assert isinstance(begun, turn.Asking)
    return begun


async def reply(
    store: Store, at: StepRef, asked: turn.Asking, said: ModelReply = SAID, planned: loop.Plan | None = None
) -> StepRef | None:
    async with store.transaction() as tx:
        answered = turn.Answered(ids.new("message"), said, "scripted/json")
        _, start = await turn.answer(tx, at, asked, answered, planned or loop.Plan(stop="end_turn"))
    return start


async def test_a_turn_from_request_to_end(store: Store) -> None:
    agent, conversation = await make_agent(store)
    accepted = await accept(store, request(agent, conversation, "Hello"))
    assert accepted.start is not None and accepted.start.index == 0
    assert await reply(store, accepted.start, await begin(store, accepted.start)) is None
    async with store.transaction() as tx:
        run = await tx.runs.get(accepted.run_id)
        steps = await tx.steps.of_run(run.id)
        messages = await tx.messages.of_run(run.id)
        events = await tx.events.after(run.id, 0)
        free = (await tx.conversations.get(conversation)).active_run_id
        shown = await tx.agents.get(agent)
    assert (run.status, run.stop_reason) == ("completed", "end_turn")
    assert [(step.status, step.stop_reason, step.prompt_tokens) for step in steps] == [("success", "end_turn", 10)]
    assert [message.role for message in messages] == ["user", "assistant"]
    assert [event.kind for event in events] == ["message", "end"]
    assert [event.seq for event in events] == [1, 2]
    assert free is None
    assert shown.last_stop_reason == "end_turn"


async def test_runs_of_one_conversation_wait_in_order(store: Store) -> None:
    agent, conversation = await make_agent(store)
    first = await accept(store, request(agent, conversation, "one"))
    second = await accept(store, request(agent, conversation, "two"))
    third = await accept(store, request(agent, conversation, "three"))
    assert first.start is not None and second.start is None and third.start is None
    after_first = await reply(store, first.start, await begin(store, first.start))
    assert after_first is not None and after_first.run_id == second.run_id
    after_second = await reply(store, after_first, await begin(store, after_first))
    assert after_second is not None and after_second.run_id == third.run_id
    await reply(store, after_second, await begin(store, after_second))
    async with store.transaction() as tx:
        context = await tx.messages.context(conversation)
    said = [(message.role, message.text) for message in context[1:]]
    assert said == [
        ("user", "one"),
        ("assistant", "Hi there."),
        ("user", "two"),
        ("assistant", "Hi there."),
        ("user", "three"),
        ("assistant", "Hi there."),
    ]


async def test_many_requests_at_once_leave_one_holder(store: Store) -> None:
    agent, conversation = await make_agent(store)
    accepted = await asyncio.gather(*(accept(store, request(agent, conversation, str(n))) for n in range(12)))
    assert sum(one.start is not None for one in accepted) == 1


async def test_a_route_that_does_not_queue_is_told_who_is_busy(store: Store) -> None:
    agent, conversation = await make_agent(store)
    first = await accept(store, request(agent, conversation))
    with pytest.raises(ConversationBusy) as caught:
        await accept(store, request(agent, conversation, "again", queue=False))
    assert caught.value.run_id == first.run_id


async def test_the_same_request_twice_is_one_run(store: Store) -> None:
    agent, conversation = await make_agent(store)
    first = await accept(store, request(agent, conversation, "pay", idempotency_key="k1"))
    again = await accept(store, request(agent, conversation, "pay", idempotency_key="k1"))
    assert (again.run_id, again.attached, again.start) == (first.run_id, True, first.start)
    with pytest.raises(Unprocessable, match="another body"):
        await accept(store, request(agent, conversation, "other", idempotency_key="k1"))
    retried = await accept(store, request(agent, conversation, "pay", is_retry=True))
    assert (retried.run_id, retried.attached) == (first.run_id, True)
    fresh = await accept(store, request(agent, conversation, "pay"))
    assert fresh.run_id != first.run_id


async def test_a_superseded_attempt_writes_nothing(store: Store) -> None:
    agent, conversation = await make_agent(store)
    accepted = await accept(store, request(agent, conversation))
    assert accepted.start is not None
    paused = await begin(store, accepted.start)
    async with store.transaction() as tx:
        assert await tx.events.append_deltas(accepted.run_id, 0, paused.attempt, [{"id": "message-1"}])
    current = await begin(store, accepted.start)
    assert current.attempt == paused.attempt + 1
    async with store.transaction() as tx:
        assert not await tx.events.append_deltas(accepted.run_id, 0, paused.attempt, [{"id": "message-1"}])
    with pytest.raises(Superseded):
        await reply(store, accepted.start, paused)
    await reply(store, accepted.start, current)
    async with store.transaction() as tx:
        messages = await tx.messages.of_run(accepted.run_id)
        kinds = [event.kind for event in await tx.events.after(accepted.run_id, 0)]
    assert [message.role for message in messages] == ["user", "assistant"]
    assert kinds == ["reset", "message", "end"]


async def test_an_answered_step_is_not_asked_again(store: Store) -> None:
    agent, conversation = await make_agent(store)
    accepted = await accept(store, request(agent, conversation))
    assert accepted.start is not None
    await reply(store, accepted.start, await begin(store, accepted.start))
    async with store.transaction() as tx:
        again = await turn.begin(tx, accepted.start)
    assert isinstance(again, turn.Done)
    assert again.plan.outcome is not None and again.plan.outcome.stop == "end_turn"


async def with_call(store: Store, name: str = "conversation_search") -> tuple[str, StepRef, str]:
    """A run whose first reply called one tool; returns its conversation, its step and the call's id."""
    agent, conversation = await make_agent(store)
    accepted = await accept(store, request(agent, conversation))
    assert accepted.start is not None
    asked = await begin(store, accepted.start)
    call = ToolCall("call_1", name, "{}")
    planned = loop.Plan(calls=(call,), batches=((call.id,),))
    await reply(store, accepted.start, asked, ModelReply((), (call,), "tool_calls", Usage()), planned)
    return conversation, accepted.start, call.id


async def test_close_fills_the_gap_of_a_call_without_return(store: Store) -> None:
    conversation, at, call_id = await with_call(store)
    async with store.transaction() as tx:
        await queue.close(tx, at, "internal_error", "broken")
    async with store.transaction() as tx:
        context = await tx.messages.context(conversation)
        run = await tx.runs.get(at.run_id)
    assert [message.role for message in context] == ["system", "user", "assistant", "tool"]
    assert [returned.tool_call_id for returned in context[-1].tool_returns] == [call_id]
    assert context[-1].tool_returns[0].status == "error"
    assert (run.status, run.stop_reason) == ("failed", "error")


async def test_closing_twice_changes_nothing(store: Store) -> None:
    _, at, _ = await with_call(store)
    for _ in range(2):
        async with store.transaction() as tx:
            assert await queue.close(tx, at, "internal_error", "broken") is None
    async with store.transaction() as tx:
        events = await tx.events.after(at.run_id, 0)
    assert [event.kind for event in events].count("end") == 1


async def test_advancing_twice_names_the_same_next_step(store: Store) -> None:
    _, at, _ = await with_call(store)
    found = []
    for _ in range(2):
        async with store.transaction() as tx:
            found.append(await turn.advance(tx, at))
    assert found[0] == found[1]
    assert found[0][1] == at.model_copy(update={"index": 1})
    async with store.transaction() as tx:
        messages = await tx.messages.of_run(at.run_id)
    assert [message.role for message in messages].count("tool") == 1


async def test_cancel_of_a_queued_run_ends_it_and_keeps_its_message(store: Store) -> None:
    agent, conversation = await make_agent(store)
    await accept(store, request(agent, conversation, "one"))
    waiting = await accept(store, request(agent, conversation, "two"))
    async with store.transaction() as tx:
        assert await queue.cancel(tx, waiting.run_id) == queue.Cancelling()
    async with store.transaction() as tx:
        run = await tx.runs.get(waiting.run_id)
        messages = await tx.messages.of_run(waiting.run_id)
    assert (run.status, run.stop_reason) == ("cancelled", "cancelled")
    assert messages[0].text == "two"


async def test_cancel_of_a_running_run_shows_at_once_but_hands_over_after_the_last_effect(store: Store) -> None:
    agent, conversation = await make_agent(store)
    first = await accept(store, request(agent, conversation, "one"))
    second = await accept(store, request(agent, conversation, "two"))
    assert first.start is not None
    asked = await begin(store, first.start)
    async with store.transaction() as tx:
        assert (await queue.cancel(tx, first.run_id)).workflow == first.start
    async with store.transaction() as tx:
        assert (await tx.runs.get(first.run_id)).status == "cancelled"
        assert (await tx.conversations.get(conversation)).active_run_id == first.run_id
    with pytest.raises(Cancelled):
        await reply(store, first.start, asked)
    async with store.transaction() as tx:
        start = await queue.close(tx, first.start, "cancelled", "")
    assert start is not None and start.run_id == second.run_id
    with pytest.raises(Conflict, match="already ended"):
        async with store.transaction() as tx:
            await queue.cancel(tx, first.run_id)


async def asking(store: Store) -> tuple[str, str, StepRef]:
    """A conversation that waits for the approval of one call."""
    rule = {"type": "requires_approval", "tool_name": "conversation_search"}
    agent, conversation = await make_agent(store, rules=[rule])
    accepted = await accept(store, request(agent, conversation))
    assert accepted.start is not None
    asked = await begin(store, accepted.start)
    call = ToolCall("call_1", "conversation_search", "{}")
    planned = loop.Plan(calls=(call,), pending=(call.id,), stop="requires_approval")
    await reply(store, accepted.start, asked, ModelReply((), (call,), "tool_calls", Usage()), planned)
    return agent, conversation, accepted.start


async def test_a_pending_approval_refuses_messages_and_keeps_what_was_queued(store: Store) -> None:
    rule = {"type": "requires_approval", "tool_name": "conversation_search"}
    agent, conversation = await make_agent(store, rules=[rule])
    first = await accept(store, request(agent, conversation, "one"))
    queued = await accept(store, request(agent, conversation, "two"))
    assert first.start is not None
    call = ToolCall("call_1", "conversation_search", "{}")
    planned = loop.Plan(calls=(call,), pending=(call.id,), stop="requires_approval")
    asked = await begin(store, first.start)
    assert (await reply(store, first.start, asked, ModelReply((), (call,), "tool_calls", Usage()), planned)) is None
    with pytest.raises(PendingApproval, match="Please approve or deny the pending request"):
        await accept(store, request(agent, conversation, "three"))
    answered = await accept(store, request(agent, conversation, approvals=(Approval("call_1", approve=True),)))
    assert answered.start is not None
    async with store.transaction() as tx:
        steps = await tx.steps.of_run(answered.run_id)
        original = await tx.steps.of_run(first.run_id)
        begun = await turn.begin(tx, answered.start)
    assert steps[0].id == original[0].id
    assert isinstance(begun, turn.Done) and [c.call_id for b in begun.plan.batches for c in b] == ["call_1"]
    async with store.transaction() as tx:
        start = await queue.close(tx, answered.start, "internal_error", "")
    assert start is not None and start.run_id == queued.run_id


async def test_answers_must_cover_exactly_what_waits(store: Store) -> None:
    agent, conversation, _ = await asking(store)
    with pytest.raises(InvalidArgument, match="Invalid tool call IDs"):
        await accept(store, request(agent, conversation, approvals=(Approval("call_9", approve=True),)))
    _, free = await make_agent(store)
    with pytest.raises(InvalidArgument, match="No tool call is currently awaiting approval"):
        await accept(store, request(agent, free, approvals=(Approval("call_1", approve=True),)))


async def test_a_repeated_answer_is_accepted_and_runs_nothing_again(store: Store) -> None:
    agent, conversation, _ = await asking(store)
    answer = (Approval("call_1", approve=True),)
    first = await accept(store, request(agent, conversation, approvals=answer))
    assert first.start is not None
    async with store.transaction() as tx:
        await queue.close(tx, first.start, "internal_error", "")
    again = await accept(store, request(agent, conversation, approvals=answer))
    assert again.start is not None
    asked = await begin(store, again.start)
    assert asked.messages[-1].role == "user" and "answered before" in asked.messages[-1].text


async def test_a_denial_reaches_the_model_and_the_turn_goes_on(store: Store) -> None:
    agent, conversation, _ = await asking(store)
    answered = await accept(
        store, request(agent, conversation, approvals=(Approval("call_1", approve=False, reason="too risky"),))
    )
    assert answered.start is not None
    async with store.transaction() as tx:
        outcome, start = await turn.advance(tx, answered.start)
        context = await tx.messages.context(conversation)
    assert outcome.stop is None and start is not None and start.index == 1
    assert "too risky" in context[-1].tool_returns[0].content


async def test_cancelling_a_pending_approval_leaves_the_agent_usable(store: Store) -> None:
    agent, conversation, at = await asking(store)
    async with store.transaction() as tx:
        await queue.cancel(tx, at.run_id)
        run = await tx.runs.get(at.run_id)
        context = await tx.messages.context(conversation)
    assert run.status == "cancelled"
    assert context[-1].tool_returns[0].tool_call_id == "call_1"
    assert (await accept(store, request(agent, conversation, "next"))).start is not None


async def test_an_expired_approval_is_swept(database_url: str) -> None:
    async with Store(database_url, approval_ttl=0.001) as store:
        agent, conversation, _ = await asking(store)
        await asyncio.sleep(0.01)  # the row's own time must pass: it is Postgres that looks for it
        async with store.transaction() as tx:
            expired = await tx.approvals.expired(limit=10)
        assert [row.conversation_id for row in expired] == [conversation]
        async with store.transaction() as tx:
            await wake(tx, conversation)
        assert (await accept(store, request(agent, conversation, "next"))).start is not None


async def test_another_organisation_sees_nothing(store: Store) -> None:
    agent, conversation = await make_agent(store)
    async with store.transaction("org-11111111-1111-4111-8111-111111111111") as tx:
        with pytest.raises(NotFound):
            await tx.agents.get(agent)
        with pytest.raises(NotFound):
            await tx.conversations.get(conversation)
