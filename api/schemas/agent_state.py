"""An agent's rows as the wire's `AgentState`, with all its keys."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from api.responses import timestamp
from api.schemas.blocks import print_block
from api.schemas.models import print_config, print_settings
from api.schemas.tools import print_tool
from o.domain.json import JsonObject
from o.store.records import AgentRecord, BlockRecord, ToolRecord

RELATIONS = frozenset(
    {
        "agent.blocks",
        "agent.identities",
        "agent.managed_group",
        "agent.secrets",
        "agent.sources",
        "agent.tags",
        "agent.tools",
    }
)

# The older query `include_relationships` has words of its own.
_OLD_WORDS = {
    "memory": "agent.blocks",
    "tools": "agent.tools",
    "sources": "agent.sources",
    "tags": "agent.tags",
    "identities": "agent.identities",
    "tool_exec_environment_variables": "agent.secrets",
    "multi_agent_group": "agent.managed_group",
}


@dataclass(frozen=True, slots=True)
class Relations:
    """What belongs to an agent, as far as it was asked for."""

    blocks: Sequence[BlockRecord] = ()
    tools: Sequence[ToolRecord] = ()
    secrets: Sequence[JsonObject] = ()
    pending_approval: JsonObject | None = None
    message_ids: Sequence[str] = field(default_factory=list)


def asked_for(
    include: Collection[str] | None, include_relationships: Collection[str] | None, *, sdk: bool
) -> frozenset[str]:
    """The relations a request wants: all for clients that are not of the 1.x line and say nothing."""
    if include:
        return frozenset(include)
    if include_relationships is not None:
        return frozenset(_OLD_WORDS[word] for word in include_relationships if word in _OLD_WORDS)
    return frozenset() if sdk else RELATIONS


def print_agent(agent: AgentRecord, relations: Relations, include: Collection[str] = RELATIONS) -> JsonObject:
    """An agent as the wire has it; relations that are not in `include` are empty."""
    with_blocks = "agent.blocks" in include
    blocks = [print_block(block) for block in relations.blocks] if with_blocks else []
    secrets = list(relations.secrets) if "agent.secrets" in include else []
    return {
        "id": agent.id,
        "name": agent.name,
        "description": agent.description,
        "agent_type": agent.agent_type,
        "system": agent.system,
        "tool_rules": _without_repeats(agent.tool_rules),
        "message_ids": list(relations.message_ids),
        "created_at": timestamp(agent.created_at),
        "updated_at": timestamp(agent.updated_at),
        "created_by_id": agent.created_by_id,
        "last_updated_by_id": agent.last_updated_by_id,
        "metadata": agent.metadata_,
        "tags": agent.tags if "agent.tags" in include else [],
        "timezone": agent.timezone,
        "hidden": agent.hidden,
        "message_buffer_autoclear": agent.message_buffer_autoclear,
        "enable_sleeptime": agent.enable_sleeptime,
        "response_format": agent.response_format,
        "llm_config": print_config(agent.llm_config, agent.response_format),
        "embedding_config": agent.embedding_config,
        "model": agent.model,
        "embedding": agent.embedding,
        "model_settings": print_settings(agent.llm_config, agent.response_format),
        "compaction_settings": agent.compaction_settings,
        "memory": {
            "blocks": blocks,
            "file_blocks": [],
            "prompt_template": "",
            "agent_type": agent.agent_type,
            "git_enabled": False,
        },
        "blocks": blocks,
        "tools": [print_tool(tool) for tool in relations.tools] if "agent.tools" in include else [],
        "sources": [],
        "identities": [],
        "identity_ids": [],
        "secrets": secrets,
        "tool_exec_environment_variables": secrets,
        "managed_group": None,
        "multi_agent_group": None,
        "pending_approval": relations.pending_approval if "agent.pending_approval" in include else None,
        "last_run_completion": timestamp(agent.last_run_completion),
        "last_run_duration_ms": agent.last_run_duration_ms,
        "last_stop_reason": agent.last_stop_reason,
        "max_files_open": agent.max_files_open,
        "per_file_view_window_char_limit": agent.per_file_view_window_char_limit,
        "project_id": agent.project_id,
        "template_id": None,
        "base_template_id": None,
        "deployment_id": None,
        "entity_id": None,
    }


def _without_repeats(rules: list[JsonObject]) -> list[JsonObject]:
    kept: list[JsonObject] = []
    for rule in rules:
        if rule not in kept:
            kept.append(rule)
    return kept
