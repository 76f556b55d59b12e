"""An MCP server on the official SDK, over streamable HTTP or SSE, whose tools and manners tests can change."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.emulators.serving import serving


def tool(name: str, description: str = "", **more: Any) -> Tool:
    return Tool(name=name, description=description, input_schema={"type": "object", "properties": {}, **more})


ECHO = Tool(
    name="echo",
    description="Say it again.",
    input_schema={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
)


@dataclass
class Emulator:
    """What the server offers and asks for, and what it was asked.

    Attributes:
        answer: what each call is answered with; the default repeats the arguments.
        token: the bearer token that requests must have; None for none.
        hang: methods that are never answered.
    """

    url: str = ""
    tools: list[Tool] = field(default_factory=lambda: [ECHO])
    answer: CallToolResult | None = None
    token: str | None = None
    challenge: str = "Bearer"
    hang: set[str] = field(default_factory=set)
    calls: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def streamable(self) -> str:
        return f"{self.url}/mcp"

    @property
    def sse(self) -> str:
        return f"{self.url}/sse"


def _server(emulator: Emulator) -> Server[Any]:
    async def listed(context: Any, params: Any) -> ListToolsResult:
        if "tools/list" in emulator.hang:
            await asyncio.sleep(3600)
        return ListToolsResult(tools=list(emulator.tools))

    async def called(context: Any, params: CallToolRequestParams) -> CallToolResult:
        emulator.calls.append({"name": params.name, "arguments": params.arguments})
        if "tools/call" in emulator.hang:
            await asyncio.sleep(3600)
        if emulator.answer is not None:
            return emulator.answer
        return CallToolResult(content=[TextContent(text=json.dumps(params.arguments))])

    return Server("emulated", on_list_tools=listed, on_call_tool=called)


def application(emulator: Emulator) -> ASGIApp:
    """The server as an application: /mcp is streamable HTTP, /sse is SSE."""
    sse = SseServerTransport("/messages/")

    async def streamable(scope: Scope, receive: Receive, send: Send) -> None:
        # One manager for each request: stateless, and nothing is left over.
        manager = StreamableHTTPSessionManager(_server(emulator), stateless=True, json_response=True)
        async with manager.run():
            await manager.handle_request(scope, receive, send)

    async def streamed(request: Request) -> Response:
        server = _server(emulator)
        async with sse.connect_sse(request.scope, request.receive, request._send) as streams:
            reading, writing = streams
            await server.run(reading, writing, server.create_initialization_options())
        return Response()

    inner = Starlette(
        routes=[
            Route("/sse", streamed),
            Mount("/messages/", app=sse.handle_post_message),
            Mount("/mcp", app=streamable),
        ]
    )

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            emulator.headers.append(headers)
            protected = scope["path"] in ("/mcp", "/sse")
            if protected and emulator.token is not None and headers.get("authorization") != f"Bearer {emulator.token}":
                refusal = Response("no", 401, {"WWW-Authenticate": emulator.challenge})
                await refusal(scope, receive, send)
                return
            if scope["path"] == "/mcp":
                scope = {**scope, "path": "/mcp/"}
        await inner(scope, receive, send)

    return outer


@contextmanager
def running() -> Iterator[Emulator]:
    """An emulator that listens until the block ends."""
    emulator = Emulator()
    with serving(application(emulator)) as url:
        emulator.url = url
        yield emulator
