"""What `o apply` would change: what a file defines against what the API says there is. Pure: nothing is done here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from o.domain.definitions import AgentDefinition, BlockDefinition, ToolDefinition
from o.domain.json import JsonObject
from o.domain.tool_rules import ToolRule
from o.errors import InvalidArgument

# The key of an agent's metadata that says it was made from a file, and its value: of which project.
MARKER = "o.apply"
Action = Literal["create", "update", "unchanged"]
_HIDDEN = "(hidden)"


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one thing.

    Attributes:
        fields: of an update, what differs: before and after, as people may see it.
        body: what is sent.
    """

    kind: Literal["tool", "agent", "block"]
    name: str
    action: Action
    fields: dict[str, tuple[object, object]] = field(default_factory=dict)
    body: JsonObject = field(default_factory=dict, repr=False)


def tool_change(wanted: ToolDefinition, present: JsonObject | None) -> Change:
    """What becomes of a tool. Raises InvalidArgument where its name is that of a tool nobody may redefine."""
    body = {"source_code": wanted.source, "source_type": "python", **wanted.settings}
    if present is None:
        return Change("tool", wanted.tool_name, "create", body=body)
    if present["tool_type"] != "custom":
        raise InvalidArgument(
            f"tool '{wanted.tool_name}': a tool of this name is none of yours ({present['tool_type']}): rename yours"
        )
    schema = {
        "name": wanted.tool_name,
        "description": wanted.derived.description,
        "parameters": wanted.derived.parameters,
    }
    after = {**body, "json_schema": schema}
    return _changed("tool", wanted.tool_name, {name: present.get(name) for name in after}, after, body)


def agent_change(
    wanted: AgentDefinition,
    present: JsonObject | None,
    *,
    model: str | None,
    default_model: str | None,
    default_embedding: str | None,
    secrets: Mapping[str, str],
    project: str,
) -> Change:
    """What becomes of an agent, its memory apart.

    Args:
        present: the agent as the API has it, if it is there.
        model: the handle for agents whose file names none.
        default_model: the handle for new agents where nothing else names one.
        secrets: the values of the variables it asks for.
    """
    fields = {
        "model": wanted.model or model,
        "system": wanted.system,
        "tags": list(wanted.tags),
        "tools": list(wanted.tools),
        "tool_rules": _rules(wanted.rules),
        "secrets": dict(secrets),
        "metadata": {MARKER: project},
        **wanted.settings,
    }
    if present is None:
        body = {
            **fields,
            "name": wanted.name,
            "agent_type": wanted.agent_type,
            "model": fields["model"] or default_model,
            "embedding": wanted.settings.get("embedding") or default_embedding,
            "memory_blocks": [_block(each) for each in wanted.blocks],
            "include_base_tools": False,
            "include_base_tool_rules": False,
        }
        return Change("agent", wanted.name, "create", body={k: v for k, v in body.items() if v is not None})
    if present["agent_type"] != wanted.agent_type:
        raise InvalidArgument(
            f"agent '{wanted.name}' is a {present['agent_type']}, and types cannot be changed: rename it or remove it"
        )
    after = {name: value for name, value in fields.items() if value is not None}
    after["metadata"] = {**(present.get("metadata") or {}), **fields["metadata"]}
    before = _present_fields(present, wanted)
    after["secrets"] = {**before["secrets"], **fields["secrets"]}
    return _changed("agent", wanted.name, {name: before.get(name) for name in after}, after, after)


def block_changes(wanted: AgentDefinition, present: JsonObject) -> list[Change]:
    """What becomes of the memory of an agent that is there: its own edits stay, unless a block says otherwise."""
    blocks = {block["label"]: block for block in present["blocks"]}
    return [_block_change(wanted.name, each, blocks.get(each.label)) for each in wanted.blocks]


