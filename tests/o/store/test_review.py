"""What two of them do at once, and what comes in between: a worker overtaken, a message cancelled, edits that cross."""

import asyncio
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from o import ids
from o.contracts.turn import CallRef, StepInput, StepRef
from o.domain import loop
from o.domain.messages import Approval, TextPart, ToolCall, ToolReturn
from o.domain.model import ModelReply, Usage
from o.domain.request import TurnOptions
from o.errors import InvalidArgument, Unavailable, Unprocessable
from o.store import calls, queue, session, turn
from o.store.prompts import recompile
from o.store.repositories.blocks import Author
from o.store.session import Store
from tests.support.agents import make_agent, request

SAID = ModelReply((TextPart("Hi there."),), (), "stop", Usage(10, 3))
CALL = ToolCall("call_1", "conversation_search", "{}")
CALLS = ModelReply((), (CALL,), "tool_calls", Usage())
RUNS_IT = loop.Plan(calls=(CALL,), batches=((CALL.id,),))
AUTHOR = Author(ids.DEFAULT_USER)


async def accepted(store: Store, asked: queue.TurnRequest) -> StepRef:
    async with store.transaction() as tx:
        start = (await queue.accept(tx, asked)).start
    assert start is not None
    return start


async def begun(store: Store, at: StepRef) -> turn.Asking:
    async with store.transaction() as tx:
        asking = await turn.begin(tx, at)
    assert isinstance(asking, turn.Asking)
    return asking


async def replied(
    store: Store, at: StepRef, said: ModelReply = SAID, planned: loop.Plan | None = None
) -> StepRef | None:
    asked = await begun(store, at)
    async with store.transaction() as tx:
        answered = turn.Answered(ids.new("message"), said, "scripted/json")
        _, start = await turn.answer(tx, at, asked, answered, planned or loop.Plan(stop="end_turn"))
    return start


async def waits_for_a_row(store: Store) -> None:
    """Return once some connection of the test's database waits for a lock."""
    async with asyncio.timeout(5), await store.listen_connection() as connection:
        query = (
            b"SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
            b"AND wait_event IN ('transactionid', 'tuple')"
        )
        while await (await connection.execute(query)).fetchone() is None:
            await asyncio.sleep(0.01)


async def test_a_queued_message_that_is_cancelled_does_not_part_a_call_from_its_return(store: Store) -> None:
    agent, conversation = await make_agent(store)
    at = await accepted(store, request(agent, conversation, "one"))
    waiting = request(agent, conversation, "two")
    async with store.transaction() as tx:
        queued = await queue.accept(tx, waiting)
    await replied(store, at, CALLS, RUNS_IT)
    async with store.transaction() as tx:
        await queue.cancel(tx, queued.run_id)
    async with store.transaction() as tx:
        _, following = await turn.advance(tx, at)
        roles = [message.role for message in (await tx.messages.context(conversation))[1:]]
    assert roles == ["user", "assistant", "tool"]
    assert following is not None
    await replied(store, following)
    async with store.transaction() as tx:
        said = [(message.role, message.text) for message in (await tx.messages.context(conversation))[4:]]
    assert said == [("assistant", "Hi there."), ("user", "two")]


async def test_clearing_the_context_leaves_what_is_still_queued(store: Store) -> None:
    agent, conversation = await make_agent(store, message_buffer_autoclear=True)
    at = await accepted(store, request(agent, conversation, "one"))
    async with store.transaction() as tx:
        await queue.accept(tx, request(agent, conversation, "two"))
    second = await replied(store, at)
    assert second is not None
    asked = await begun(store, second)
    assert [message.text for message in asked.messages[1:]] == ["two"]


async def test_a_delta_that_waited_for_the_next_attempt_is_not_written(store: Store) -> None:
    agent, conversation = await make_agent(store)
    at = await accepted(store, request(agent, conversation))
    old = await begun(store, at)

    async def late() -> bool:
        async with store.transaction() as tx:
            return await tx.events.append_deltas(at.run_id, 0, old.attempt, [{"id": "message-1"}])

    async with store.transaction() as tx:
        await turn.begin(tx, at)
        writing = asyncio.create_task(late())
        await waits_for_a_row(store)
    assert not await writing
    async with store.transaction() as tx:
        assert await tx.events.after(at.run_id, 0) == []


