"""The turn as a state machine: what follows a model's reply, and what follows the returns of its tools.

Loop v3 of the letta-v1 contract (section 12): a step is one model request and its tools; a reply with tool calls
goes on, a reply of text alone ends the turn.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from o.domain.agent import Agent, Tool
from o.domain.base_tools import with_labels
from o.domain.call_repair import canonical, parse_arguments, repaired_call, tool_name
from o.domain.json import JsonObject
from o.domain.messages import ToolCall, ToolReturn
from o.domain.model import ModelReply, ToolChoice, ToolSpec
from o.domain.stop import StopReason
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
        refused: returns decided without running anything (not allowed, unknown, arguments that are no object).
        pending: ids of calls that wait for an approval or for the client; nothing else of the reply runs before.
        stop: why the turn ends here; None while tools must run or another step follows.
        reminder: text of a user message that tells the model what is still missing.
    """

    calls: tuple[ToolCall, ...] = ()
    batches: tuple[tuple[str, ...], ...] = ()
    refused: tuple[ToolReturn, ...] = ()
    pending: tuple[str, ...] = ()
    stop: StopReason | None = None
    reminder: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a step leads: to `stop`, or to the next step (with a `reminder` first, where there is one)."""

    stop: StopReason | None
    reminder: str | None = None


def offer(
    agent: Agent, client_tools: Sequence[ToolSpec], history: Sequence[PastCall]
) -> tuple[tuple[ToolSpec, ...], ToolChoice, Allowance]:
    """The tools to show the model, how free it is, and what the rules allow. Client tools are always allowed."""
    attached = [tool.spec.name for tool in agent.tools]
    allowed = allowance(agent.rules, attached, history)
    client_names = {spec.name for spec in client_tools}
    labels = [block.label for block in agent.blocks if not block.read_only]
    shown = tuple(
        with_labels(tool.spec, labels)
        for tool in agent.tools
        if tool.spec.name in allowed.tools and tool.spec.name not in client_names
    )
    choice = ToolChoice()
    if allowed.forced or (agent.speaks_by_tool and attached):
        choice = ToolChoice("named", allowed.tools[0]) if len(allowed.tools) == 1 else ToolChoice("required")
    return (*shown, *client_tools), choice, allowed


def plan(
    reply: ModelReply,
    agent: Agent,
    allowed: Allowance,
    history: Sequence[PastCall],
    client_tools: Sequence[ToolSpec] = (),
) -> Plan:
    """Decide what a reply leads to, before any of its tools runs."""
    if not reply.tool_calls:
        return _without_calls(reply, agent, history)
    several = allowed.parallel and agent.parallel_tool_calls
    of_client = {spec.name: spec.parameters for spec in client_tools}
    calls: list[ToolCall] = []
    refused: list[ToolReturn] = []
    for call in reply.tool_calls if several else reply.tool_calls[:1]:
        checked, problem, fatal = _check(call, agent, allowed, of_client, cut_off=reply.finish == "length")
        calls.append(checked)
        if problem is not None:
            refused.append(problem)
        if fatal:
            return Plan(calls=tuple(calls), refused=tuple(refused), stop="invalid_tool_call")
    bad = {problem.tool_call_id for problem in refused}
    good = [call for call in calls if call.id not in bad]
    pending = tuple(c.id for c in good if c.name in of_client or needs_approval(agent.rules, c.name))
    batches = _batches([call for call in good if call.id not in pending], agent.tools)
    return Plan(tuple(calls), batches, tuple(refused), pending, stop="requires_approval" if pending else None)


def after_tools(planned: Plan, agent: Agent, history: Sequence[PastCall], steps_left: int) -> Verdict:
    """Decide where a step leads once every call of its plan has a return.

    Args:
        history: all calls carried out in this request, this step's included.
        steps_left: steps this request may still take, ≥ 0.
    """
    refused = {problem.tool_call_id for problem in planned.refused}
    exits = any(ends_turn(agent.rules, call.name) for call in planned.calls if call.id not in refused)
    missing = _missing(agent, history)
    if planned.stop is not None:
        return Verdict(planned.stop)
    if exits and not missing:
        return Verdict("tool_rule")
    if steps_left <= 0:
        return Verdict("max_steps")
    return Verdict(None, _reminder(missing) if exits else planned.reminder)


def _without_calls(reply: ModelReply, agent: Agent, history: Sequence[PastCall]) -> Plan:
    if reply.finish == "length":
        return Plan(stop="max_tokens_exceeded")
    if missing := _missing(agent, history):
        return Plan(reminder=_reminder(missing))
    return Plan(stop="end_turn")


def _missing(agent: Agent, history: Sequence[PastCall]) -> list[str]:
    attached = {tool.spec.name for tool in agent.tools}
    return missing_before_exit(agent.rules, attached, {call.name for call in history})


def _reminder(missing: Sequence[str]) -> str:
    reason = f"The turn cannot end yet: these tools must be called first: {', '.join(missing)}."
    return json.dumps({"type": "heartbeat", "reason": reason})


def _check(
    call: ToolCall, agent: Agent, allowed: Allowance, of_client: Mapping[str, JsonObject], *, cut_off: bool
) -> tuple[ToolCall, ToolReturn | None, bool]:
    """One call as it was meant, with its prefilled arguments; the return that refuses it, if any; whether that ends
    the turn.
    """
    schemas = {**{tool.spec.name: tool.spec.parameters for tool in agent.tools}, **of_client}
    names = {*allowed.tools, *of_client}
    if call.name not in names and call.name not in schemas and (meant := tool_name(call.name, names)):
        call = replace(call, name=meant)

    def refuse(text: str) -> ToolReturn:
        return ToolReturn(call.id, text, "error", call.name)

    if call.name not in names:
        valid = ", ".join(sorted(names)) or "none"
        return call, refuse(f"[ToolConstraintError] Cannot call {call.name}, valid tools include: [{valid}]"), False
    try:
        call = repaired_call(call, schemas[call.name], cut_off=cut_off)
    except ValueError as error:
        return call, refuse(f"Error: {error}"), False
    preset = allowed.prefilled.get(call.name)
    if preset:
        if problem := _misfit(preset, schemas[call.name]):
            return call, refuse(f"Error: the tool rule presets arguments of {call.name} wrongly: {problem}"), True
        call = replace(call, arguments=canonical({**parse_arguments(call), **preset}))
    return call, None, False


_JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def _misfit(preset: JsonObject, schema: JsonObject) -> str | None:
    """Why preset arguments do not fit a tool's schema: an unknown name, or a value of another type."""
    properties = schema.get("properties", {})
    for name, value in preset.items():
        if name not in properties:
            return f"it has no argument '{name}'"
        wanted = _JSON_TYPES.get(str(properties[name].get("type")))
        if wanted is not None and not isinstance(value, wanted):
            return f"'{name}' must be of type {properties[name]['type']}"
    return None


def _batches(calls: Sequence[ToolCall], tools: Sequence[Tool]) -> tuple[tuple[str, ...], ...]:
    """Calls in order; neighbours whose tools may run side by side share a batch."""
    parallel = {tool.spec.name for tool in tools if tool.parallel}
    batches: list[list[str]] = []
    open_batch = False
    for call in calls:
        if call.name in parallel and open_batch:
            batches[-1].append(call.id)
        else:
            batches.append([call.id])
        open_batch = call.name in parallel
    return tuple(tuple(batch) for batch in batches)
