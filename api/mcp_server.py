"""O as an MCP server: the protocol, by the official SDK, for one request at a time.

Nothing is kept between requests, so any api process can serve any of them; each gets a server of its own, which knows
who is asking. Imported when the first client comes: the SDK takes 30 MB that most installations never need.
"""

import logging
from importlib.metadata import version
from typing import Any

from fastapi import Request
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool, ToolAnnotations
from starlette.types import Receive, Scope, Send

from api.deps import Caller
from api.mcp_tools import OFFERED, called
from o.errors import ProjectError

logging.getLogger("mcp.server").setLevel(logging.WARNING)  # it says of each request that a server was started

_INSTRUCTIONS = "Agents that remember. Find one with list_agents, talk to it with send_message."
_HERE = ("127.0.0.1", "localhost", "[::1]")
_TOOLS = ListToolsResult(
    tools=[
        Tool(
            name=tool.name,
            description=tool.description,
            input_schema=tool.schema,
            annotations=ToolAnnotations(read_only_hint=tool.read_only, open_world_hint=False),
        )
        for tool in OFFERED.values()
    ]
)


async def serve(caller: Caller, keyed: bool, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request.

    Args:
        keyed: whether nobody comes in without a key. Else only pages and programs of this machine may: the browser on
            it would let a page in whose name somebody else leads here (DNS rebinding).
    """
    request = Request(scope)

    async def listed(context: Any, params: Any) -> ListToolsResult:
        return _TOOLS

    async def answered(context: Any, params: CallToolRequestParams) -> CallToolResult:
        try:
            text = await called(caller, request, params.name, params.arguments or {})
        except ProjectError as error:
            return CallToolResult(content=[TextContent(text=f"Error: {error.message}")], is_error=True)
        return CallToolResult(content=[TextContent(text=text)])

    server: Server[Any] = Server(
        "o", version=version("o"), instructions=_INSTRUCTIONS, on_list_tools=listed, on_call_tool=answered
    )
    manager = StreamableHTTPSessionManager(
        server,
        json_response=True,
        stateless=True,
        security_settings=TransportSecuritySettings(
            enable_dns_rebinding_protection=not keyed,
            allowed_hosts=[*_HERE, *(f"{host}:*" for host in _HERE)],
            allowed_origins=[
                origin for host in _HERE for origin in (f"http://{host}", f"http://{host}:*", f"https://{host}:*")
            ],
        ),
    )
    async with manager.run():
        await manager.handle_request(scope, receive, send)
