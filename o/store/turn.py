"""A step against the database: begin its model request, store the reply, run its calls, and move on.

Each function is one transaction's work and may run twice: what is already stored is returned, not done again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from o import ids
from o.contracts.turn import StepOutcome, StepPlan, StepRef
from o.domain import loop
from o.domain.agent import Agent
from o.domain.heartbeats import heard, heartbeat
from o.domain.messages import Message, TextPart
from o.domain.model import ModelReply
from o.domain.request import PLAN, TurnOptions
from o.domain.tool_solver import PastCall
from o.domain.wire import approval_request_id, print_message
from o.errors import Cancelled, Superseded
from o.store import queue
from o.store.records import ConversationRecord, RunRecord, StepRecord
from o.store.repositories.events import Event
from o.store.repositories.providers import Snapshot
from o.store.returns import store_returns
from o.store.session import Transaction
from o.store.step_plan import step_plan


@dataclass(frozen=True, slots=True)
class Done:
    """The step was answered before: its plan, and what must be started if nobody did."""

    plan: StepPlan
    start: StepRef | None


@dataclass(frozen=True, slots=True)
class Asking:
    """A model request that now belongs to `attempt`, and everything it is made of.

    `tries` counts the attempts that were not merely told to wait, this one included.
    """

    attempt: int
    tries: int
    step_id: str
    agent: Agent
    options: TurnOptions
    messages: tuple[Message, ...]
    history: tuple[PastCall, ...]
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole reply of a model: the id it gets, who gave it, and what it cost.

    Attributes:
        handle: of the model that answered, which an alias may have chosen.
        cost_usd: None where nobody knows the price.
        grant_id: its place under the provider's limits, where there are any.
    """

    message_id: str
    reply: ModelReply
    handle: str
    cost_usd: Decimal | None = None
    grant_id: str | None = None


async def begin(tx: Transaction, at: StepRef) -> Done | Asking:
    """Take the step's next attempt and read what the model request needs.

    Raises:
        Cancelled: the run was cancelled.
    """
    run = await tx.runs.lock(at.run_id)
    step = await tx.steps.lock(at.run_id, at.index)
    if step.outcome is not None or step.status != "pending" or run.completed_at is not None:
        return await _done(tx, at, step, run)
    if run.cancel_requested_at is not None:
        raise Cancelled("the run was cancelled")
    agent = await tx.agents.whole(at.agent_id, at.conversation_id)
    if agent.message_buffer_autoclear and at.index == 0 and step.attempt == 0:
        await tx.messages.clear_context(at.conversation_id, keep_run=at.run_id)
    attempt = await tx.steps.next_attempt(at.run_id, at.index, model=True)
    if attempt > 1:
        await _retract(tx, at, attempt)
    await tx.runs.running(at.run_id)
    return Asking(
        attempt=attempt,
        tries=step.tries + 1,
        step_id=step.id,
        agent=agent,
        options=TurnOptions.model_validate(run.request),
        messages=tuple(await tx.messages.context(at.conversation_id)),
        history=tuple(await tx.steps.history(at.run_id)),
        snapshot=await tx.providers.snapshot(),
    )


async def _done(tx: Transaction, at: StepRef, step: StepRecord, run: RunRecord) -> Done:
    conversation = await tx.conversations.get(at.conversation_id)
    start = await queue.following(tx, conversation, at)
    if step.status == "pending" and run.completed_at is None:
        plan = PLAN.validate_python(step.outcome)
        await tx.runs.running(at.run_id)
        return Done(step_plan(plan, await tx.agents.whole(at.agent_id)), None)
    return Done(StepPlan(outcome=StepOutcome(stop=step.stop_reason or run.stop_reason)), start)


async def _retract(tx: Transaction, at: StepRef, attempt: int) -> None:
    """Forget what earlier attempts streamed, and tell those who read along."""
    for message_id in await tx.events.drop_deltas(at.run_id, at.index, attempt):
        await tx.events.append(
            at.run_id, at.index, attempt, [Event("reset", {"message_type": "reset", "id": message_id})]
        )


async def answer(
    tx: Transaction, at: StepRef, asked: Asking, answered: Answered, planned: loop.Plan
) -> tuple[StepPlan, StepRef | None]:
    """Store a reply and what it leads to; a step without calls to run ends here, in the same transaction.

    Returns the plan, and what must be started once this is committed.

    Raises:
        Superseded: another attempt holds the request. Cancelled: the run was cancelled meanwhile.
    """
    conversation, run, step = await _lock(tx, at)
    if run.cancel_requested_at is not None:
        raise Cancelled("the run was cancelled")
    await tx.steps.answer(
        at.run_id,
        at.index,
        asked.attempt,
        outcome=PLAN.dump_python(planned, mode="json"),
        model=answered.handle,
        context_window=asked.agent.context_window,
        usage=answered.reply.usage,
        cost_usd=answered.cost_usd,
    )
    await tx.spend.record(at.agent_id, answered.handle, answered.reply.usage, answered.cost_usd)
    if answered.grant_id is not None:
        await tx.limits.settle(answered.grant_id, answered.reply.usage.total_tokens)
    await _store_reply(tx, at, asked, answered.message_id, answered.reply, planned)
    plan = step_plan(planned, asked.agent)
    if plan.batches:
        return plan, None
    start, outcome = await _move_on(tx, at, asked.agent, conversation, run, step, planned, asked.history)
    return StepPlan(outcome=outcome), start


