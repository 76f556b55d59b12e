"""A tool call against the database: taken by one attempt, or known to have run before."""

from dataclasses import dataclass

from o.contracts.turn import CallRef, StepRef
from o.domain.agent import Agent
from o.domain.context import UNKNOWN_OUTCOME
from o.domain.heartbeats import without_loop_arguments
from o.domain.messages import TOOL_RETURNS, ToolCall, ToolReturn
from o.domain.request import PLAN
from o.domain.tool_returns import LONGEST_RETURN
from o.errors import Cancelled
from o.store.session import Transaction


@dataclass(frozen=True, slots=True)
class Calling:
    """A tool call that now belongs to `attempt`."""

    attempt: int
    step_id: str
    call: ToolCall
    agent: Agent

    @property
    def return_limit(self) -> int:
        """Characters that its return may have."""
        limits = {tool.spec.name: tool.return_char_limit for tool in self.agent.tools}
        return limits.get(self.call.name, LONGEST_RETURN)


async def begin_call(tx: Transaction, at: StepRef, ref: CallRef) -> ToolReturn | Calling:
    """Take the call's next attempt, or give what it returned before.

    A call that began before, and is not repeatable, is not run again: its outcome is stored as unknown.

    Raises:
        Cancelled: the run was cancelled.
    """
    step = await tx.steps.lock(at.run_id, at.index)
    run = await tx.runs.get(at.run_id)
    attempt = await tx.steps.next_attempt(at.run_id, at.index, model=False)
    agent = await tx.agents.whole(at.agent_id)
    effects = {tool.spec.name: tool.effect for tool in agent.tools}
    before = await tx.steps.start_call(
        at.run_id,
        at.index,
        ref.call_id,
        name=ref.tool,
        effect=effects.get(ref.tool, "external"),
        attempt=attempt,
    )
    if before.result is not None:
        return TOOL_RETURNS.validate_python((before.result,))[0]
    if run.cancel_requested_at is not None or step.status != "pending":
        raise Cancelled("the run was cancelled")
    if before.attempt != attempt and not ref.repeatable:
        unknown = ToolReturn(ref.call_id, UNKNOWN_OUTCOME, "error", ref.tool)
        await tx.steps.finish_call(at.run_id, at.index, unknown, attempt=attempt)
        return unknown
    planned = PLAN.validate_python(step.outcome)
    call = next(call for call in planned.calls if call.id == ref.call_id)
    spec = next((tool.spec for tool in agent.tools if tool.spec.name == call.name), None)
    return Calling(attempt, step.id, without_loop_arguments(call, spec, agent), agent)
