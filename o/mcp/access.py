"""How one MCP server is reached: its address or command, and the secrets that go with every connection."""

import json
from dataclasses import dataclass, field

from o.domain.json import JsonObject
from o.domain.redaction import Redaction
from o.errors import McpFailure
from o.keyring import Keyring
from o.store.mcp_records import McpServerRecord, ServerType
from o.store.repositories.mcp_servers import secrets_context


@dataclass(frozen=True, slots=True)
class Access:
    """What a connection is made of.

    Attributes:
        secrets: values by name that must not come back in an answer.
        hosts: what a program in the sandbox may reach.
    """

    server_id: str
    name: str
    kind: ServerType
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    hosts: tuple[str, ...] = ()
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def redacted(self, text: str) -> str:
        """The text without the secrets that this connection was made with."""
        return Redaction(self.secrets).text(text)


def access_to(server: McpServerRecord, keyring: Keyring | None, *, token: str | None = None) -> Access:
    """Open a server's secrets.

    Args:
        token: of a sign-in; it goes before a configured one.

    Raises:
        KeyUnusable: they were encrypted with another key. McpFailure: there are some, and this process has no key.
    """
    secrets = _opened(server, keyring)
    if server.server_type == "stdio":
        environment: dict[str, str] = secrets.get("env") or {}
        return Access(
            server.id,
            server.server_name,
            server.server_type,
            command=(str(server.config["command"]), *map(str, server.config.get("args") or ())),
            environment=environment,
            hosts=tuple(server.config.get("allowed_hosts") or ()),
            secrets=environment,
        )
    headers: dict[str, str] = dict(secrets.get("custom_headers") or {})
    if configured := secrets.get("auth_token"):
        headers |= _authorization(server.config.get("auth_header"), configured)
    if token is not None:
        headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        headers["Authorization"] = f"Bearer {token}"
    return Access(
        server.id,
        server.server_name,
        server.server_type,
        url=str(server.config["server_url"]),
        headers=headers,
        secrets={name: _without_scheme(value) for name, value in headers.items()},
    )


def _opened(server: McpServerRecord, keyring: Keyring | None) -> JsonObject:
    if server.secrets is None:
        return {}
    if keyring is None:
        raise McpFailure(f"the secrets of the MCP server '{server.server_name}' need a key file (O_KEY_FILE)")
    opened: JsonObject = json.loads(keyring.decrypt(server.secrets, context=secrets_context(server.id)))
    return opened


def _authorization(header: str | None, token: str) -> dict[str, str]:
    name = header or "Authorization"
    if name.lower() == "authorization" and " " not in token:
        token = f"Bearer {token}"
    return {name: token}


def _without_scheme(value: str) -> str:
    """The secret part of a header: a server that repeats it may leave the scheme out."""
    scheme, _, rest = value.partition(" ")
    return rest if rest and scheme.lower() in ("bearer", "basic", "token") else value
