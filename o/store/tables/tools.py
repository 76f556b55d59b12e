"""Tools: what a model may call, runs of them by hand, and policies about their calls."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field

from o.domain.json import JsonObject
from o.store.base import Owned, count, document, flag, instant, key, refers, strings, words


class ToolRow(Owned, table=True):
    """A tool of an organisation.

    `effect` (pure, reads, writes, external) and `idempotent` say whether it may be run again when nobody knows whether
    it ran. `sandbox` holds its own limits and the hosts it may reach; `mcp` what an MCP server said of it when it was
    pinned.
    """

    __tablename__ = "tools"
    __table_args__ = (
        Index(None, "org_id", "name", unique=True),
        Index(None, "org_id", "created_at", "id"),
        Index(None, "mcp_server_id"),
    )

    id: str = key()
    name: str = words()
    tool_type: str = words()
    source_type: str = words("python")
    source_code: str | None = words(nullable=True)
    description: str | None = words(nullable=True)
    json_schema: JsonObject = document()
    args_json_schema: JsonObject | None = document(nullable=True)
    effect: str = words("external")
    idempotent: bool = flag()
    pip_requirements: list[JsonObject] | None = document(nullable=True)
    npm_requirements: list[JsonObject] | None = document(nullable=True)
    sandbox: JsonObject = document("{}")
    mcp_server_id: str | None = refers("mcp_servers.id", nullable=True)
    mcp: JsonObject | None = document(nullable=True)
    tags: list[str] = strings()
    return_char_limit: int = count(50000)
    default_requires_approval: bool | None = Field(default=None)
    enable_parallel_execution: bool = flag()
    metadata_: JsonObject = document("{}")
    created_by_id: str | None = words(nullable=True)
    last_updated_by_id: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)
    updated_at: datetime = instant(now=True)


class ToolRun(Owned, table=True):
    """A tool that somebody runs by hand.

    Both are ciphertext. `request` holds source, arguments and secrets in one, until a worker takes it; `result` what
    came back, until it is read.
    """

    __tablename__ = "tool_runs"
    __table_args__ = (Index(None, "org_id"), Index(None, "created_at"))

    id: str = key()
    request: str | None = words(nullable=True)
    result: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)


class ToolPolicy(Owned, table=True):
    """Whether calls of some tools may run, must be asked about, or may not: the most specific row decides.

    `tool_name` may hold `*`; `arguments` are patterns by name; `agent_id` and `tag` narrow whose calls are meant.
    """

    __tablename__ = "tool_policies"
    __table_args__ = (Index(None, "org_id", "created_at", "id"), Index(None, "agent_id"))

    id: str = key()
    action: str = words()
    tool_name: str = words("*")
    arguments: JsonObject = document("{}")
    agent_id: str | None = refers("agents.id", nullable=True)
    tag: str | None = words(nullable=True)
    reason: str | None = words(nullable=True)
    timeout_seconds: int | None = count(None, nullable=True)
    on_timeout: str = words("deny")
    created_by_id: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)
