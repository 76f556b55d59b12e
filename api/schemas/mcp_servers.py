"""MCP servers on the wire. Secrets come in and never go out: where one is stored, a mask stands for it."""

from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, Discriminator, Field, SecretStr, Tag

from api.responses import timestamp
from api.schemas.common import Body, FreeJson, Line, Shape
from api.schemas.tools import print_tool
from o.domain.json import JsonObject
from o.keyring import Keyring
from o.store.mcp_records import McpServerRecord
from o.store.records import ToolRecord
from o.store.repositories.mcp_servers import secrets_context

# Shown instead of a stored secret. Sent back in a change, it leaves the secret as it is.
MASK = "********"


def _visible(value: SecretStr) -> SecretStr:
    if not all(" " <= character <= "~" for character in value.get_secret_value()):
        raise ValueError("may hold visible ASCII characters and spaces only; was it cut or copied with its label?")
    return value


def _storable(value: SecretStr) -> SecretStr:
    if "\0" in value.get_secret_value():
        raise ValueError("must not contain NUL characters; remove them")
    return value


ServerName = Annotated[
    str, Field(pattern=r"^[^\x00-\x1f\x7f/]{1,100}$", description="Name of the server; its tools are tagged with it.")
]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
HeaderValue = Annotated[SecretStr, Field(max_length=8000), AfterValidator(_visible)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")]
VariableValue = Annotated[SecretStr, Field(max_length=100_000), AfterValidator(_storable)]
Argument = Annotated[Line, Field(description="One argument of the command; nothing expands it.")]
Host = Annotated[str, Field(pattern=r"^[^\s\x00]{1,300}$", description="A host, as in a tool's `network`.")]


class StdioConfig(Body):
    """A program that runs in the sandbox and talks over stdin and stdout. `allowed_hosts` is O's own."""

    mcp_server_type: Literal["stdio"] = "stdio"
    command: Annotated[Line, Field(min_length=1)]
    args: Annotated[list[Argument], Field(max_length=100, default_factory=list)]
    env: Annotated[dict[VariableName, VariableValue], Field(max_length=100)] | None = None
    allowed_hosts: Annotated[list[Host], Field(max_length=100)] | None = None


class _HttpConfig(Body):
    server_url: Annotated[str, Field(min_length=1, max_length=2000)]
    auth_header: HeaderName | None = None
    auth_token: HeaderValue | None = None
    custom_headers: Annotated[dict[HeaderName, HeaderValue], Field(max_length=50)] | None = None


class SseConfig(_HttpConfig):
    """A server of the older HTTP transport."""

    mcp_server_type: Literal["sse"] = "sse"


class StreamableConfig(_HttpConfig):
    """A server of streamable HTTP."""

    mcp_server_type: Literal["streamable_http"] = "streamable_http"


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        said = value.get("mcp_server_type")
        return str(said) if said is not None else ("stdio" if "command" in value else "streamable_http")
    return str(getattr(value, "mcp_server_type", ""))


Config = Annotated[
    Annotated[StdioConfig, Tag("stdio")]
    | Annotated[SseConfig, Tag("sse")]
    | Annotated[StreamableConfig, Tag("streamable_http")],
    Discriminator(_kind),
]


class CreateMcpServer(Body):
    """A server to make."""

    server_name: ServerName
    config: Config


class UpdateMcpServer(Body):
    """Changes to a server. Secrets that `config` leaves out stay, while it goes on naming the same server."""

    server_name: ServerName | None = None
    config: Config


class RunMcpTool(Body):
    """Arguments of a call by hand."""

    args: FreeJson = Field(default_factory=dict)


class McpServer(Shape):
    """An MCP server. The last four are O's own: how it is, and until when it is left alone after many failures."""

    id: str
    server_name: str
    mcp_server_type: Literal["stdio", "sse", "streamable_http"]
    last_synced_at: datetime | None
    last_error: str | None
    failures: int
    paused_until: datetime | None


class Refreshed(Shape):
    """Names of the tools that came, changed and went."""

    added: list[str]
    updated: list[str]
    deleted: list[str]


def stored_config(config: StdioConfig | SseConfig | StreamableConfig) -> JsonObject:
    """What of a configuration is no secret."""
    secret = {"mcp_server_type", "env", "auth_token", "custom_headers"}
    return config.model_dump(mode="json", exclude=secret, exclude_none=True)


def stored_secrets(config: StdioConfig | SseConfig | StreamableConfig, before: JsonObject) -> JsonObject:
    """The secrets of a configuration: those it gives, and for a mask or where it says nothing, those of before."""
    if isinstance(config, StdioConfig):
        return _merged({"env": config.env}, config.model_fields_set, before)
    given = {"auth_token": config.auth_token, "custom_headers": config.custom_headers}
    return _merged(given, config.model_fields_set, before)


def opened_secrets(server: McpServerRecord, keyring: Keyring) -> JsonObject:
    """A server's stored secrets. Raises KeyUnusable."""
    if server.secrets is None:
        return {}
    opened: JsonObject = orjson.loads(keyring.decrypt(server.secrets, context=secrets_context(server.id)))
    return opened


def print_server(server: McpServerRecord, secrets: JsonObject) -> JsonObject:
    """A server as the wire has it, flat, with masks for secrets."""
    shown: JsonObject = {"id": server.id, "server_name": server.server_name, "mcp_server_type": server.server_type}
    if server.server_type == "stdio":
        shown |= {
            "command": server.config["command"],
            "args": server.config.get("args", []),
            "env": _masked(secrets.get("env")),
            "allowed_hosts": server.config.get("allowed_hosts"),
        }
    else:
        shown |= {
            "server_url": server.config["server_url"],
            "auth_header": server.config.get("auth_header"),
            "auth_token": MASK if secrets.get("auth_token") else None,
            "custom_headers": _masked(secrets.get("custom_headers")),
            "signed_in": server.oauth is not None,
        }
    return shown | {
        "last_synced_at": timestamp(server.last_synced_at),
        "last_error": server.last_error,
        "failures": server.failures,
        "paused_until": timestamp(server.open_until),
        "created_by_id": server.created_by_id,
        "last_updated_by_id": server.last_updated_by_id,
        "created_at": timestamp(server.created_at),
        "updated_at": timestamp(server.updated_at),
    }


def print_mcp_tool(tool: ToolRecord) -> JsonObject:
    """A tool of a server, with what was pinned of it and how it has drifted since."""
    pinned = tool.mcp or {}
    told = {"name": pinned.get("name"), "annotations": pinned.get("annotations"), "problem": pinned.get("problem")}
    return print_tool(tool) | {"mcp_server_id": tool.mcp_server_id, "mcp": told | {"drift": pinned.get("drift")}}


def _merged(given: dict[str, Any], said: set[str], before: JsonObject) -> JsonObject:
    merged: JsonObject = {}
    for name, value in given.items():
        known = before.get(name)
        if name not in said:
            merged[name] = known
        elif isinstance(value, dict):
            old = known if isinstance(known, dict) else {}
            merged[name] = {key: _kept(secret, old.get(key)) for key, secret in value.items()}
        elif value is not None:
            merged[name] = _kept(value, known)
    return {name: value for name, value in merged.items() if value}


def _kept(secret: SecretStr, before: Any) -> Any:
    value = secret.get_secret_value()
    return before if value == MASK and before is not None else value


def _masked(values: Any) -> JsonObject | None:
    return dict.fromkeys(values, MASK) if isinstance(values, dict) else None
