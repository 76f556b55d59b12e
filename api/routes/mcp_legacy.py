"""MCP servers by name, as clients of before `/v1/mcp-servers` speak of them: the same servers, in the older shapes."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import Field

from api.deps import Asking, Caller, JsonRoute
from api.errors import documented
from api.responses import Json
from api.routes.mcp_servers import create_mcp_server
from api.schemas.common import Body, Shape
from api.schemas.mcp_servers import (
    CreateMcpServer,
    HeaderName,
    HeaderValue,
    ServerName,
    SseConfig,
    StdioConfig,
    StreamableConfig,
    opened_secrets,
    print_server,
)
from api.schemas.tools import Tool, print_tool
from o.domain.json import JsonObject
from o.errors import InvalidArgument, NotFound
from o.store.mcp_records import McpServerRecord

router = APIRouter(prefix="/v1/tools/mcp/servers", tags=["mcp-servers"], route_class=JsonRoute)

ServerPath = Annotated[str, Path(min_length=1, max_length=100, description="Name of the MCP server.")]
ToolPath = Annotated[str, Path(min_length=1, max_length=200, description="Name of the tool, as its server has it.")]

# What the newer shape says beside the configuration.
_CONFIG = ("server_url", "auth_header", "auth_token", "custom_headers")


class OlderServer(Body):
    """A server to make: `stdio_config` for a program, the other fields for one that is reached over HTTP."""

    server_name: ServerName
    type: Literal["stdio", "sse", "streamable_http"] = "streamable_http"
    stdio_config: StdioConfig | None = None
    server_url: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    auth_header: HeaderName | None = None
    auth_token: HeaderValue | None = None
    custom_headers: Annotated[dict[HeaderName, HeaderValue], Field(max_length=50)] | None = None

    def newer(self) -> CreateMcpServer:
        """The same in the newer shape. Raises InvalidArgument where what its type needs is missing."""
        if self.type == "stdio":
            if self.stdio_config is None:
                raise InvalidArgument("stdio_config: a server of type stdio needs one, with command and args")
            return CreateMcpServer(server_name=self.server_name, config=self.stdio_config)
        if self.server_url is None:
            raise InvalidArgument(f"server_url: a server of type {self.type} needs one")
        kind = SseConfig if self.type == "sse" else StreamableConfig
        config = kind(
            server_url=self.server_url,
            auth_header=self.auth_header,
            auth_token=self.auth_token,
            custom_headers=self.custom_headers,
        )
        return CreateMcpServer(server_name=self.server_name, config=config)


class OlderConfig(Shape):
    """A server, with masks for secrets."""

    server_name: str
    type: Literal["stdio", "sse", "streamable_http"]


class OfferedTool(Shape):
    """A tool as its server describes it, and whether a model can be told of it."""

    name: str
    description: str | None
    input_schema: Annotated[dict[str, Any], Field(alias="inputSchema")]
    health: dict[str, Any] | None


@router.get("", operation_id="list_mcp_servers", response_model=dict[str, OlderConfig], responses=documented())
async def list_servers(caller: Asking) -> Json:
    """All MCP servers, by name."""
    async with caller.transaction() as tx:
        servers = await tx.mcp_servers.list()
    return Json({server.server_name: _printed(caller, server) for server in servers})


@router.put("", operation_id="add_mcp_server", response_model=list[OlderConfig], responses=documented(409))
async def add_server(body: OlderServer, caller: Asking) -> Json:
    """Make an MCP server and list its tools. Answers with all servers."""
    await create_mcp_server(body.newer(), caller)
    return await _all(caller)


@router.delete(
    "/{mcp_server_name}",
    operation_id="delete_mcp_server",
    response_model=list[OlderConfig],
    responses=documented(404),
)
async def delete_server(mcp_server_name: ServerPath, caller: Asking) -> Json:
    """Delete an MCP server with its secrets and its tools. Answers with those that are left."""
    async with caller.transaction() as tx:
        await tx.mcp_servers.delete((await tx.mcp_servers.by_name(mcp_server_name)).id)
    return await _all(caller)


@router.get(
    "/{mcp_server_name}/tools",
    operation_id="list_mcp_tools_by_server",
    response_model=list[OfferedTool],
    responses=documented(404),
)
async def list_tools(mcp_server_name: ServerPath, caller: Asking) -> Json:
    """The tools of a server as they are pinned."""
    async with caller.transaction() as tx:
        server = await tx.mcp_servers.by_name(mcp_server_name)
        pinned = [tool.mcp or {} for tool in await tx.mcp_servers.tools(server.id)]
    return Json(
        [
            {
                "name": tool.get("name"),
                "description": tool.get("description"),
                "inputSchema": tool.get("schema") or {},
                "health": _health(tool.get("problem")),
            }
            for tool in pinned
        ]
    )


@router.post(
    "/{mcp_server_name}/{mcp_tool_name}",
    operation_id="add_mcp_tool",
    response_model=Tool,
    responses=documented(404),
)
async def add_tool(mcp_server_name: ServerPath, mcp_tool_name: ToolPath, caller: Asking) -> Json:
    """The tool that agents can be given: all tools of a server are there from its making."""
    async with caller.transaction() as tx:
        server = await tx.mcp_servers.by_name(mcp_server_name)
        for tool in await tx.mcp_servers.tools(server.id):
            if (tool.mcp or {}).get("name") == mcp_tool_name:
                return Json(print_tool(tool))
    raise NotFound(f"the MCP server '{mcp_server_name}' has no tool '{mcp_tool_name}': `o mcp refresh` lists it anew")


async def _all(caller: Caller) -> Json:
    async with caller.transaction() as tx:
        return Json([_printed(caller, server) for server in await tx.mcp_servers.list()])


def _printed(caller: Caller, server: McpServerRecord) -> JsonObject:
    shown = print_server(server, opened_secrets(server, caller.parts.keyring))
    named: JsonObject = {"server_name": server.server_name, "type": server.server_type}
    if server.server_type == "stdio":
        program = {name: shown[name] for name in ("command", "args", "env")}
        return named | {"stdio_config": named | program}
    return named | {name: shown[name] for name in _CONFIG}


def _health(problem: str | None) -> JsonObject:
    return {"status": "INVALID", "reasons": [problem]} if problem else {"status": "STRICT_COMPLIANT", "reasons": []}