def mine(found: Sequence[JsonObject], project: str) -> JsonObject | None:
    """Of agents of one name, the one that was made from a file of this project.

    Raises:
        InvalidArgument: there are several.
    """
    marked = [agent for agent in found if (agent.get("metadata") or {}).get(MARKER) == project]
    if len(marked) > 1:
        ids = ", ".join(agent["id"] for agent in marked)
        raise InvalidArgument(f"several agents called '{marked[0]['name']}' belong to project '{project}': {ids}")
    return marked[0] if marked else None


def _present_fields(present: JsonObject, wanted: AgentDefinition) -> JsonObject:
    # Tools that folders brought are no business of a file.
    tools = [tool["name"] for tool in present["tools"] if tool["tool_type"] != "letta_files_core"]
    rules = [_without_nulls(rule) for rule in present.get("tool_rules") or []]
    return {
        "model": present.get("model"),
        "system": present["system"],
        "tags": _same_order(present["tags"], wanted.tags),
        "tools": _same_order(tools, wanted.tools),
        "tool_rules": _same_order(rules, _rules(wanted.rules)),
        "secrets": {secret["key"]: secret["value"] for secret in present.get("secrets") or []},
        "metadata": present.get("metadata") or {},
        "description": present.get("description"),
        "timezone": present.get("timezone"),
        "embedding": present.get("embedding"),
        "context_window_limit": present["llm_config"].get("context_window"),
    }


def _block(wanted: BlockDefinition) -> JsonObject:
    body = {
        "label": wanted.label,
        "value": wanted.value,
        "limit": wanted.limit,
        "description": wanted.description,
        "read_only": wanted.read_only,
    }
    return {name: value for name, value in body.items() if value is not None}


def _block_change(agent: str, wanted: BlockDefinition, present: JsonObject | None) -> Change:
    name = f"{agent}/{wanted.label}"
    body = _block(wanted)
    if present is None:
        return Change("block", name, "create", body=body)
    del body["label"]
    if wanted.keep:
        del body["value"]
    return _changed("block", name, {field: present.get(field) for field in body}, body, body)


def _changed(
    kind: Literal["tool", "agent", "block"], name: str, before: JsonObject, after: JsonObject, body: JsonObject
) -> Change:
    differing = {key: (before[key], after[key]) for key in after if _plain(before[key]) != _plain(after[key])}
    if not differing:
        return Change(kind, name, "unchanged", body=body)
    shown = {key: _shown(key, *both) for key, both in differing.items()}
    # Of a tool all is sent, for it is put; of others what differs.
    sent = body if kind == "tool" else {key: value for key, value in body.items() if key in differing}
    return Change(kind, name, "update", shown, sent)


def _shown(key: str, before: object, after: object) -> tuple[object, object]:
    if key != "secrets" or not isinstance(before, dict) or not isinstance(after, dict):
        return before, after
    return dict.fromkeys(before, _HIDDEN), {
        name: _HIDDEN if before.get(name, value) == value else f"{_HIDDEN}, another value"
        for name, value in after.items()
    }


def _rules(rules: Sequence[ToolRule]) -> list[JsonObject]:
    dumped = [_without_nulls(rule.model_dump(mode="json")) for rule in rules]
    return list({json.dumps(rule, sort_keys=True): rule for rule in dumped}.values())


def _without_nulls(document: JsonObject) -> JsonObject:
    return {
        name: [_without_nulls(each) if isinstance(each, dict) else each for each in value]
        if isinstance(value, list)
        else value
        for name, value in document.items()
        if value is not None
    }


def _same_order(present: Sequence[object], wanted: Sequence[object]) -> list[object]:
    """What is there without repetitions, in the order of what is wanted: neither order nor number says anything."""
    keys = [json.dumps(each, sort_keys=True) for each in wanted]
    found = {json.dumps(each, sort_keys=True): each for each in present}
    return [found.pop(key) for key in keys if key in found] + list(found.values())


def _plain(value: object) -> object:
    """A value without what says nothing: absent, null and empty are the same."""
    if isinstance(value, dict):
        kept = {name: _plain(inner) for name, inner in value.items()}
        return {name: inner for name, inner in kept.items() if inner is not None} or None
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value] or None
    return None if value is None or value == "" or value is False else value
