"""Whether one call of a reply may be carried out, and with which arguments."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from o.domain.agent import Agent
from o.domain.call_repair import canonical, parse_arguments, repaired_call, tool_name
from o.domain.heartbeats import with_loop_arguments, without_loop_arguments
from o.domain.json import JsonObject
from o.domain.messages import ToolCall, ToolReturn
from o.domain.model import ToolSpec
from o.domain.tool_policy import Decision, decide
from o.domain.tool_solver import Allowance


@dataclass(frozen=True, slots=True)
class Checked:
    """A call as it was meant, with its preset arguments.

    Attributes:
        problem: the return that refuses it, if it is refused.
        fatal: whether that ends the turn.
        decision: what the policies say of it.
    """

    call: ToolCall
    problem: ToolReturn | None = None
    fatal: bool = False
    decision: Decision = field(default_factory=Decision)


def check(
    call: ToolCall, agent: Agent, allowed: Allowance, of_client: Mapping[str, ToolSpec], *, cut_off: bool
) -> Checked:
    """Read one call and hold it against rules, schema and policies; `of_client` are the tools the client runs."""
    specs = {**{tool.spec.name: tool.spec for tool in agent.tools}, **of_client}
    names = {*allowed.tools, *of_client}
    if call.name not in names and call.name not in specs and (meant := tool_name(call.name, names)):
        call = replace(call, name=meant)

    def refused(text: str, *, fatal: bool = False) -> Checked:
        return Checked(call, ToolReturn(call.id, text, "error", call.name), fatal)

    if call.name not in names:
        return refused(_violation(call.name, sorted(names), allowed.forced))
    spec = specs[call.name]
    try:
        call = repaired_call(call, _readable(spec, agent), cut_off=cut_off)
    except ValueError as error:
        return refused(f"Error: {error}")
    if not agent.uses_heartbeats or call.name in of_client:
        call = without_loop_arguments(call, spec, agent)
    if preset := allowed.prefilled.get(call.name):
        if problem := misfit(preset, spec.parameters):
            return refused(f"Error: the tool rule presets arguments of {call.name} wrongly: {problem}", fatal=True)
        call = replace(call, arguments=canonical({**parse_arguments(call), **preset}))
    decision = decide_call(call, spec, agent)
    if decision.action == "deny":
        return refused(denial(call.name, decision))
    return Checked(call, decision=decision)


def decide_call(call: ToolCall, spec: ToolSpec | None, agent: Agent) -> Decision:
    """What the agent's policies say of a call whose arguments are an object."""
    if not agent.policies:
        return Decision()
    return decide(
        agent.policies,
        agent_id=agent.id,
        agent_tags=agent.tags,
        tool_name=call.name,
        arguments=parse_arguments(without_loop_arguments(call, spec, agent)),
    )


def denial(name: str, decision: Decision) -> str:
    """What the model is told of a call that a policy denies."""
    text = f"Error: a policy denies this call of {name}, so it was not made."
    return f"{text} Reason: {decision.reason}" if decision.reason else text


def _violation(name: str, valid: list[str], forced: bool) -> str:
    text = f"[ToolConstraintError] Cannot call {name}, valid tools include: [{', '.join(valid) or 'none'}]"
    return f"{text}. A tool rule asks for one of them now." if forced else text


def _readable(spec: ToolSpec, agent: Agent) -> JsonObject:
    """The schema by which broken arguments are read: what the loop adds may stand in them, and need not."""
    shown = with_loop_arguments(spec, agent).parameters
    return {**shown, "required": spec.parameters.get("required", [])} if agent.uses_heartbeats else shown


_JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


def misfit(preset: JsonObject, schema: JsonObject) -> str | None:
    """Why preset arguments do not fit a tool's schema: an unknown name, or a value of another type."""
    properties = schema.get("properties", {})
    for name, value in preset.items():
        if name not in properties:
            return f"it has no argument '{name}'"
        wanted = _types(properties[name])
        if wanted and not any(_is_a(value, kind) for kind in wanted):
            return f"'{name}' must be of type {' or '.join(wanted)}"
    return None


def _types(schema: object) -> list[str]:
    """The types a schema allows; none where it does not say, or says it in a way not read here."""
    if not isinstance(schema, dict):
        return []
    kind = schema.get("type")
    if isinstance(kind, str | list):
        return [kind] if isinstance(kind, str) else [str(each) for each in kind]
    either = [_types(each) for each in schema.get("anyOf") or schema.get("oneOf") or ()]
    return [each for kinds in either for each in kinds] if all(either) else []


def _is_a(value: object, kind: str) -> bool:
    if kind not in _JSON_TYPES:
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _JSON_TYPES[kind])
