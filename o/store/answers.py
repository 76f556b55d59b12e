"""Answers to approvals: what an answer leads to, and how a request nobody will answer any more is ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from o import ids
from o.domain.agent import Agent
from o.domain.call_check import decide_call, denial
from o.domain.loop import Plan, batches
from o.domain.messages import Approval, Message, ToolCall, ToolReturn
from o.domain.request import PLAN
from o.errors import InvalidArgument
from o.store.records import ApprovalRecord, ConversationRecord
from o.store.repositories.approvals import Status
from o.store.session import Transaction

# What a client may return at least, in characters, and as a share of the window's tokens.
_LEAST_RETURN, _RETURN_SHARE = 5000, 0.8


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer leads to: the plan of the step that carries it out, and the returns the client brought."""

    plan: Plan
    returns: tuple[ToolReturn, ...]


async def answered_plan(
    tx: Transaction,
    conversation: ConversationRecord,
    pending: ApprovalRecord | None,
    answers: Sequence[Approval],
) -> Answered | None:
    """What the answers lead to; None for repeated ones, which change nothing.

    A call that a policy made meanwhile denies is not run, whatever the answer says.

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
    if len(answers) == len(pending.calls) == 1 and set(given) == {pending.message_id}:
        # The older form answers by the request message's id, which is unambiguous for a single call.
        given = {pending.calls[0]: answers[0]}
    if set(given) != set(pending.calls) or len(given) != len(answers):
        received = sorted(answer.tool_call_id for answer in answers)
        raise InvalidArgument(f"Invalid tool call IDs. Expected {sorted(pending.calls)}, but received {received}.")
    asked = await _asked(tx, pending)
    agent = await tx.agents.whole(pending.agent_id, conversation.id)
    calls = {call.id: call for call in asked.calls}
    limit = max(_LEAST_RETURN, int(_RETURN_SHARE * agent.context_window))
    returns = [_brought(answer.returned, calls[call_id], limit) for call_id, answer in given.items() if answer.returned]
    refused = list(asked.refused)
    for call_id in [*pending.withheld, *pending.calls]:
        answer = given.get(call_id)
        if answer is not None and answer.returned is not None:
            continue
        if answer is not None and not answer.approve:
            refused.append(_denied(call_id, calls, answer.reason))
        elif (problem := _forbidden(calls[call_id], agent)) is not None:
            refused.append(problem)
    settled = {each.tool_call_id for each in [*refused, *returns]}
    running = batches([call for call in asked.calls if call.id not in settled], agent.tools)
    returned = tuple(each.tool_call_id for each in returns)
    return Answered(Plan(asked.calls, running, tuple(refused), returned=returned), tuple(returns))


async def deny_pending(tx: Transaction, pending: ApprovalRecord, reason: str, status: Status) -> None:
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


def _brought(returned: ToolReturn, call: ToolCall, limit: int) -> ToolReturn:
    """A client's return under its tool's name, cut to `limit` characters."""
    if len(returned.content) > limit:
        note = f"… [cut after {limit} of {len(returned.content)} characters]"
        returned = replace(returned, content=returned.content[:limit] + note)
    return replace(returned, name=call.name)


def _forbidden(call: ToolCall, agent: Agent) -> ToolReturn | None:
    spec = next((tool.spec for tool in agent.tools if tool.spec.name == call.name), None)
    decision = decide_call(call, spec, agent)
    if decision.action != "deny":
        return None
    return ToolReturn(call.id, denial(call.name, decision), "error", call.name)


def _denied(call_id: str, calls: Mapping[str, ToolCall], reason: str | None) -> ToolReturn:
    text = "Error: request to call tool denied."
    if reason:
        text += f" User reason: {reason}"
    return ToolReturn(call_id, text, "error", calls[call_id].name if call_id in calls else None)
