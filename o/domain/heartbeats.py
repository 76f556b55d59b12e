"""What the older agent types add to tool calls: whether the turn goes on, and what the model thought.

Loop v2 of the letta-v1 contract (section 12): every tool has an argument `request_heartbeat`, and where the model's
configuration says so `thinking`. Both are taken out before a tool runs; a thought is stored as the reply's text.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from o.domain.agent import Agent
from o.domain.call_repair import canonical, parse_arguments
from o.domain.call_text import HEARTBEAT, THOUGHT, split_thought
from o.domain.json import JsonObject
from o.domain.messages import Message, TextPart, ToolCall, ToolReturn
from o.domain.model import ModelReply, ToolSpec
from o.domain.tool_rules import Conditional, ConstrainChildren, ContinueLoop, ParentLast, ToolRule

_HEARTBEAT: JsonObject = {
    "type": "boolean",
    "description": "Whether you want another step right after this call, to go on with what it returned.",
}
_THOUGHT: JsonObject = {
    "type": "string",
    "description": "What you think before you act, for yourself alone. Write it first.",
}


def with_loop_arguments(spec: ToolSpec, agent: Agent) -> ToolSpec:
    """A tool as an agent with heartbeats is shown it. A tool's own argument of such a name stays the tool's."""
    if not agent.uses_heartbeats:
        return spec
    own = _own_names(spec)
    before = {THOUGHT: _THOUGHT} if agent.thoughts_in_arguments and THOUGHT not in own else {}
    after = {HEARTBEAT: _HEARTBEAT} if HEARTBEAT not in own else {}
    parameters = {
        **spec.parameters,
        "properties": {**before, **spec.parameters.get("properties", {}), **after},
        "required": [*before, *spec.parameters.get("required", ()), *after],
    }
    return replace(spec, parameters=parameters)


def without_loop_arguments(call: ToolCall, spec: ToolSpec | None, agent: Agent) -> ToolCall:
    """The call as its tool is to be run. Arguments that are no object are left as they are."""
    names = {HEARTBEAT, THOUGHT} if agent.uses_heartbeats and agent.thoughts_in_arguments else {HEARTBEAT}
    foreign = names if spec is None else names - _own_names(spec)
    try:
        arguments = parse_arguments(call)
    except ValueError:
        return call
    if foreign.isdisjoint(arguments):
        return call
    kept = {name: value for name, value in arguments.items() if name not in foreign}
    return replace(call, arguments=canonical(kept))


def heard(reply: ModelReply, agent: Agent) -> ModelReply:
    """The reply with the thought that its first call opens with as the last of its text."""
    if not (agent.uses_heartbeats and agent.thoughts_in_arguments and reply.tool_calls):
        return reply
    first, *rest = reply.tool_calls
    thought, arguments = split_thought(first.arguments)
    if not arguments:  # cut off within the thought: the call cannot be read anyway
        return reply
    calls = (replace(first, arguments=arguments), *rest)
    content = (*reply.content, TextPart(thought)) if thought else reply.content
    return replace(reply, content=content, tool_calls=calls)


def as_seen(messages: Sequence[Message], agent: Agent) -> Sequence[Message]:
    """The transcript as a model with heartbeats knows it: thoughts within the calls, returns with their time."""
    if not agent.uses_heartbeats:
        return messages
    seen = [_with_thought(message) if agent.thoughts_in_arguments else message for message in messages]
    return [replace(message, tool_returns=_packed(message)) if message.tool_returns else message for message in seen]


def _with_thought(message: Message) -> Message:
    if message.role != "assistant" or not message.tool_calls or not message.text:
        return message
    first, *rest = message.tool_calls
    try:
        arguments = parse_arguments(first)
    except ValueError:
        return message
    said = replace(first, arguments=canonical({THOUGHT: message.text, **arguments}))
    silent = tuple(part for part in message.content if not isinstance(part, TextPart))
    return replace(message, content=silent, tool_calls=(said, *rest))


def _packed(message: Message) -> tuple[ToolReturn, ...]:
    at = f"{message.created_at.astimezone(UTC):%Y-%m-%d %I:%M:%S %p %Z%z}"
    return tuple(
        replace(
            returned,
            content=json.dumps(
                {
                    "status": "OK" if returned.status == "success" else "Failed",
                    "message": returned.content,
                    "time": at,
                },
                ensure_ascii=False,
            ),
        )
        for returned in message.tool_returns
    )


def heartbeat(reason: str, at: datetime) -> str:
    """The text of the user message that stands between two steps."""
    return json.dumps({"type": "heartbeat", "reason": reason, "time": at.isoformat(timespec="seconds")})


def is_heartbeat(text: str) -> bool:
    """Whether a user message was written by the loop, and by nobody else."""
    return text.startswith('{"type": "heartbeat", "reason": ')


def reason_to_go_on(rules: Sequence[ToolRule], calls: Sequence[ToolCall]) -> str | None:
    """Why another step follows these calls, which were all carried out; None where nothing asks for one."""
    for call in calls:
        for rule in rules:
            if rule.tool_name != call.name:
                continue
            if isinstance(rule, ConstrainChildren | ParentLast | Conditional):
                return f"A tool rule says what must follow {call.name}."
            if isinstance(rule, ContinueLoop):
                return f"A tool rule lets the turn go on after {call.name}."
    if any(wants_heartbeat(call) for call in calls):
        return "You asked for a heartbeat with your call, so this is your next step."
    return None


def wants_heartbeat(call: ToolCall) -> bool:
    try:
        asked = parse_arguments(call).get(HEARTBEAT)
    except ValueError:
        return False
    return asked is True or (isinstance(asked, str) and asked.strip().lower() == "true")


def _own_names(spec: ToolSpec) -> set[str]:
    properties = spec.parameters.get("properties")
    return set(properties) if isinstance(properties, Mapping) else set()
