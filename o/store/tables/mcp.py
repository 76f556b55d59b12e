"""MCP servers an organisation has named, and sign-ins to them that are under way."""

from datetime import datetime

from sqlalchemy import Index

from o.domain.json import JsonObject
from o.store.base import Owned, count, document, instant, key, refers, words


class McpServer(Owned, table=True):
    """A server of tools. `secrets` (headers, tokens, environment) and `oauth` are ciphertext, bound to the row.

    `failures` in a row and `open_until` are the circuit breaker: until then the server is not asked.
    """

    __tablename__ = "mcp_servers"
    __table_args__ = (
        Index(None, "org_id", "server_name", unique=True),
        Index(None, "org_id", "created_at", "id"),
    )

    id: str = key()
    server_name: str = words()
    server_type: str = words()
    config: JsonObject = document("{}")
    secrets: str | None = words(nullable=True)
    oauth: str | None = words(nullable=True)
    failures: int = count(0)
    open_until: datetime | None = instant(nullable=True)
    last_synced_at: datetime | None = instant(nullable=True)
    last_error: str | None = words(nullable=True)
    created_by_id: str | None = words(nullable=True)
    last_updated_by_id: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)
    updated_at: datetime = instant(now=True)


class McpSignIn(Owned, table=True):
    """One OAuth sign-in, from the link a person opens to the code the server sends back; `data` is ciphertext."""

    __tablename__ = "mcp_sign_ins"
    __table_args__ = (Index(None, "state", unique=True), Index(None, "server_id"), Index(None, "org_id"))

    id: str = key()
    server_id: str = refers("mcp_servers.id")
    state: str = words()
    status: str = words("pending")
    data: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)
    expires_at: datetime = instant()
