"""Rows about MCP servers as frozen values."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from o.domain.json import JsonObject

ServerType = Literal["stdio", "sse", "streamable_http"]
SignInStatus = Literal["pending", "authorized", "done", "failed"]


@dataclass(frozen=True, slots=True)
class McpServerRecord:
    """A row of `mcp_servers`; `secrets` and `oauth` are ciphertext.

    Attributes:
        failures: in a row.
        open_until: until then nobody is let through to the server.
    """

    id: str
    org_id: str
    server_name: str
    server_type: ServerType
    config: JsonObject
    secrets: str | None = field(repr=False)
    oauth: str | None = field(repr=False)
    failures: int
    open_until: datetime | None
    last_synced_at: datetime | None
    last_error: str | None
    created_by_id: str | None
    last_updated_by_id: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class McpSignInRecord:
    """A row of `mcp_sign_ins`; `data` is ciphertext, the rest of it tells nothing that opens anything."""

    id: str
    org_id: str
    server_id: str
    state: str = field(repr=False)
    status: SignInStatus
    data: str | None = field(repr=False)
    created_at: datetime
    expires_at: datetime
