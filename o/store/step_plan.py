"""The plan of a step as Temporal carries it: ids of calls, and whose activity runs each."""

from typing import Literal

from o.contracts.turn import CallRef, StepPlan
from o.domain import loop
from o.domain.agent import AGENT_TOOLS, NOT_OURS, Agent
from o.domain.base_tools import MEMORY_TOOLS


def step_plan(planned: loop.Plan, agent: Agent) -> StepPlan:
    """The plan as Temporal carries it. While an approval is pending nothing of the step runs."""
    if planned.pending:
        return StepPlan()
    repeatable = {tool.spec.name for tool in agent.tools if tool.repeatable}
    others = {tool.spec.name for tool in agent.tools if tool.tool_type in NOT_OURS}
    names = {call.id: call.name for call in planned.calls}
    return StepPlan(
        batches=tuple(
            tuple(
                CallRef(
                    call_id=call_id,
                    tool=names[call_id],
                    kind="tool" if names[call_id] in others else _kind(names[call_id]),
                    repeatable=names[call_id] in repeatable | (AGENT_TOOLS - others),
                )
                for call_id in batch
            )
            for batch in planned.batches
        )
    )


def _kind(tool: str) -> Literal["tool", "memory", "agent"]:
    """Whose activity runs a call of O's own tools. What it asks of other agents has ids that follow from the call, so
    it may be tried again."""
    if tool in MEMORY_TOOLS:
        return "memory"
    return "agent" if tool in AGENT_TOOLS else "tool"
