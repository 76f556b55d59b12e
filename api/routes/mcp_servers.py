"""MCP servers: made, listed, read, changed, deleted; their tools, listed anew on demand and run by hand."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.deps import Asking, Caller, JsonRoute
from api.errors import documented
from api.mcp_sync import raise_failure, synced
from api.responses import Json
from api.routes.params import AgentQuery
from api.schemas.mcp_servers import (
    MASK,
    Config,
    CreateMcpServer,
    McpServer,
    Refreshed,
    RunMcpTool,
    StdioConfig,
    UpdateMcpServer,
    opened_secrets,
    print_mcp_tool,
    print_server,
    stored_config,
    stored_secrets,
)
from api.schemas.tools import ExecutionResult, Tool
from api.tool_requests import print_execution
from api.tool_runs import run_by_hand
from o import ids
from o.domain.json import JsonObject
from o.domain.tool_run import ToolRunRequest
from o.errors import InvalidArgument
from o.ids import pattern
from o.store.repositories.mcp_servers import secrets_context

router = APIRouter(prefix="/v1/mcp-servers", tags=["mcp-servers"], route_class=JsonRoute)

ServerPath = Annotated[str, Path(pattern=pattern("mcp_server"), description="Id of the MCP server.")]
ToolPath = Annotated[str, Path(pattern=pattern("tool"), description="Id of the tool.")]


@router.get("/", operation_id="mcp_list_mcp_servers", response_model=list[McpServer], responses=documented())
async def list_mcp_servers(caller: Asking) -> Json:
    """All MCP servers of the organisation, oldest first."""
    async with caller.transaction() as tx:
        servers = await tx.mcp_servers.list()
    return Json([print_server(server, opened_secrets(server, caller.parts.keyring)) for server in servers])


@router.post("/", operation_id="mcp_create_mcp_server", response_model=McpServer, responses=documented(409))
async def create_mcp_server(body: CreateMcpServer, caller: Asking) -> Json:
    """Make an MCP server and list its tools. One that cannot be reached is made all the same: `last_error` says why."""
    _check_url(caller, body.config)
    server_id = ids.new("mcp_server")
    secrets = stored_secrets(body.config, {})
    async with caller.transaction() as tx:
        await tx.mcp_servers.add(
            {
                "id": server_id,
                "server_name": body.server_name,
                "server_type": body.config.mcp_server_type,
                "config": stored_config(body.config),
                "secrets": _sealed(caller, server_id, secrets),
                "created_by_id": caller.user_id,
                "last_updated_by_id": caller.user_id,
            }
        )
    await synced(caller, server_id, accept=True)
    async with caller.transaction() as tx:
        return Json(print_server(await tx.mcp_servers.get(server_id), secrets))


@router.get(
    "/{mcp_server_id}", operation_id="mcp_retrieve_mcp_server", response_model=McpServer, responses=documented(404)
)
async def retrieve_mcp_server(mcp_server_id: ServerPath, caller: Asking) -> Json:
    """One MCP server."""
    async with caller.transaction() as tx:
        server = await tx.mcp_servers.get(mcp_server_id)
    return Json(print_server(server, opened_secrets(server, caller.parts.keyring)))


@router.patch(
    "/{mcp_server_id}",
    operation_id="mcp_update_mcp_server",
    response_model=McpServer,
    responses=documented(404, 409),
)
async def update_mcp_server(mcp_server_id: ServerPath, body: UpdateMcpServer, caller: Asking) -> Json:
    """Change an MCP server and look at its tools again: those that differ are marked, and taken by a refresh only."""
    _check_url(caller, body.config)
    async with caller.transaction() as tx:
        before = await tx.mcp_servers.lock(mcp_server_id)
        config = stored_config(body.config)
        elsewhere = _target(before.server_type, before.config) != _target(body.config.mcp_server_type, config)
        known = opened_secrets(before, caller.parts.keyring)
        if elsewhere:
            _check_given_again(body.config, known)
        secrets = stored_secrets(body.config, {} if elsewhere else known)
        changes: JsonObject = {
            "server_type": body.config.mcp_server_type,
            "config": config,
            "secrets": _sealed(caller, mcp_server_id, secrets),
            "failures": 0,
            "open_until": None,
            "last_error": None,
            "last_updated_by_id": caller.user_id,
        }
        if elsewhere:
            changes["oauth"] = None
        if body.server_name is not None and body.server_name != before.server_name:
            changes["server_name"] = body.server_name
            await tx.mcp_servers.retag(mcp_server_id, before.server_name, body.server_name)
        await tx.mcp_servers.update(mcp_server_id, changes)
    await synced(caller, mcp_server_id, accept=False)
    async with caller.transaction() as tx:
        return Json(print_server(await tx.mcp_servers.get(mcp_server_id), secrets))


@router.delete("/{mcp_server_id}", operation_id="mcp_delete_mcp_server", status_code=204, responses=documented(404))
async def delete_mcp_server(mcp_server_id: ServerPath, caller: Asking) -> Response:
    """Delete an MCP server with its secrets and its tools; agents lose them."""
    async with caller.transaction() as tx:
        await tx.mcp_servers.delete(mcp_server_id)
    return Response(status_code=204)


@router.get(
    "/{mcp_server_id}/tools",
    operation_id="mcp_list_mcp_tools_by_server",
    response_model=list[Tool],
    responses=documented(404),
)
async def list_mcp_tools(mcp_server_id: ServerPath, caller: Asking) -> Json:
    """The tools of a server as they are pinned. `mcp.drift` tells what the server says otherwise since."""
    async with caller.transaction() as tx:
        await tx.mcp_servers.get(mcp_server_id)
        return Json([print_mcp_tool(tool) for tool in await tx.mcp_servers.tools(mcp_server_id)])


@router.get(
    "/{mcp_server_id}/tools/{tool_id}",
    operation_id="mcp_retrieve_mcp_tool",
    response_model=Tool,
    responses=documented(404),
)
async def retrieve_mcp_tool(mcp_server_id: ServerPath, tool_id: ToolPath, caller: Asking) -> Json:
    """One tool of a server."""
    async with caller.transaction() as tx:
        return Json(print_mcp_tool(await tx.mcp_servers.tool(mcp_server_id, tool_id)))


@router.post(
    "/{mcp_server_id}/tools/{tool_id}/run",
    operation_id="mcp_run_mcp_tool",
    response_model=ExecutionResult,
    responses=documented(404),
)
async def run_mcp_tool(
    mcp_server_id: ServerPath, tool_id: ToolPath, body: RunMcpTool, caller: Asking, request: Request
) -> Json:
    """Call a tool once. A server that fails is a result with status error: a retry might act twice."""
    async with caller.transaction() as tx:
        tool = await tx.mcp_servers.tool(mcp_server_id, tool_id)
    asked = ToolRunRequest(
        tool_id=tool.id,
        tool_type=tool.tool_type,
        function=tool.name,
        arguments=body.args,
        return_char_limit=tool.return_char_limit,
    )
    return Json(print_execution(await run_by_hand(caller, request, asked)))


@router.patch(
    "/{mcp_server_id}/refresh",
    operation_id="mcp_refresh_mcp_server_tools",
    response_model=Refreshed,
    responses=documented(404, 408, 502),
)
async def refresh_mcp_server(mcp_server_id: ServerPath, caller: Asking, agent_id: AgentQuery = None) -> Json:
    """List a server's tools and take what it says now: this is how a changed tool is accepted.

    408 the server is too slow, 502 it cannot be reached or used. `agent_id` is taken and changes nothing.
    """
    async with caller.transaction() as tx:
        await tx.mcp_servers.get(mcp_server_id)
        before = {tool.name: tool.mcp for tool in await tx.mcp_servers.tools(mcp_server_id)}
    outcome = await synced(caller, mcp_server_id, accept=True)
    if outcome.code is not None:
        await raise_failure(caller, mcp_server_id, outcome.code)
    async with caller.transaction() as tx:
        after = {tool.name: tool.mcp for tool in await tx.mcp_servers.tools(mcp_server_id)}
    changed = [name for name in before.keys() & after.keys() if _pin(before[name]) != _pin(after[name])]
    return Json(
        {
            "added": sorted(after.keys() - before.keys()),
            "updated": sorted(changed),
            "deleted": sorted(before.keys() - after.keys()),
        }
    )


def _pin(mcp: JsonObject | None) -> object:
    return (mcp or {}).get("pin")


def _target(kind: str, config: JsonObject) -> tuple[object, ...]:
    """What a server is, as against how it is spoken to."""
    return kind == "stdio", config.get("server_url"), config.get("command"), config.get("args", [])


def _check_given_again(config: Config, known: JsonObject) -> None:
    """Else whoever may change a server could have its secrets sent to one of their own."""
    said = config.model_fields_set
    left_out = [name for name in known if name not in said]
    masked = any(MASK in str(value) for value in stored_secrets(config, {}).values())
    if left_out or (known and masked):
        names = ", ".join(sorted(known))
        raise InvalidArgument(f"config: stored secrets are sent to no other server; give {names} again (or null)")


def _check_url(caller: Caller, config: Config) -> None:
    if isinstance(config, StdioConfig):
        return
    try:
        caller.parts.guard.check(config.server_url)
    except InvalidArgument as error:
        raise InvalidArgument(f"config.server_url: {error.message}") from None


def _sealed(caller: Caller, server_id: str, secrets: JsonObject) -> str | None:
    if not secrets:
        return None
    return caller.parts.keyring.encrypt(orjson.dumps(secrets).decode(), context=secrets_context(server_id))
