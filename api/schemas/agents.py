"""Agents on the wire: what a client may ask for when it makes or changes one."""

from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, StrictFloat

from api.schemas.blocks import Block, CreateBlock
from api.schemas.common import (
    AgentId,
    BlockId,
    Body,
    Count,
    Flag,
    FreeJson,
    Line,
    MessageId,
    Name,
    Shape,
    Tags,
    Text,
    ToolId,
    plain,
)
from api.schemas.messages import CreateMessage
from api.schemas.models import EmbeddingConfig, LlmConfig, ModelSettings, ResponseFormat
from o.domain.agent import AgentType
from o.domain.json import JsonObject
from o.domain.stop import StopReason
from o.domain.tool_rules import ToolRule

Include = Literal[
    "agent.blocks",
    "agent.identities",
    "agent.managed_group",
    "agent.pending_approval",
    "agent.secrets",
    "agent.sources",
    "agent.tags",
    "agent.tools",
]


def _agent_name(value: str) -> str:
    if not all(character.isalnum() or character in " -_'" for character in value):
        raise ValueError("may contain letters, digits, spaces, hyphens, underscores and apostrophes only")
    return value


def _timezone(value: str) -> str:
    if value == "UTC":
        return value
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("is no timezone; use an IANA name such as Europe/Berlin") from error
    return value


def _storable_rules(rules: list[ToolRule]) -> list[ToolRule]:
    for rule in rules:
        plain(rule.model_dump(mode="json"))
    return rules


AgentName = Annotated[Name, AfterValidator(_agent_name)]
Timezone = Annotated[Name, AfterValidator(_timezone)]
Rules = Annotated[list[ToolRule], Field(max_length=200), AfterValidator(_storable_rules)]
Ids = Annotated[list[Line], Field(max_length=200)]
Secrets = Annotated[dict[Name, Text], Field(max_length=200)]


class CompactionSettings(Body):
    """How an agent's history is shortened when it fills the context."""

    mode: Literal["all", "sliding_window", "self_compact_all", "self_compact_sliding_window"] | None = None
    sliding_window_percentage: Annotated[StrictFloat, Field(gt=0, lt=1)] | None = None
    clip_chars: Count | None = None
    prompt: Text | None = None
    prompt_acknowledgement: Flag | None = None
    model: Line | None = None


class _Agent(Body):
    """What may be said both when an agent is made and when it is changed."""

    system: Text | None = None
    description: Text | None = None
    metadata: FreeJson | None = None
    tags: Tags | None = None
    timezone: Timezone | None = None
    hidden: Flag | None = None
    model: Line | None = None
    llm_config: LlmConfig | None = None
    model_settings: ModelSettings | None = None
    context_window_limit: Count | None = None
    max_tokens: Count | None = None
    parallel_tool_calls: Flag | None = None
    embedding: Line | None = None
    embedding_config: EmbeddingConfig | None = None
    response_format: ResponseFormat | None = None
    compaction_settings: CompactionSettings | None = None
    tool_ids: Annotated[list[ToolId], Field(max_length=500)] | None = None
    tool_rules: Rules | None = None
    block_ids: Annotated[list[BlockId], Field(max_length=200)] | None = None
    identity_ids: Ids | None = None
    folder_ids: Ids | None = None
    source_ids: Ids | None = None
    secrets: Secrets | None = None
    tool_exec_environment_variables: Secrets | None = None
    enable_sleeptime: Flag | None = None
    max_files_open: Annotated[Count, Field(le=1000)] | None = None
    per_file_view_window_char_limit: Count | None = None
    project_id: Line | None = None

    @property
    def all_secrets(self) -> dict[str, str] | None:
        return self.secrets if self.secrets is not None else self.tool_exec_environment_variables


class CreateAgent(_Agent):
    """An agent to make. Everything has a default; `model` is a handle, `provider/model`."""

    name: AgentName | None = None
    agent_type: AgentType = "letta_v1_agent"
    max_reasoning_tokens: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    message_buffer_autoclear: Flag = False
    memory_blocks: Annotated[list[CreateBlock], Field(max_length=200)] | None = None
    tools: Annotated[list[Name], Field(max_length=500)] | None = None
    include_base_tools: Flag = True
    include_base_tool_rules: Flag | None = None
    initial_message_sequence: Annotated[list[CreateMessage], Field(max_length=1000)] | None = None


class UpdateAgent(_Agent):
    """Changes to an agent; what is absent or null stays as it is, lists replace the whole list."""

    name: AgentName | None = None
    message_buffer_autoclear: Flag | None = None
    message_ids: Annotated[list[MessageId], Field(max_length=10_000)] | None = None
    last_run_completion: datetime | None = None
    last_run_duration_ms: Annotated[int, Field(ge=0, le=2**62)] | None = None
    last_stop_reason: StopReason | None = None


class Memory(Shape):
    """The blocks of an agent."""

    blocks: list[Block]
    file_blocks: list[JsonObject] = Field(default_factory=list)
    prompt_template: str = ""


class AgentState(Shape):
    """An agent. Relations are empty unless asked for with `include`, for clients of the 1.x library."""

    id: AgentId
    name: str
    agent_type: AgentType
    system: str
    description: str | None = None
    metadata: JsonObject | None = None
    model: str | None = None
    embedding: str | None = None
    llm_config: JsonObject
    model_settings: JsonObject | None = None
    memory: Memory
    blocks: list[Block]
    tools: list[JsonObject]
    sources: list[JsonObject]
    tags: list[str]
    tool_rules: list[JsonObject] | None = None
    message_ids: list[str] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    last_stop_reason: StopReason | None = None
