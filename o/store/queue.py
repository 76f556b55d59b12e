"""The queue of a conversation: accepting runs, ending them, cancelling them.

Lock order, everywhere: the conversation row, then the run row. Whoever ends a run hands the conversation to the
next one in the same transaction, and returns what must be started once it is committed.
"""

from dataclasses import dataclass, replace

from o import ids
from o.contracts.turn import StepRef
from o.domain.heartbeats import heartbeat
from o.domain.json import JsonObject
from o.domain.messages import Message, TextPart
from o.domain.request import PLAN, TurnOptions
from o.domain.stop import StopReason, stop_reason_of
from o.errors import Conflict, ConversationBusy, PendingApproval, Unprocessable
from o.store.answers import answered_plan, deny_pending
from o.store.records import ConversationRecord, RunRecord, StepRecord
from o.store.repositories.events import CANCEL_CHANNEL, Event
from o.store.repositories.runs import AskedBy, asker_of
from o.store.returns import store_returns
from o.store.session import Transaction

# A client library re-sends after 60 s, up to twice; a twin older than this is a new request.
RETRY_WINDOW = 600.0


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """A request to accept.

    Attributes:
        input: user, system or assistant messages, or one approval message that answers. Ids and times are set.
        queue: whether to wait behind a run that holds the conversation; else ConversationBusy.
        body_hash: digest of the whole request, to tell a retry from a new request.
        is_retry: the client says it has sent this before (`x-stainless-retry-count`).
        client_otids: the otids the client chose, if it chose one for every message.
        approval_id: the approval that this must answer, if its sender saw that one waiting.
    """

    agent_id: str
    conversation_id: str
    input: tuple[Message, ...]
    options: TurnOptions
    run_type: str
    background: bool
    queue: bool
    body_hash: str
    is_retry: bool = False
    idempotency_key: str | None = None
    client_otids: tuple[str, ...] = ()
    callback_url: str | None = None
    asked_by: AskedBy | None = None
    approval_id: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted request. `start` is the step to start after the commit; `attached` means it was accepted before."""

    run_id: str
    start: StepRef | None
    attached: bool = False


async def accept(tx: Transaction, request: TurnRequest) -> Accepted:
    """Write a run and its input; take the conversation if it is free.

    Raises:
        Unprocessable: the idempotency key was used with another body.
        PendingApproval: the conversation waits for an approval and this is not its answer.
        ConversationBusy: another run holds the conversation and `queue` is false.
        InvalidArgument: an answer to nothing, or to other calls than those that wait.
        Conflict: the approval it must answer waits no longer.
    """
    conversation = await tx.conversations.lock(request.conversation_id)
    if (before := await accepted_before(tx, request, conversation)) is not None:
        return before
    answers = tuple(answer for message in request.input for answer in message.approvals)
    pending = await tx.approvals.pending(conversation.id)
    if request.approval_id is not None and (pending is None or pending.id != request.approval_id):
        raise Conflict(f"Approval '{request.approval_id}' waits no longer: somebody else was quicker")
    if pending is not None and not answers:
        raise PendingApproval(
            "CONFLICT: Cannot send a new message: The agent is waiting for approval on a tool call. "
            "Please approve or deny the pending request before continuing.",
            request_id=pending.message_id,
        )
    if conversation.active_run_id is not None and not request.queue:
        raise ConversationBusy(
            f"Another request is currently being processed for this conversation ({conversation.id}); "
            "wait for it to end, or cancel it.",
            run_id=conversation.active_run_id,
        )
    answered = None
    given = request.input
    if answers:
        answered = await answered_plan(tx, conversation, pending, answers)
        if answered is None:
            given = tuple(_kept_alive(message) if message.approvals else message for message in given)
    run_id = request.input[0].run_id
    assert run_id is not None  # whoever builds the input gives it its run
    free = conversation.active_run_id is None
    late = answered is not None and any(not message.approvals for message in request.input)
    options = request.options.model_copy(update={"late_input": late})
    await tx.runs.add(
        run_id,
        agent_id=request.agent_id,
        conversation_id=conversation.id,
        run_type=request.run_type,
        background=request.background,
        request=options.model_dump(mode="json", exclude_defaults=True),
        body_hash=request.body_hash,
        idempotency_key=request.idempotency_key,
        callback_url=request.callback_url,
        taken=free,
        asked_by=request.asked_by,
    )
    await tx.messages.add([each for each in given if not late or each.approvals], queued=not free)
    await tx.messages.add([each for each in given if late and not each.approvals], queued=True)
    await tx.conversations.heard(conversation.id, taken_by=run_id if free else None)
    step_id = ids.new("step")
    outcome = None
    if answered is not None and pending is not None:
        await tx.approvals.settle(pending.id, "answered", run_id=run_id)
        step_id, outcome = pending.step_id, PLAN.dump_python(answered.plan, mode="json")
    if not free:
        return Accepted(run_id, None)
    await tx.steps.add(run_id, 0, step_id, request.agent_id, outcome=outcome)
    for returned in answered.returns if answered else ():
        await tx.steps.add_return(run_id, 0, returned)
    first = StepRef(
        org_id=tx.org_id,
        agent_id=conversation.agent_id,
        conversation_id=conversation.id,
        run_id=run_id,
        index=0,
        asked_by=request.asked_by.asker if request.asked_by else None,
    )
    return Accepted(run_id, first)


def _kept_alive(answer: Message) -> Message:
    """What stands for a repeated answer: the calls have run, so the model is only asked to go on."""
    note = heartbeat("This approval was answered before; please go on.", answer.created_at)
    return replace(answer, role="user", content=(TextPart(note),), approvals=())


async def accepted_before(tx: Transaction, request: TurnRequest, conversation: ConversationRecord) -> Accepted | None:
    """What this very request was answered before, if it was; its input does not matter. Raises Unprocessable."""
    known = await _known_run(tx, request)
    if known is None:
        return None
    ours = known.completed_at is None and conversation.active_run_id == known.id
    # If its first starter crashed, this one takes over.
    return Accepted(known.id, step_ref(known) if ours else None, attached=True)


async def _known_run(tx: Transaction, request: TurnRequest) -> RunRecord | None:
    """The run this very request was accepted as before, if it was."""
    if request.idempotency_key is not None:
        run = await tx.runs.by_idempotency_key(request.idempotency_key)
        if run is not None:
            if (run.conversation_id, run.body_hash) != (request.conversation_id, request.body_hash):
                raise Unprocessable(
                    "Idempotency-Key: this key was used for a request with another body or to another agent; "
                    "use a new key for a new request"
                )
            return run
    if request.client_otids:
        run_id = await tx.messages.run_of_otids(request.conversation_id, request.client_otids)
        if run_id is not None:
            return await tx.runs.get(run_id)
    if request.is_retry and request.idempotency_key is None:
        return await tx.runs.recent_twin(request.conversation_id, request.body_hash, within=RETRY_WINDOW)
    return None


def step_ref(run: RunRecord) -> StepRef:
    """The step a run is at."""
    return StepRef(
        org_id=run.org_id,
        agent_id=run.agent_id,
        conversation_id=run.conversation_id,
        run_id=run.id,
        index=run.step_index,
        asked_by=asker_of(run),
    )


async def hand_over(tx: Transaction, conversation: ConversationRecord, *, waits: bool) -> StepRef | None:
    """Give the (locked) conversation to the next queued run, if it need not wait for an approval first."""
    queued = None if waits else await tx.runs.next_queued(conversation.id)
    if not waits:
        await tx.messages.place_waiting(conversation.id, queued.id if queued is not None else None)
    if queued is None:
        await tx.conversations.take(conversation.id, None)
        return None
    await tx.conversations.take(conversation.id, queued.id)
    await tx.runs.taken(queued.id)
    await tx.steps.add(queued.id, 0, ids.new("step"), conversation.agent_id)
    return step_ref(queued)


async def end(
    tx: Transaction,
    conversation: ConversationRecord,
    run: RunRecord,
    stop: StopReason,
    *,
    attempt: int = 0,
    error: JsonObject | None = None,
) -> StepRef | None:
    """End a (locked) run: its row, its terminal event, and the conversation handed over."""
    if run.cancel_requested_at is not None:
        stop, error = "cancelled", None
    usage = await tx.runs.finish(run.id, stop, error)
    data = {"stop_reason": stop, "usage": usage, "error": error}
    await tx.events.append(run.id, run.step_index, attempt, [Event("end", data)])
    if conversation.active_run_id != run.id:
        return None
    return await hand_over(tx, conversation, waits=stop == "requires_approval")


async def close(tx: Transaction, at: StepRef, code: str, message: str) -> StepRef | None:
    """End a run whose step cannot go on. Idempotent; returns what must be started after the commit.

    Calls of the step that have no return get one that says what became of them, so that the transcript is whole.
    """
    conversation = await tx.conversations.lock(at.conversation_id)
    run = await tx.runs.lock(at.run_id)
    if run.completed_at is not None:
        return await following(tx, conversation, at)
    step = await tx.steps.lock(at.run_id, at.index)
    if step.status != "pending":
        return await following(tx, conversation, at)
    cancelled = code == "cancelled" or run.cancel_requested_at is not None
    stop: StopReason = "cancelled" if cancelled else stop_reason_of(code)
    error = None if cancelled else {"error_type": code, "message": message}
    await _close_calls(tx, at, run, step, cancelled=cancelled)
    await tx.steps.close(at.run_id, at.index, "cancelled" if cancelled else "failed", stop=stop, error=error)
    # Input that never came into the transcript (its run was to read it after the approved tools) is not lost.
    await tx.messages.place(at.run_id)
    return await end(tx, conversation, run, stop, error=error)


async def _close_calls(tx: Transaction, at: StepRef, run: RunRecord, step: StepRecord, *, cancelled: bool) -> None:
    if step.outcome is None:
        return
    plan = PLAN.validate_python(step.outcome)
    agent = await tx.agents.get(at.agent_id)
    await store_returns(tx, at, step.id, plan, run, agent.agent_type, cancelled=cancelled)


async def following(tx: Transaction, conversation: ConversationRecord, at: StepRef) -> StepRef | None:
    """What had to be started after a step that is already done: the answer to a retried advance or close."""
    if conversation.active_run_id is None:
        return None
    active = await tx.runs.get(conversation.active_run_id)
    now_at = step_ref(active)
    return None if now_at == at else now_at


@dataclass(frozen=True, slots=True)
class Cancelling:
    """What is left to do after a cancel was committed: the workflow to cancel, or the step to start."""

    workflow: StepRef | None = None
    start: StepRef | None = None


async def cancel(tx: Transaction, run_id: str) -> Cancelling:
    """Cancel a run wherever it is: queued, running, or waiting for an approval.

    Raises:
        NotFound: no such run.
        Conflict: the run has ended.
    """
    seen = await tx.runs.get(run_id)
    conversation = await tx.conversations.lock(seen.conversation_id)
    run = await tx.runs.lock(run_id)
    if run.completed_at is not None:
        pending = await tx.approvals.pending(conversation.id)
        if pending is None or pending.run_id != run.id:
            raise Conflict(f"Run '{run_id}' has already ended ({run.stop_reason})")
        await deny_pending(tx, pending, "The user cancelled the request, so the tool call was denied.", "cancelled")
        await tx.runs.finish(run.id, "cancelled", None)
        return Cancelling(start=await hand_over(tx, conversation, waits=False))
    await tx.runs.request_cancel(run_id)
    run = replace(run, cancel_requested_at=tx.now())
    if conversation.active_run_id != run.id:
        # Its messages come into the transcript when the turn that goes on has ended: placed now, they would part that
        # turn's calls from their returns.
        await end(tx, conversation, run, "cancelled")
        return Cancelling()
    await tx.events.notify(CANCEL_CHANNEL, run_id)
    return Cancelling(workflow=step_ref(run))