async def test_a_call_begins_while_another_holds_the_run(store: Store) -> None:
    agent, conversation = await make_agent(store)
    at = await accepted(store, request(agent, conversation))
    await replied(store, at, CALLS, RUNS_IT)

    async def begin_call() -> None:
        async with store.transaction() as tx:
            await calls.begin_call(tx, at, CallRef(call_id=CALL.id, tool=CALL.name))

    async with store.transaction() as closing:
        await closing.conversations.lock(conversation)
        await closing.runs.lock(at.run_id)
        await asyncio.wait_for(begin_call(), 5)


async def test_an_attempt_that_ends_without_a_cancel_keeps_no_part_of_its_reply(store: Store) -> None:
    agent, conversation = await make_agent(store)
    at = await accepted(store, request(agent, conversation))
    asked = await begun(store, at)
    async with store.transaction() as tx:
        await turn.abandon(tx, at, asked, ids.new("message"), SAID)
        assert [message.role for message in await tx.messages.of_run(at.run_id)] == ["user"]
    async with store.transaction() as tx:
        await queue.cancel(tx, at.run_id)
        await turn.abandon(tx, at, asked, ids.new("message"), SAID)
        assert [message.role for message in await tx.messages.of_run(at.run_id)] == ["user", "assistant"]


async def half_refused(store: Store) -> tuple[str, str, StepRef]:
    """A conversation that waits for one call's approval; another call of the same reply was refused at once."""
    agent, conversation = await make_agent(store)
    at = await accepted(store, request(agent, conversation))
    unknown = ToolCall("call_2", "no_such_tool", "{}")
    planned = loop.Plan(
        calls=(CALL, unknown),
        refused=(ToolReturn(unknown.id, "There is no such tool.", "error", unknown.name),),
        pending=(CALL.id,),
        stop="requires_approval",
    )
    await replied(store, at, ModelReply((), planned.calls, "tool_calls", Usage()), planned)
    return agent, conversation, at


async def test_a_call_refused_beside_one_that_waits_has_its_return_with_the_answer(store: Store) -> None:
    agent, conversation, _ = await half_refused(store)
    at = await accepted(store, request(agent, conversation, approvals=(Approval(CALL.id, approve=False),)))
    async with store.transaction() as tx:
        await turn.advance(tx, at)
        returns = (await tx.messages.context(conversation))[-1].tool_returns
    assert [(each.tool_call_id, "no such tool" in each.content) for each in returns] == [
        ("call_1", False),
        ("call_2", True),
    ]


async def test_a_call_refused_beside_one_that_waits_has_its_return_with_the_cancel(store: Store) -> None:
    _, conversation, at = await half_refused(store)
    async with store.transaction() as tx:
        await queue.cancel(tx, at.run_id)
        returns = (await tx.messages.context(conversation))[-1].tool_returns
    assert [each.tool_call_id for each in returns] == ["call_1", "call_2"]
    assert "no such tool" in returns[1].content


async def test_what_was_said_with_an_answer_is_kept_when_the_answer_ends_the_turn(store: Store) -> None:
    agent, conversation = await make_agent(store)
    at = await accepted(store, request(agent, conversation))
    planned = loop.Plan(calls=(CALL,), pending=(CALL.id,), stop="requires_approval")
    await replied(store, at, CALLS, planned)
    asked = request(
        agent, conversation, approvals=(Approval(CALL.id, approve=False),), options=TurnOptions(max_steps=1)
    )
    spoken = replace(asked.input[0], id=ids.new("message"), role="user", content=(TextPart("Stop."),), approvals=())
    answer = await accepted(store, replace(asked, input=(*asked.input, spoken)))
    async with store.transaction() as tx:
        outcome, _ = await turn.advance(tx, answer)
        last = (await tx.messages.context(conversation))[-1]
    assert outcome.stop == "max_steps"
    assert (last.role, last.text) == ("user", "Stop.")


