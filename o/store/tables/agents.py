"""Agents, the secrets they give their tools, and which tools and blocks they hold."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlmodel import Field

from o.domain.json import JsonObject
from o.store.base import Owned, count, document, flag, instant, key, refers, strings, words


class Agent(Owned, table=True):
    __tablename__ = "agents"
    __table_args__ = (
        Index(None, "org_id", "created_at", "id"),
        Index(None, "org_id", "updated_at", "id"),
        Index(None, "org_id", "last_run_completion", "id"),
        Index(None, "org_id", "name"),
        Index(None, "tags", postgresql_using="gin"),
    )

    id: str = key()
    name: str = words()
    agent_type: str = words()
    description: str | None = words(nullable=True)
    system: str = words()
    model: str = words()
    embedding: str | None = words(nullable=True)
    llm_config: JsonObject = document()
    embedding_config: JsonObject | None = document(nullable=True)
    compaction_settings: JsonObject = document("{}")
    response_format: JsonObject | None = document(nullable=True)
    tool_rules: list[JsonObject] = document("[]")
    tags: list[str] = strings()
    metadata_: JsonObject = document("{}")
    timezone: str = words("UTC")
    hidden: bool | None = Field(default=None)
    message_buffer_autoclear: bool = flag()
    enable_sleeptime: bool | None = Field(default=None)
    max_files_open: int = count(5)
    per_file_view_window_char_limit: int = count(50000)
    project_id: str | None = words(nullable=True)
    created_by_id: str | None = words(nullable=True)
    last_updated_by_id: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)
    updated_at: datetime = instant(now=True)
    last_run_completion: datetime | None = instant(nullable=True)
    last_run_duration_ms: int | None = count(None, nullable=True)
    last_stop_reason: str | None = words(nullable=True)


class AgentSecret(Owned, table=True):
    """A secret of the agent's tools; `value` is ciphertext, bound to agent and key."""

    __tablename__ = "agent_secrets"
    __table_args__ = (Index(None, "org_id"),)

    agent_id: str = refers("agents.id", primary_key=True)
    key: str = key()
    value: str = words()
    description: str | None = words(nullable=True)


class AgentTool(Owned, table=True):
    __tablename__ = "agents_tools"
    __table_args__ = (Index(None, "tool_id"),)

    agent_id: str = refers("agents.id", primary_key=True)
    tool_id: str = refers("tools.id", primary_key=True)
    created_at: datetime = instant(now=True)


class AgentBlock(Owned, table=True):
    """An agent holds one block per label; a block may be held by any number of agents."""

    __tablename__ = "agents_blocks"
    __table_args__ = (
        Index(None, "block_id"),
        Index("uq_agents_blocks_agent_id_label", "agent_id", text("label"), unique=True),
    )

    agent_id: str = refers("agents.id", primary_key=True)
    block_id: str = refers("blocks.id", primary_key=True)
    label: str = words()
    created_at: datetime = instant(now=True)
