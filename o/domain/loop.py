"""The turn as a state machine: what follows a model's reply, and what follows the returns of its tools.

The two loops of the letta-v1 contract (section 12). A step is one model request and its tools. In loop v3 a reply with
tool calls goes on and a reply of text alone ends the turn; in loop v2, of the older agent types, a tool must be called,
and the turn goes on where the call or a rule asks for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from o.domain.agent import Agent, Tool
from o.domain.base_tools import with_labels
from o.domain.call_check import Checked, check
from o.domain.heartbeats import heard, reason_to_go_on, wants_heartbeat, with_loop_arguments
from o.domain.messages import ToolCall, ToolReturn
from o.domain.model import ModelReply, ToolChoice, ToolSpec
from o.domain.stop import StopReason
from o.domain.tool_policy import Decision, OnTimeout
from o.domain.tool_solver import (
    Allowance,
    PastCall,
    allowance,
    ends_turn,
    missing_before_exit,
    needs_approval,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reply leads to.

    Attributes:
        calls: the tool calls kept from the reply, with prefilled arguments set.
        batches: ids of calls to run; the calls of one batch may run side by side.
        refused: returns decided without running anything (not allowed, unknown, arguments that are no object, denied).
        pending: ids of calls that wait for an approval or for the client; nothing else of the reply runs before.
        stop: why the turn ends here; None while tools must run or another step follows.
        reminder: the reason that a user message gives the model for its next step.
        wait_seconds: how long the pending calls may wait; None: as configured.
        on_timeout: what becomes of them when nobody answered.
        returned: ids of calls that the client carried out.
    """

    calls: tuple[ToolCall, ...] = ()
    batches: tuple[tuple[str, ...], ...] = ()
    refused: tuple[ToolReturn, ...] = ()
    pending: tuple[str, ...] = ()
    stop: StopReason | None = None
    reminder: str | None = None
    wait_seconds: int | None = None
    on_timeout: OnTimeout = "deny"
    returned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a step leads: to `stop`, or to the next step (with a `reminder` of why first, where there is one)."""

    stop: StopReason | None
    reminder: str | None = None


def offer(
    agent: Agent, client_tools: Sequence[ToolSpec], history: Sequence[PastCall]
) -> tuple[tuple[ToolSpec, ...], ToolChoice, Allowance]:
    """The tools to show the model, how free it is, and what the rules allow. Client tools are always allowed."""
    attached = [tool.spec.name for tool in agent.tools]
    allowed = allowance(agent.rules, attached, history)
    if agent.uses_heartbeats:
        allowed = replace(allowed, parallel=False)
    client_names = {spec.name for spec in client_tools}
    labels = [block.label for block in agent.blocks if not block.read_only]
    usable = set(allowed.tools) - client_names
    shown = [
        with_loop_arguments(with_labels(tool.spec, labels), agent) for tool in agent.tools if tool.spec.name in usable
    ]
    tools = (*shown, *client_tools)
    choice = ToolChoice()
    if allowed.forced or (agent.uses_heartbeats and tools):
        choice = ToolChoice("named", tools[0].name) if len(tools) == 1 else ToolChoice("required")
    return tools, choice, allowed


def plan(
    reply: ModelReply,
    agent: Agent,
    allowed: Allowance,
    history: Sequence[PastCall],
    client_tools: Sequence[ToolSpec] = (),
) -> Plan:
    """Decide what a reply leads to, before any of its tools runs."""
    reply = heard(reply, agent)
    if not reply.tool_calls:
        return _without_calls(reply, agent, history, offered=bool(agent.tools or client_tools))
    several = allowed.parallel and agent.parallel_tool_calls
    of_client = {spec.name: spec for spec in client_tools}
    found: list[Checked] = []
    for call in reply.tool_calls if several else reply.tool_calls[:1]:
        found.append(check(call, agent, allowed, of_client, cut_off=reply.finish == "length"))
        if found[-1].fatal:
            break
    calls = tuple(each.call for each in found)
    refused = tuple(each.problem for each in found if each.problem is not None)
    if found[-1].fatal:
        return Plan(calls, refused=refused, stop="invalid_tool_call")
    good = [each for each in found if each.problem is None]
    waiting = [each for each in good if _waits(each, agent, of_client)]
    pending = tuple(each.call.id for each in waiting)
    running = batches([each.call for each in good if each.call.id not in pending], agent.tools)
    seconds, on_timeout = _patience(waiting, of_client)
    stop: StopReason | None = "requires_approval" if pending else None
    return Plan(calls, running, refused, pending, stop, wait_seconds=seconds, on_timeout=on_timeout)


def after_tools(planned: Plan, agent: Agent, history: Sequence[PastCall], steps_left: int) -> Verdict:
    """Decide where a step leads once every call of its plan has a return.

    Args:
        history: all calls carried out in this request, this step's included.
        steps_left: steps this request may still take, ≥ 0.
    """
    if planned.stop is not None:
        return Verdict(planned.stop)
    refused = {problem.tool_call_id for problem in planned.refused}
    made = [call for call in planned.calls if call.id not in refused]
    follows = _after_calls_v2 if agent.uses_heartbeats and planned.calls else _after_calls
    verdict = follows(planned, made, agent)
    missing = _missing(agent, history)
    if verdict.stop is not None and missing:
        verdict = Verdict(None, _reminder(missing))
    return Verdict("max_steps") if verdict.stop is None and steps_left <= 0 else verdict


def batches(calls: Sequence[ToolCall], tools: Sequence[Tool]) -> tuple[tuple[str, ...], ...]:
    """Ids of calls in order; neighbours whose tools may run side by side share a batch."""
    parallel = {tool.spec.name for tool in tools if tool.parallel}
    made: list[list[str]] = []
    open_batch = False
    for call in calls:
        if call.name in parallel and open_batch:
            made[-1].append(call.id)
        else:
            made.append([call.id])
        open_batch = call.name in parallel
    return tuple(tuple(batch) for batch in made)


def _after_calls(planned: Plan, made: Sequence[ToolCall], agent: Agent) -> Verdict:
    exits = any(ends_turn(agent.rules, call.name) for call in made)
    return Verdict("tool_rule" if exits else None, planned.reminder)


def _after_calls_v2(planned: Plan, made: Sequence[ToolCall], agent: Agent) -> Verdict:
    if len(made) < len(planned.calls):
        return Verdict(None, "Your call was not made. Read why, and go on.")
    if any(ends_turn(agent.rules, call.name) for call in made):
        return Verdict("tool_rule" if any(map(wants_heartbeat, made)) else "end_turn")
    if planned.returned:
        return Verdict(None, "Your call was carried out, and this is your next step.")
    reason = reason_to_go_on(agent.rules, made)
    return Verdict(None if reason else "end_turn", reason)


def _without_calls(reply: ModelReply, agent: Agent, history: Sequence[PastCall], *, offered: bool) -> Plan:
    if reply.finish == "length":
        return Plan(stop="max_tokens_exceeded")
    if agent.uses_heartbeats and offered:
        return Plan(stop="no_tool_call")
    if missing := _missing(agent, history):
        return Plan(reminder=_reminder(missing))
    return Plan(stop="end_turn")


def _missing(agent: Agent, history: Sequence[PastCall]) -> list[str]:
    attached = {tool.spec.name for tool in agent.tools}
    return missing_before_exit(agent.rules, attached, {call.name for call in history})


def _reminder(missing: Sequence[str]) -> str:
    return f"The turn cannot end yet: these tools must be called first: {', '.join(missing)}."


def _waits(checked: Checked, agent: Agent, of_client: Mapping[str, ToolSpec]) -> bool:
    name = checked.call.name
    return name in of_client or needs_approval(agent.rules, name) or checked.decision.action == "ask"


def _patience(waiting: Sequence[Checked], of_client: Mapping[str, ToolSpec]) -> tuple[int | None, OnTimeout]:
    """How long calls that wait together may wait, and what then: approved only if that is said of every one."""
    asked = [each.decision if each.call.name not in of_client else Decision() for each in waiting]
    limits = [decision.timeout for decision in asked if decision.action == "ask" and decision.timeout is not None]
    ends = {decision.on_timeout if decision.action == "ask" else "deny" for decision in asked}
    on_timeout: OnTimeout = "cancel" if "cancel" in ends else "approve" if ends == {"approve"} else "deny"
    return min(limits, default=None), on_timeout
