"""The returns of a step's tool calls: one message for all of them, with no gap."""

from collections.abc import Sequence

from o import ids
from o.contracts.turn import StepRef
from o.domain.agent import LEGACY_TYPES, AgentType
from o.domain.context import UNKNOWN_OUTCOME
from o.domain.loop import Plan
from o.domain.messages import TOOL_RETURNS, Message, ToolReturn
from o.domain.request import TurnOptions
from o.domain.wire import print_message
from o.store.records import RunRecord, ToolCallRecord
from o.store.repositories.events import Event
from o.store.session import Transaction

_NEVER_RAN = "The run was cancelled before this call was made."
_FAILED = "The call could not be made: the tool's worker failed every time it was tried."


async def store_returns(
    tx: Transaction,
    at: StepRef,
    step_id: str,
    plan: Plan,
    run: RunRecord,
    agent_type: AgentType,
    *,
    cancelled: bool = False,
) -> None:
    """Write one tool message with a return for every call of the plan that does not wait for somebody.

    A call that began and has no result is reported as unknown; one that never began, as not made.
    """
    calls = await tx.steps.calls(at.run_id, at.index)
    returns = _complete(plan, calls, cancelled=cancelled)
    if not returns:
        return
    message = Message(
        id=ids.new("message"),
        role="tool",
        content=(),
        created_at=tx.now(),
        tool_returns=returns,
        agent_id=at.agent_id,
        conversation_id=at.conversation_id,
        run_id=at.run_id,
        step_id=step_id,
    )
    await tx.messages.add([message])
    options = TurnOptions.model_validate(run.request)
    printed = print_message(
        message, legacy=agent_type in LEGACY_TYPES, use_assistant_message=options.use_assistant_message
    )
    await tx.events.append(at.run_id, at.index, 0, [Event("message", event) for event in printed])


def _complete(plan: Plan, calls: Sequence[ToolCallRecord], *, cancelled: bool) -> tuple[ToolReturn, ...]:
    known = {returned.tool_call_id: returned for returned in plan.refused}
    begun = {row.call_id for row in calls}
    for row in calls:
        if row.result is not None:
            known[row.call_id] = TOOL_RETURNS.validate_python((row.result,))[0]
    ran = {call_id for batch in plan.batches for call_id in batch}
    returns = []
    for call in plan.calls:
        if call.id in known:
            returns.append(known[call.id])
        elif call.id in ran:
            text = UNKNOWN_OUTCOME if call.id in begun else _NEVER_RAN if cancelled else _FAILED
            returns.append(ToolReturn(call.id, text, "error", call.name))
    return tuple(returns)