async def _store_reply(
    tx: Transaction, at: StepRef, asked: Asking, message_id: str, reply: ModelReply, planned: loop.Plan
) -> None:
    reply = heard(reply, asked.agent)
    held = Message(
        id=message_id,
        role="assistant",
        content=reply.content,
        created_at=tx.now(),
        tool_calls=tuple(call for call in planned.calls if call.id not in planned.pending),
        agent_id=at.agent_id,
        conversation_id=at.conversation_id,
        run_id=at.run_id,
        step_id=asked.step_id,
    )
    rows = [held] if not reply.is_empty or held.content else []
    if planned.pending:
        request_id = approval_request_id(message_id)
        asking = replace(
            held,
            id=request_id,
            role="approval",
            content=(),  # it was streamed under the assistant row's id, so it stays there
            tool_calls=tuple(call for call in planned.calls if call.id in planned.pending),
            otid=request_id,
        )
        rows = [held, asking] if held.tool_calls or held.content else [asking]
        await tx.approvals.add(
            ids.new("approval"),
            conversation_id=at.conversation_id,
            agent_id=at.agent_id,
            run_id=at.run_id,
            step_id=asked.step_id,
            message_id=request_id,
            calls=planned.pending,
            withheld=[call.id for call in held.tool_calls if call.id in _running(planned)],
            expires_in=tx.approval_ttl if planned.wait_seconds is None else planned.wait_seconds,
            on_timeout=planned.on_timeout,
        )
    await tx.messages.add(rows)
    legacy, options = asked.agent.speaks_by_tool, asked.options
    printed = [
        event
        for row in rows
        for event in print_message(row, legacy=legacy, use_assistant_message=options.use_assistant_message)
    ]
    await tx.events.append(at.run_id, at.index, asked.attempt, [Event("message", event) for event in printed])


def _running(planned: loop.Plan) -> set[str]:
    return {call_id for batch in planned.batches for call_id in batch}


async def abandon(tx: Transaction, at: StepRef, asked: Asking, message_id: str, partial: ModelReply) -> None:
    """Keep the text of a reply that was cancelled midway; its tool calls are dropped.

    Nothing is kept when it was not the run that was cancelled but this attempt (its worker stops, or was taken for
    dead): the next one asks again, and its reply shall be the only one.

    Raises:
        Superseded: another attempt holds the request.
    """
    _, run, step = await _lock(tx, at)
    if run.cancel_requested_at is None:
        return
    if step.model_attempt != asked.attempt or step.outcome is not None or step.status != "pending":
        raise Superseded("another attempt holds the request")
    if not any(isinstance(part, TextPart) and part.text for part in partial.content):
        return
    text_only = replace(partial, tool_calls=())
    await _store_reply(tx, at, asked, message_id, text_only, loop.Plan())


async def advance(tx: Transaction, at: StepRef) -> tuple[StepOutcome, StepRef | None]:
    """Gather the returns of a step and decide what follows: another step, or the end of the run.

    Returns the outcome, and what must be started once this is committed.
    """
    conversation, run, step = await _lock(tx, at)
    if step.status != "pending" or run.completed_at is not None:
        return StepOutcome(stop=step.stop_reason or run.stop_reason), await queue.following(tx, conversation, at)
    agent = await tx.agents.whole(at.agent_id)
    planned = PLAN.validate_python(step.outcome)
    history = await tx.steps.history(at.run_id)
    start, outcome = await _move_on(tx, at, agent, conversation, run, step, planned, history)
    return outcome, start


async def _move_on(
    tx: Transaction,
    at: StepRef,
    agent: Agent,
    conversation: ConversationRecord,
    run: RunRecord,
    step: StepRecord,
    planned: loop.Plan,
    history: Sequence[PastCall],
) -> tuple[StepRef | None, StepOutcome]:
    options = TurnOptions.model_validate(run.request)
    if planned.calls and not planned.pending:
        await store_returns(tx, at, step.id, planned, run, agent.agent_type)
    verdict = loop.after_tools(planned, agent, history, options.max_steps - at.index - 1)
    if run.cancel_requested_at is not None:
        verdict = loop.Verdict("cancelled")
    if verdict.stop is not None:
        cancelled = verdict.stop == "cancelled"
        await tx.steps.close(at.run_id, at.index, "cancelled" if cancelled else "success", stop=verdict.stop)
        start = await queue.end(tx, conversation, run, verdict.stop)
        return start, StepOutcome(stop=verdict.stop)
    await tx.steps.close(at.run_id, at.index, "success")
    if options.late_input and at.index == 0:
        await tx.messages.place(at.run_id)
    if verdict.reminder is not None:
        await tx.messages.add([_reminder(tx, at, step.id, verdict.reminder)])
    following = at.model_copy(update={"index": at.index + 1})
    await tx.steps.add(at.run_id, following.index, ids.new("step"), at.agent_id)
    await tx.runs.at_step(at.run_id, following.index)
    return following, StepOutcome()


def _reminder(tx: Transaction, at: StepRef, step_id: str, reason: str) -> Message:
    return Message(
        id=ids.new("message"),
        role="user",
        content=(TextPart(heartbeat(reason, tx.now())),),
        created_at=tx.now(),
        agent_id=at.agent_id,
        conversation_id=at.conversation_id,
        run_id=at.run_id,
        step_id=step_id,
    )


async def _lock(tx: Transaction, at: StepRef) -> tuple[ConversationRecord, RunRecord, StepRecord]:
    """The rows of a step, in the one lock order."""
    conversation = await tx.conversations.lock(at.conversation_id)
    run = await tx.runs.lock(at.run_id)
    return conversation, run, await tx.steps.lock(at.run_id, at.index)