async def test_an_idempotency_key_does_not_lead_to_another_agents_run(store: Store) -> None:
    agent, conversation = await make_agent(store)
    await accepted(store, request(agent, conversation, "pay", idempotency_key="k1"))
    other, thread = await make_agent(store)
    with pytest.raises(Unprocessable, match="another agent"):
        await accepted(store, request(other, thread, "pay", idempotency_key="k1"))


async def test_a_new_idempotency_key_is_a_new_request_also_when_it_is_sent_again(store: Store) -> None:
    agent, conversation = await make_agent(store)
    first = request(agent, conversation, "yes", idempotency_key="k1")
    await accepted(store, first)
    async with store.transaction() as tx:
        again = await queue.accept(tx, request(agent, conversation, "yes", idempotency_key="k2", is_retry=True))
    assert not again.attached


async def test_edits_of_two_blocks_at_once_are_both_in_the_system_message(store: Store) -> None:
    agent, conversation = await make_agent(store, blocks={"human": "old", "persona": "old"})

    async def edit(tx: session.Transaction, label: str) -> None:
        block = await tx.blocks.of_agent(agent, label)
        await tx.blocks.update(block.id, {"value": f"new {label}"}, AUTHOR, version=block.version)
        await recompile(tx, [agent])

    async def second() -> None:
        async with store.transaction() as tx:
            await edit(tx, "persona")

    async with store.transaction() as tx:
        await edit(tx, "human")
        editing = asyncio.create_task(second())
        await waits_for_a_row(store)
    await editing
    async with store.transaction() as tx:
        system = (await tx.messages.context(conversation))[0].text
    assert "new human" in system and "new persona" in system


async def test_an_agent_is_deleted_while_its_turn_ends(store: Store) -> None:
    agent, conversation = await make_agent(store)
    at = await accepted(store, request(agent, conversation))

    async def delete() -> None:
        async with store.transaction() as tx:
            await tx.agents.delete(agent)

    async with store.transaction() as tx:
        locked = await tx.conversations.lock(conversation)
        deleting = asyncio.create_task(delete())
        await waits_for_a_row(store)
        await queue.end(tx, locked, await tx.runs.lock(at.run_id), "end_turn")
    await deleting


async def test_whoever_stands_still_in_a_transaction_holds_nobody_for_long(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, conversation = await make_agent(store)
    monkeypatch.setattr(session, "_STANDSTILL", 0.5)
    async with Store(database_url) as paused:
        with pytest.raises(Unavailable):
            async with paused.transaction() as tx:
                await tx.conversations.lock(conversation)
                await asyncio.wait_for(accepted(store, request(agent, conversation)), 8)
                await tx.conversations.get(conversation)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"], ids=["nul", "half a pair"])
async def test_a_text_that_cannot_be_stored_is_refused_without_repeating_it(store: Store, text: str) -> None:
    agent, conversation = await make_agent(store)
    with pytest.raises(InvalidArgument) as caught:
        await accepted(store, request(agent, conversation, f"secret {text}"))
    assert caught.value.__cause__ is None
    assert "secret" not in str(caught.value)


async def test_a_column_of_a_newer_version_is_passed_over(store: Store, database_url: str) -> None:
    agent, conversation = await make_agent(store)
    at = await accepted(store, request(agent, conversation))
    with psycopg.connect(database_url, autocommit=True) as owner:
        for table in ("steps", "runs", "conversations", "agents"):
            owner.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN of_tomorrow text DEFAULT 'x'").format(sql.Identifier(table))
            )
    await replied(store, at)
    async with store.transaction() as tx:
        assert (await tx.runs.get(at.run_id)).status == "completed"


def test_a_field_of_a_newer_version_is_passed_over() -> None:
    step = {"org_id": "org-1", "agent_id": "agent-1", "conversation_id": "conv-1", "run_id": "run-1", "index": 3}
    newer = StepInput.model_validate({"at": {**step, "of_tomorrow": 1}, "timing": {"of_tomorrow": 2}})
    assert newer.at.index == 3
