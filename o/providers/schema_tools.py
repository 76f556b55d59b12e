"""Tool calls for models whose wire has none: described in the system text, or asked for by a JSON schema.

A call is one JSON object, `{"tool": name, "arguments": {…}}`. When a call is demanded the schema makes the model
write one; otherwise it may write one instead of a text. `call_reader` reads what it wrote.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from o.domain.json import JsonObject
from o.domain.messages import Message, Role, TextPart, ToolReturn
from o.domain.model import ModelRequest, ToolSpec

CALL_TOKENS = 384  # most tokens of a demanded call: a tiny model that has lost its way goes on until it is stopped

_SAID = 600  # characters of the user's words that are repeated beside a demand
_DEPTH = 5  # levels of a schema that are kept; below them anything short goes
_MOST_ITEMS = 8
_KEPT = ("type", "enum", "const")


def offered(request: ModelRequest) -> tuple[ToolSpec, ...]:
    """The tools the model may call now; none, if the one named is not among them."""
    match request.tool_choice.mode:
        case "none":
            return ()
        case "named":
            return tuple(tool for tool in request.tools if tool.name == request.tool_choice.name)
        case _:
            return request.tools


def describe(tools: Sequence[ToolSpec]) -> str:
    """What the system text says of tools the model may use: few words, for small models read every one slowly."""
    if not tools:
        return ""
    lines = ["Tools you can use:"]
    for tool in tools:
        lines.append(f"- {tool.name}: {' '.join(tool.description.split())}")
        lines += (f"    {line}" for line in _argument_lines(tool, only_required=False))
    form = '{"tool": "<name>", "arguments": {"<argument>": <value>}}'
    lines.append(f"To use one, answer with one JSON object of the form {form} and nothing else.")
    lines.append("Otherwise answer in plain words.")
    return "\n".join(lines)


def demand(tools: Sequence[ToolSpec], said: str) -> str:
    """What is added to the last user message when a call is demanded.

    Measured on SmolLM2-135M: with the demand at the end, beside the words the arguments shall come from, it writes
    them; with the demand in the system text it copies whatever stands there.
    """
    lines = [f'The user said: "{said[:_SAID]}"'] if said else []
    for tool in tools:
        purpose = " ".join(tool.description.split()).rstrip(".")
        lines.append(
            f"Write the arguments of the tool {tool.name} ({purpose}) as JSON, in words of what the user said."
        )
        lines += _argument_lines(tool, only_required=True)
    if len(tools) > 1:
        lines.append("Choose the one tool that fits.")
    return "\n".join(lines)


def spoken(messages: Sequence[Message]) -> tuple[Message, ...]:
    """What was said, without calls and returns: a tiny model that sees JSON goes on writing it."""
    said = (replace(message, tool_calls=()) for message in messages if message.role != "tool")
    return tuple(message for message in said if message.content)


def rehearsed(tools: Sequence[ToolSpec], said: str, like: Message) -> tuple[Message, ...]:
    """A transcript for a tiny model that must call a tool: two calls that went well, then what was said.

    Measured on SmolLM2-135M: told what to do, it writes placeholders and digits; shown it, words of the user. The
    transcript proper only distracts it. `like` gives the messages their time.
    """
    shown = [("I am Bob and I play chess.", "Bob plays chess."), ("We moved to Rome last year.", "They moved to Rome.")]
    tool = tools[0]

    def message(role: Role, text: str) -> Message:
        return Message(id=like.id, role=role, content=(TextPart(text),), created_at=like.created_at)

    def ask(words: str) -> Message:
        return message("user", f'The user said: "{words[:_SAID]}"\nCall {tool.name}.')

    lines = [message("system", "You write JSON.")]
    for words, value in shown:
        properties = tool.parameters.get("properties", {})
        arguments = {name: _example(properties[name], value) for name in _required(tool.parameters)}
        lines += [ask(words), message("assistant", json.dumps({"tool": tool.name, "arguments": arguments}))]
    return (*lines, ask(said))


def _example(schema: Any, text: str) -> Any:
    if not isinstance(schema, dict):
        return text
    if schema.get("enum"):
        return schema["enum"][0]
    return {"integer": 1, "number": 1, "boolean": True, "array": [text], "object": {}}.get(
        str(schema.get("type")), text
    )


def _argument_lines(tool: ToolSpec, *, only_required: bool) -> Iterator[str]:
    required = _required(tool.parameters)
    for name, schema in tool.parameters.get("properties", {}).items():
        if only_required and name not in required:
            continue
        schema = schema if isinstance(schema, dict) else {}
        kind = schema.get("type", "value")
        kind = " or ".join(map(str, kind)) if isinstance(kind, list) else kind
        choice = f"one of {', '.join(map(str, schema['enum']))}" if schema.get("enum") else str(kind)
        need = "" if name in required else ", optional"
        meaning = " ".join(str(schema.get("description", "")).split())
        yield f"{name} ({choice}{need}): {meaning}".rstrip(": ")


def _required(parameters: JsonObject) -> list[str]:
    """Arguments a demanded call has. Of a tool that requires nothing it is the first: none comes by itself."""
    properties = parameters.get("properties")
    if not isinstance(properties, dict):
        return []
    return [name for name in parameters.get("required", ()) if name in properties] or list(properties)[:1]


def call_schema(tools: Sequence[ToolSpec]) -> JsonObject:
    """The JSON schema of one call of one of the tools, in the few keywords a grammar can follow."""
    calls = [
        _object({"tool": {"const": tool.name}, "arguments": _arguments(tool.parameters)}, ["tool", "arguments"])
        for tool in tools
    ]
    return calls[0] if len(calls) == 1 else {"oneOf": calls}


def in_plain_words(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The transcript with its tool calls and returns as texts, for a template that knows neither."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    plain: list[Message] = []
    for message in messages:
        if message.role == "tool":
            text = "\n".join(_returned(each, names.get(each.tool_call_id)) for each in message.tool_returns)
            plain.append(replace(message, role="user", content=(TextPart(text),), tool_returns=(), name=None))
        elif message.role == "assistant" and message.tool_calls:
            calls = [
                f'{{"tool": {json.dumps(call.name)}, "arguments": {call.arguments}}}' for call in message.tool_calls
            ]
            content = (TextPart("\n".join([*([message.text] if message.text else []), *calls])),)
            plain.append(replace(message, content=content, tool_calls=()))
        else:
            plain.append(message)
    return tuple(plain)


def _arguments(parameters: JsonObject) -> JsonObject:
    """The schema of a demanded call: required arguments only, since a tiny model fills in all it is shown."""
    required = _required(parameters)
    if not required:
        return {"type": "object"}
    properties = parameters["properties"]
    return _object({name: _simple(properties[name], parameters, 1) for name in required}, required)


def _simple(schema: Any, root: JsonObject, depth: int) -> JsonObject:
    """A schema in the keywords a grammar can follow. Bounds on length are left out: they make sampling very slow."""
    if not isinstance(schema, dict) or depth > _DEPTH:
        return {"type": "string"}
    if isinstance(reference := schema.get("$ref"), str):
        return _simple(_resolved(reference, root), root, depth + 1)
    for either in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(either), list) and options:
            return {"anyOf": [_simple(option, root, depth + 1) for option in options]}
    if isinstance(parts := schema.get("allOf"), list) and len(parts) == 1:
        return _simple(parts[0], root, depth + 1)
    kept: JsonObject = {name: schema[name] for name in _KEPT if name in schema}
    if "enum" in kept or "const" in kept:
        return {name: value for name, value in kept.items() if name != "type"}
    if isinstance(properties := schema.get("properties"), dict):
        required = [name for name in schema.get("required", ()) if name in properties]
        return _object({name: _simple(each, root, depth + 1) for name, each in properties.items()}, required)
    if kept.get("type") == "array":
        kept |= {"items": _simple(schema.get("items", {"type": "string"}), root, depth + 1), "maxItems": _MOST_ITEMS}
    if kept.get("type") == "integer":
        kept |= {bound: schema[bound] for bound in ("minimum", "maximum") if _small(schema.get(bound))}
    return kept or {"type": "string"}


def _object(properties: JsonObject, required: list[str]) -> JsonObject:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _resolved(reference: str, root: JsonObject) -> Any:
    place: Any = root
    for step in reference.removeprefix("#/").split("/"):
        place = place.get(step) if isinstance(place, dict) else None
    return place


def _small(bound: object) -> bool:
    return isinstance(bound, int) and not isinstance(bound, bool) and abs(bound) < 10**9


def _returned(returned: ToolReturn, name: str | None) -> str:
    outcome = "failed" if returned.status == "error" else "returned"
    return f"[{name or returned.name or 'tool'} {outcome}] {returned.content}"
