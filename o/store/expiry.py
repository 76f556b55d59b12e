"""Conversations that wait although they need not: approvals nobody answered in time, queues nobody serves."""

from o import ids
from o.contracts.turn import StepRef
from o.domain.messages import Approval, Message
from o.domain.request import TurnOptions
from o.store.answers import deny_pending
from o.store.queue import TurnRequest, accept, hand_over
from o.store.records import ApprovalRecord
from o.store.session import Transaction

_LATE = "Nobody answered in time"


async def wake(tx: Transaction, conversation_id: str) -> StepRef | None:
    """Let a conversation go on that is free although somebody waits: settle what waited too long, run what is queued.

    Returns the step to start once this is committed.
    """
    conversation = await tx.conversations.lock(conversation_id)
    if conversation.active_run_id is not None:
        active = await tx.runs.find(conversation.active_run_id)
        if active is not None and active.completed_at is None:
            return None
    pending = await tx.approvals.pending(conversation_id)
    if pending is not None:
        if pending.expires_at > tx.now():
            return None
        if pending.on_timeout == "approve":
            await tx.conversations.take(conversation_id, None)
            return (await accept(tx, await _approval_of(tx, pending))).start
        cancelled = pending.on_timeout == "cancel"
        await deny_pending(
            tx, pending, f"{_LATE}, so the tool call was denied.", "cancelled" if cancelled else "expired"
        )
        if cancelled:
            await tx.runs.finish(pending.run_id, "cancelled", None)
    return await hand_over(tx, conversation, waits=False)


async def _approval_of(tx: Transaction, pending: ApprovalRecord) -> TurnRequest:
    """The request that approves everything that waits, as the client that asked could have sent it."""
    asked = await tx.runs.get(pending.run_id)
    run_id = ids.new("run")
    answer = Message(
        id=ids.new("message"),
        role="approval",
        content=(),
        created_at=tx.now(),
        approvals=tuple(
            Approval(call_id, approve=True, reason=f"{_LATE}; a policy approves then.") for call_id in pending.calls
        ),
        agent_id=pending.agent_id,
        conversation_id=pending.conversation_id,
        run_id=run_id,
    )
    return TurnRequest(
        agent_id=pending.agent_id,
        conversation_id=pending.conversation_id,
        input=(answer,),
        options=TurnOptions.model_validate(asked.request),
        run_type="send_message_async",
        background=True,
        queue=True,
        body_hash="",
    )
