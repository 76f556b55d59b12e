"""What crosses Temporal about MCP servers: ids, and how it went. Names, addresses and secrets stay in the rows."""

from o.contracts.turn import Contract


class McpSyncInput(Contract):
    """A server whose tools are to be listed. `accept` takes changes; without it they are only marked."""

    org_id: str
    server_id: str
    accept: bool = False


class McpSynced(Contract):
    """How a listing went. `code` is of what failed, None if nothing did; the words are on the server's row."""

    code: str | None = None
    added: int = 0
    updated: int = 0
    deleted: int = 0
    drifted: int = 0
    skipped: int = 0


class McpSignInInput(Contract):
    """A stored sign-in at a server."""

    org_id: str
    sign_in_id: str


class McpSignedIn(Contract):
    """How a part of a sign-in went: None, or the code and our words of what failed."""

    code: str | None = None
    message: str | None = None
