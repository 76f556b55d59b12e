"""Sessions of the official SDK, held to deadlines. The only module that speaks the protocol."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, TypeVar

import anyio
import httpx2
from mcp.client._transport import TransportStreams
from mcp.client.session import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    REQUEST_TIMEOUT,
    UNSUPPORTED_PROTOCOL_VERSION,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    InputRequiredResult,
    PaginatedRequestParams,
    Tool,
)
from pydantic import TypeAdapter, ValidationError

from o.domain.json import JsonObject
from o.domain.mcp_pins import MAX_TOOLS, Offered, nameable, storable
from o.errors import McpSignInNeeded, McpTimeout, McpUnreachable, ProjectError
from o.guard.transport import denied_in
from o.mcp.access import Access
from o.mcp.base import Conversation, Dialer, Listing, McpResult
from o.mcp.http import Notes, http_client
from o.mcp.results import result_of
from o.mcp.stdio import stdio_streams
from o.sandbox.base import Limits

# The SDK logs what servers send, with tracebacks that hold it.
for _name in ("mcp.client", "mcp.shared"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

Answer = TypeVar("Answer")

_US = Implementation(name="o", version=version("o"))
_MOST_PAGES = 50
# Errors the SDK makes itself when there is no answer.
_BROKEN = (CONNECTION_CLOSED, PARSE_ERROR, REQUEST_TIMEOUT)
_CALLED: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(CallToolResult | InputRequiredResult)


async def converse(dialer: Dialer, access: Access, work: Callable[[Conversation], Awaitable[Answer]]) -> Answer:
    """`Dialer.converse`."""
    talk = _Talk(dialer, access)
    answers: list[Answer] = []

    async def done(conversation: Conversation) -> None:
        answers.append(await work(conversation))

    # In a task of its own: a cancellation from outside reaches it at every await, not at one only, so that no
    # goodbye to a server that does not listen can hold it up.
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(talk.hold, done)
    if answers:
        return answers[0]
    raise talk.failure or McpUnreachable(f"the MCP server '{access.name}' broke off")


class _Talk:
    """One conversation: where it is, until when, and what went wrong."""

    def __init__(self, dialer: Dialer, access: Access) -> None:
        self._dialer, self._access = dialer, access
        self._notes = Notes()
        self._scope = anyio.CancelScope()
        self._phase = "connecting"
        self.failure: ProjectError | None = None

    async def hold(self, work: Callable[[Conversation], Awaitable[None]]) -> None:
        """From connecting to closing; a failure is left in `failure`."""
        patience = self._dialer.patience
        ended = False
        try:
            with self._scope:
                self.enter("connecting", patience.connect)
                async with self._streams() as streams, ClientSession(*streams, client_info=_US) as session:
                    await _greet(session)
                    try:
                        await work(_Session(session, self))
                    except Exception as error:
                        self.failure = self._told(error)
                    ended = True
                    self.enter("closing", patience.close)
        except Exception as error:
            if not ended:
                self.failure = self._told(error)
        if self._scope.cancelled_caught and not ended:
            self.failure = McpTimeout(f"the MCP server '{self._access.name}' took too long ({self._phase})")

    def enter(self, phase: str, seconds: float) -> None:
        """Say what is done now and how long it may take."""
        self._phase = phase
        self._scope.deadline = anyio.current_time() + seconds

    @property
    def patience_to_list(self) -> float:
        return self._dialer.patience.list

    @property
    def refused(self) -> bool:
        """Whether there was a refusal below the protocol."""
        return self._notes.status is not None

    def redacted(self, text: str) -> str:
        return self._access.redacted(text)

    def unreachable(self, why: str) -> McpUnreachable:
        return McpUnreachable(f"the MCP server '{self._access.name}' {why}")

    @asynccontextmanager
    async def _streams(self) -> AsyncIterator[TransportStreams]:
        access, patience = self._access, self._dialer.patience
        if access.kind == "stdio":
            if self._dialer.sandbox is None:
                raise self.unreachable("is a program, and there is no sandbox here to run it in")
            async with self._dialer.egress(access.hosts) as egress:
                process = await self._dialer.sandbox.start(
                    access.command, access.environment, egress=egress, limits=Limits(wall=3600.0)
                )
                async with stdio_streams(process, self._notes) as program:
                    yield program
            return
        self._dialer.guard.check(access.url)
        silence = 3600.0  # the scope's deadline comes first

        def client(
            headers: dict[str, str] | None = None,
            timeout: httpx2.Timeout | None = None,
            auth: httpx2.Auth | None = None,
        ) -> httpx2.AsyncClient:
            return http_client(
                self._dialer.guard, self._notes, access.headers, read=silence, counts_get=access.kind == "sse"
            )

        if access.kind == "sse":
            async with sse_client(
                access.url, timeout=patience.connect, sse_read_timeout=silence, httpx_client_factory=client
            ) as streams:
                yield streams
        else:
            async with client() as http, streamable_http_client(access.url, http_client=http) as streams:
                yield streams

    def _told(self, error: BaseException) -> ProjectError:
        """An error in our words: what the libraries say may repeat what the server wrote."""
        leaves = list(_leaves(error))
        for leaf in leaves:
            if reason := denied_in(leaf):
                return self.unreachable(f"cannot be reached: {reason}")
            if isinstance(leaf, ProjectError):
                return leaf
        if self._notes.flooded:
            return self.unreachable("sends more than it may")
        if self._notes.challenge is not None or self._notes.status == 403:
            return McpSignInNeeded(
                f"the MCP server '{self._access.name}' wants a sign-in or another token "
                f"(status {self._notes.status}): see `o mcp connect`"
            )
        if self._notes.status is not None:
            return self.unreachable(f"answered with status {self._notes.status}")
        for leaf in leaves:
            if isinstance(leaf, MCPError) and leaf.code == CONNECTION_CLOSED and self._access.kind == "stdio":
                return self.unreachable(
                    f"is a program that ended ({self._phase}): does it start in the sandbox, which sees the system's "
                    "programs and no home folder?"
                )
            if isinstance(leaf, MCPError):
                return self.unreachable(f"refused ({self._phase}, error {leaf.code})")
            if isinstance(leaf, ValidationError | ValueError | RuntimeError):
                return self.unreachable(f"does not keep to the protocol ({self._phase})")
        kinds = ", ".join(sorted({type(leaf).__name__ for leaf in leaves}))
        return self.unreachable(f"cannot be reached ({kinds})")


class _Session:
    """`o.mcp.base.Conversation` over a session of the SDK."""

    def __init__(self, session: ClientSession, talk: _Talk) -> None:
        self._session, self._talk = session, talk

    async def tools(self) -> Listing:
        listed, cut = await self._listed()
        return Listing(tuple(_offered(tool) for tool in listed if nameable(tool.name)), cut)

    async def tool(self, name: str) -> Offered | None:
        listed, _ = await self._listed(name)
        return next((_offered(tool) for tool in listed if tool.name == name), None)

    async def call(self, name: str, arguments: JsonObject, *, deadline: float) -> McpResult:
        self._talk.enter("calling", deadline)
        try:
            # Not by `call_tool`: it would run the server's own schema over the answer, in this very thread, and a
            # hostile one never ends.
            answer = await self._session.send_request(
                CallToolRequest(params=CallToolRequestParams(name=name, arguments=arguments)), _CALLED
            )
        except MCPError as error:
            if error.code in _BROKEN or self._talk.refused:
                raise
            text = self._talk.redacted(str(storable(error.message[:10_000])))
            return McpResult(f"The MCP server refused the call (error {error.code}): {text}", "error")
        if isinstance(answer, InputRequiredResult):
            return McpResult("The MCP server asks for more input, which no agent gives.", "error")
        result = result_of(answer)
        return McpResult(self._talk.redacted(result.content), result.status, result.images)

    async def _listed(self, wanted: str | None = None) -> tuple[list[Tool], bool]:
        """The tools, page by page, and whether there are more than are taken; no further than to the wanted one."""
        self._talk.enter("listing its tools", self._talk.patience_to_list)
        tools: list[Tool] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await self._session.list_tools(params=PaginatedRequestParams(cursor=cursor))
            tools += page.tools
            if len(tools) > MAX_TOOLS:
                return tools[:MAX_TOOLS], True
            if any(tool.name == wanted for tool in page.tools) or page.next_cursor in (None, cursor):
                return tools, False
            cursor = page.next_cursor
        return tools, True


async def _greet(session: ClientSession) -> None:
    """The handshake that every server of today knows, and the probe of the next protocol where it is refused.

    Probing first would cost the older ones a request each time, and some of them hang on one they do not know.
    """
    try:
        await session.initialize()
    except MCPError as error:
        if error.code not in (METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION):
            raise
        await session.discover()


def _offered(tool: Tool) -> Offered:
    annotations = tool.annotations.model_dump(by_alias=True, mode="json", exclude_none=True) if tool.annotations else {}
    told: Any = storable({"title": tool.title, **annotations} if tool.title is not None else annotations)
    schema: Any = storable(tool.input_schema)
    return Offered(tool.name, str(storable(tool.description or "")), schema, told)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
