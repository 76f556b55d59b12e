"""What becomes of approvals nobody answers: by policy they are denied, approved or cancelled, and the agent goes on."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Literal

import pytest

from o import ids
from o.contracts.turn import StepRef
from o.domain import loop
from o.domain.messages import Approval, ToolCall
from o.domain.model import ModelReply, ToolSpec, Usage
from o.domain.request import TurnOptions
from o.errors import InvalidArgument
from o.store import queue, turn
from o.store.expiry import wake
from o.store.repositories.approvals import ApprovalFilter
from o.store.session import Store, utc_now
from tests.support.agents import make_agent, request

CALL = ToolCall("call_1", "memory_insert", '{"label": "human", "new_string": "tea"}')
METER = ToolSpec("read_meter", "", {"type": "object", "properties": {}})


@pytest.fixture
async def tomorrow(database_url: str, store: Store) -> AsyncIterator[Store]:
    """The same database, seen by a process whose clock is a day ahead."""
    async with Store(database_url, clock=lambda: utc_now() + timedelta(days=1)) as later:
        yield later


async def asking(
    store: Store, agent: str, conversation: str, on_timeout: Literal["deny", "approve", "cancel"]
) -> queue.Accepted:
    """A run that ended with a call that waits for an hour at most."""
    options = TurnOptions(max_steps=7, client_tools=(METER,))
    async with store.transaction() as tx:
        accepted = await queue.accept(tx, request(agent, conversation, options=options))
    assert accepted.start is not None
    async with store.transaction() as tx:
        asked = await turn.begin(tx, accepted.start)
    assert isinstance(asked, turn.Asking)
    planned = loop.Plan(
        (CALL,), pending=("call_1",), stop="requires_approval", wait_seconds=3600, on_timeout=on_timeout
    )
    said = ModelReply((), (CALL,), "tool_calls", Usage())
    async with store.transaction() as tx:
        answered = turn.Answered(ids.new("message"), said, "scripted/json")
        await turn.answer(tx, accepted.start, asked, answered, planned)
    return accepted


async def test_a_policys_time_counts_and_not_the_usual_one(store: Store, tomorrow: Store) -> None:
    agent, conversation = await make_agent(store)
    await asking(store, agent, conversation, "deny")
    async with store.transaction() as tx:
        pending = await tx.approvals.pending(conversation)
        assert pending is not None
        assert pending.expires_at - pending.created_at == timedelta(hours=1)
        assert await wake(tx, conversation) is None
        assert await tx.approvals.pending(conversation) is not None, "its time has not come"


@pytest.mark.parametrize(("on_timeout", "status"), [("deny", "expired"), ("cancel", "cancelled")])
async def test_it_is_denied_or_cancelled_and_what_was_queued_goes_on(
    store: Store, tomorrow: Store, on_timeout: Literal["deny", "cancel"], status: str
) -> None:
    agent, conversation = await make_agent(store)
    first = await asking(store, agent, conversation, on_timeout)
    async with tomorrow.transaction() as tx:
        assert await wake(tx, conversation) is None
        [settled] = await tx.approvals.list(ApprovalFilter())
        run = await tx.runs.get(first.run_id)
        context = await tx.messages.context(conversation)
    assert settled.status == status
    assert run.status == ("cancelled" if on_timeout == "cancel" else "completed")
    assert "Nobody answered in time" in context[-1].tool_returns[0].content
    async with store.transaction() as tx:
        assert (await queue.accept(tx, request(agent, conversation, "next"))).start is not None
    async with tomorrow.transaction() as tx:
        assert await wake(tx, conversation) is None, "a second look changes nothing"


async def test_it_is_approved_as_if_the_client_had_done_so(store: Store, tomorrow: Store) -> None:
    agent, conversation = await make_agent(store)
    await asking(store, agent, conversation, "approve")
    async with tomorrow.transaction() as tx:
        start = await wake(tx, conversation)
    assert start is not None
    async with tomorrow.transaction() as tx:
        again = await wake(tx, conversation)
        run = await tx.runs.get(start.run_id)
        begun = await turn.begin(tx, start)
        [settled] = await tx.approvals.list(ApprovalFilter())
    assert again is None
    assert isinstance(begun, turn.Done) and [call.call_id for batch in begun.plan.batches for call in batch] == [
        "call_1"
    ]
    assert (settled.status, settled.answered_by_run_id) == ("answered", run.id)
    options = TurnOptions.model_validate(run.request)
    assert run.background and (options.max_steps, options.client_tools) == (7, (METER,))


async def test_a_policy_that_denies_meanwhile_holds_also_then(store: Store, tomorrow: Store) -> None:
    agent, conversation = await make_agent(store)
    await asking(store, agent, conversation, "approve")
    async with store.transaction() as tx:
        await tx.policies.add({"action": "deny", "tool_name": "memory_*"})
    async with tomorrow.transaction() as tx:
        start = await wake(tx, conversation)
    assert start is not None
    assert await _ran(tomorrow, start) == ()
    async with tomorrow.transaction() as tx:
        await turn.advance(tx, start)
        context = await tx.messages.context(conversation)
    assert "policy denies" in context[-1].tool_returns[0].content


async def test_an_answer_that_comes_too_late_is_refused(store: Store, tomorrow: Store) -> None:
    agent, conversation = await make_agent(store)
    await asking(store, agent, conversation, "deny")
    async with tomorrow.transaction() as tx:
        await wake(tx, conversation)
    with pytest.raises(InvalidArgument, match="No tool call is currently awaiting approval"):
        async with store.transaction() as tx:
            late = request(agent, conversation, approvals=(Approval("call_1", approve=True),))
            await queue.accept(tx, late)


async def _ran(store: Store, at: StepRef) -> tuple[str, ...]:
    async with store.transaction() as tx:
        begun = await turn.begin(tx, at)
    assert isinstance(begun, turn.Done)
    return tuple(call.call_id for batch in begun.plan.batches for call in batch)
