"""Answers to approvals: what an answer leads to, and how a request nobody will answer any more is ended."""

from collections.abc import Sequence

from o import ids
from o.domain.loop import Plan
from o.domain.messages import Approval, Message, ToolCall, ToolReturn
from o.domain.request import PLAN
from o.errors import InvalidArgument
from o.store.records import ApprovalRecord, ConversationRecord
from o.store.session import Transaction


async def answered_plan(
    tx: Transaction,
    conversation: ConversationRecord,
    pending: ApprovalRecord | None,
    answers: Sequence[Approval],
) -> Plan | None:
    """The plan of the step that carries out an answer; None for a repeated answer, which changes nothing.

    Raises:
        InvalidArgument: nothing waits, or the answers do not cover exactly what does.
    """
    given = {answer.tool_call_id: answer for answer in answers}
    if pending is None:
        if await tx.approvals.answered_with(conversation.id, sorted(given)) is not None:
            return None
        raise InvalidArgument(
            "Cannot process approval response: No tool call is currently awaiting approval in this conversation."
        )
    if set(given) == {pending.message_id}:
        # The older form answers by the request message's id, which is unambiguous for a single call.
        given = {call_id: next(iter(given.values())) for call_id in pending.calls[:1]}
    if set(given) != set(pending.calls):
        raise InvalidArgument(f"Invalid tool call IDs. Expected {sorted(pending.calls)}, but received {sorted(given)}.")
    asked = await _asked(tx, pending)
    calls = {call.id: call for call in asked.calls}
    refused = list(asked.refused)
    batches = [(call_id,) for call_id in pending.withheld]
    for call_id in pending.calls:
        answer = given[call_id]
        if answer.returned is not None:
            refused.append(answer.returned)
        elif answer.approve:
            batches.append((call_id,))
        else:
            refused.append(_denied(call_id, calls, answer.reason))
    return Plan(calls=asked.calls, batches=tuple(batches), refused=tuple(refused))


async def deny_pending(tx: Transaction, pending: ApprovalRecord, reason: str, status: str) -> None:
    """Answer every waiting call with a denial, so that the agent can be spoken to again."""
    asked = await _asked(tx, pending)
    calls = {call.id: call for call in asked.calls}
    known = {returned.tool_call_id: returned for returned in asked.refused}
    shared = {
        "created_at": tx.now(),
        "agent_id": pending.agent_id,
        "conversation_id": pending.conversation_id,
        "run_id": pending.run_id,
        "step_id": pending.step_id,
    }
    answer = Message(
        id=ids.new("message"),
        role="approval",
        content=(),
        approvals=tuple(Approval(call_id, approve=False, reason=reason) for call_id in pending.calls),
        **shared,  # type: ignore[arg-type]
    )
    returns = Message(
        id=ids.new("message"),
        role="tool",
        content=(),
        tool_returns=tuple(known.get(call_id) or _denied(call_id, calls, reason) for call_id in calls),
        **shared,  # type: ignore[arg-type]
    )
    await tx.messages.add([answer, returns])
    await tx.approvals.settle(pending.id, status)


async def _asked(tx: Transaction, pending: ApprovalRecord) -> Plan:
    """The plan of the step that asked: the calls that wait, those withheld with them, and those refused at once."""
    return PLAN.validate_python((await tx.steps.get(pending.step_id)).outcome)


def _denied(call_id: str, calls: dict[str, ToolCall], reason: str | None) -> ToolReturn:
    text = "Error: request to call tool denied."
    if reason:
        text += f" User reason: {reason}"
    return ToolReturn(call_id, text, "error", calls[call_id].name if call_id in calls else None)
