"""Conversations with MCP servers: what they bring, and what servers that mean harm can do to them."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from mcp_types import (
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)
from starlette.requests import Request

from o.domain.json import JsonObject
from o.errors import McpFailure, McpSignInNeeded, McpTimeout, McpUnreachable
from o.guard.policy import Guard, parse_allowed
from o.mcp.access import Access
from o.mcp.base import Conversation, Dialer, Listing, McpResult, Patience
from o.store.mcp_records import ServerType
from tests.emulators import mcp_hostile, mcp_server
from tests.emulators.mcp_hostile import MISDEEDS, Misdeed
from tests.support.programs import Programs
from tests.support.servers import ROOT

HTTP: tuple[ServerType, ...] = ("streamable_http", "sse")
ALL: tuple[ServerType, ...] = (*HTTP, "stdio")
SECRET = "s3cret-of-ours"
# Short where a server hangs, long enough for a program to start on a busy machine.
PATIENT = Patience(connect=20.0, list=20.0, close=1.0)


@pytest.fixture(scope="module")
def listening() -> Iterator[mcp_server.Emulator]:
    with mcp_server.running() as emulator:
        yield emulator


@pytest.fixture
def server(listening: mcp_server.Emulator) -> mcp_server.Emulator:
    vars(listening).update(vars(mcp_server.Emulator(listening.url)))
    return listening


@pytest.fixture
async def programs() -> AsyncIterator[Programs]:
    made = Programs()
    yield made
    assert all(program.child.returncode is not None for program in made.started), "a program outlived its conversation"


def dialer(patience: Patience = PATIENT, programs: Programs | None = None) -> Dialer:
    return Dialer(Guard(parse_allowed("127.0.0.0/8")), programs, patience=patience)


def to(server: mcp_server.Emulator, kind: ServerType, **headers: str) -> Access:
    return Access("id", "emulated", kind, url=server.sse if kind == "sse" else server.streamable, headers=headers)


@contextmanager
def bad(kind: ServerType, misdeed: Misdeed) -> Iterator[Access]:
    """The way to a server that means harm."""
    if kind == "stdio":
        command = (sys.executable, "-m", "tests.emulators.mcp_program", misdeed)
        yield Access(
            "id", "bad", kind, command=command, environment={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        )
        return
    running = mcp_hostile.running_sse if kind == "sse" else mcp_hostile.running
    with running(misdeed) as url:
        yield Access("id", "bad", kind, url=url, headers={"x-secret": SECRET}, secrets={"x-secret": SECRET})


async def listed(conversation: Conversation) -> Listing:
    return await conversation.tools()


async def called(conversation: Conversation) -> McpResult:
    return await conversation.call("echo", {}, deadline=1.0)


async def call(server: mcp_server.Emulator, arguments: JsonObject) -> McpResult:
    async def work(conversation: Conversation) -> McpResult:
        return await conversation.call("echo", arguments, deadline=5.0)

    return await dialer().converse(to(server, "streamable_http"), work)


@pytest.mark.parametrize("kind", HTTP)
async def test_tools_are_listed_and_called(server: mcp_server.Emulator, kind: ServerType) -> None:
    async def work(conversation: Conversation) -> tuple[Listing, McpResult]:
        return await conversation.tools(), await conversation.call("echo", {"text": "hello"}, deadline=5.0)

    listing, result = await dialer().converse(to(server, kind), work)
    assert [tool.name for tool in listing.tools] == ["echo"]
    assert listing.tools[0].schema["required"] == ["text"]
    assert result == McpResult('{"text": "hello"}')


async def test_a_program_is_listed_and_called(programs: Programs) -> None:
    async def work(conversation: Conversation) -> tuple[Listing, McpResult]:
        return await conversation.tools(), await called(conversation)

    with bad("stdio", "hang_on_close") as access:
        listing, result = await dialer(programs=programs).converse(access, work)
    assert [tool.name for tool in listing.tools] == ["echo"]
    assert result.content == "done "


async def test_a_program_that_ends_at_once_is_unreachable_and_told_as_one(programs: Programs) -> None:
    access = Access("id", "gone", "stdio", command=("/bin/true",))
    with pytest.raises(McpUnreachable, match="is a program that ended"):
        await dialer(programs=programs).converse(access, listed)


async def test_hints_are_kept_and_what_is_no_text_is_named(server: mcp_server.Emulator) -> None:
    server.tools = [
        Tool(name="x", title="X", input_schema={"type": "object"}, annotations=ToolAnnotations(read_only_hint=True))
    ]
    listing = await dialer().converse(to(server, "streamable_http"), listed)
    assert listing.tools[0].annotations == {"title": "X", "readOnlyHint": True}
    server.answer = CallToolResult(
        content=[
            TextContent(text="one"),
            ImageContent(data="aGk=", mime_type="image/png"),
            ImageContent(data="aGk=", mime_type="image/tiff"),
            ImageContent(data="no base64", mime_type="image/png"),
            EmbeddedResource(resource=TextResourceContents(uri="file:///a", text="inside")),
            ResourceLink(uri="file:///b", name="b"),
        ],
        is_error=True,
    )
    result = await call(server, {})
    assert result.status == "error"
    assert [image.data for image in result.images] == ["aGk="]
    lines = result.content.splitlines()
    assert lines[0] == "one"
    assert "image/tiff, not shown" in lines[1]
    assert lines[3:] == ["[resource file:///a]", "inside", "[resource file:///b: b]"]


async def test_structure_stands_in_for_missing_text_and_long_texts_are_cut(server: mcp_server.Emulator) -> None:
    server.answer = CallToolResult(content=[], structured_content={"a": [1, "é"]})
    assert (await call(server, {})).content == '{"a": [1, "é"]}'
    server.answer = CallToolResult(content=[TextContent(text="x" * 1_500_000)])
    result = await call(server, {})
    assert result.content.endswith("… [cut after 1000000 of 1500000 characters]")


async def test_more_tools_than_are_taken_are_cut(server: mcp_server.Emulator) -> None:
    server.tools = [mcp_server.tool(f"t{number}") for number in range(600)]
    listing = await dialer().converse(to(server, "streamable_http"), listed)
    assert (len(listing.tools), listing.cut) == (500, True)


@pytest.mark.parametrize("kind", HTTP)
async def test_a_server_that_wants_a_sign_in_says_so(server: mcp_server.Emulator, kind: ServerType) -> None:
    server.token = "right"
    with pytest.raises(McpSignInNeeded):
        await dialer().converse(to(server, kind, Authorization="Bearer wrong"), listed)
    listing = await dialer().converse(to(server, kind, Authorization="Bearer right"), listed)
    assert len(listing.tools) == 1


@pytest.mark.parametrize(
    ("kind", "misdeed"),
    [
        *(("streamable_http", misdeed) for misdeed in MISDEEDS),
        *(("sse", misdeed) for misdeed in ("hang", "garbage", "huge", "endless", "redirect")),
        *(("stdio", misdeed) for misdeed in MISDEEDS if misdeed != "redirect"),
    ],
)
async def test_a_server_that_means_harm_is_a_failure(programs: Programs, kind: ServerType, misdeed: Misdeed) -> None:
    patience = Patience(2.0 if (kind, misdeed) == ("sse", "redirect") or misdeed == "hang" else 20.0, 0.4, 0.3)
    if misdeed in ("huge", "endless"):
        patience = Patience(20.0, 20.0, 0.5)  # what ends it is the bound
    with bad(kind, misdeed) as access, pytest.raises(McpFailure) as failure:
        await dialer(patience, programs).converse(access, listed)
    assert "bad" in failure.value.message and SECRET not in failure.value.message
    if misdeed in ("huge", "endless"):
        assert isinstance(failure.value, McpUnreachable)
    if misdeed in ("hang", "wrong_id"):
        assert isinstance(failure.value, McpTimeout)


async def test_a_listing_without_an_end_is_cut() -> None:
    with bad("streamable_http", "pages") as access:
        listing = await dialer(Patience(close=0.2)).converse(access, listed)
    assert listing == Listing((), cut=True)


async def test_a_flood_is_told_as_one() -> None:
    with bad("streamable_http", "huge") as access, pytest.raises(McpUnreachable, match="more than it may"):
        await dialer().converse(access, listed)


async def test_what_a_server_asks_for_is_refused() -> None:
    seen: list[Request] = []
    with mcp_hostile.running("asks", seen) as url:
        listing = await dialer().converse(Access("id", "asks", "streamable_http", url=url), listed)
    assert [tool.name for tool in listing.tools] == ["echo"]


async def test_no_cookie_is_kept_and_no_goodbye_is_waited_for() -> None:
    seen: list[Request] = []
    with mcp_hostile.running("cookies", seen) as url:
        await dialer().converse(Access("id", "cookies", "streamable_http", url=url), listed)
    assert len(seen) > 2
    assert not any("cookie" in request.headers for request in seen)
    with mcp_hostile.running("hang_on_close") as url:
        patience = Patience(connect=20.0, list=20.0, close=0.2)
        result = await dialer(patience).converse(Access("id", "slow", "streamable_http", url=url), called)
    assert result.content == "done "


async def test_a_secret_that_comes_back_is_struck_out() -> None:
    with bad("streamable_http", "hang_on_close") as access:
        result = await dialer(Patience(close=0.2)).converse(access, called)
    assert result.content == "done [secret x-secret]"


async def test_private_addresses_are_not_connected_to() -> None:
    closed = Dialer(Guard())
    with pytest.raises(McpFailure, match="loopback") as failure:
        await closed.converse(Access("id", "inside", "streamable_http", url="http://127.0.0.1:1/mcp"), listed)
    assert isinstance(failure.value, McpUnreachable)


@pytest.mark.parametrize("kind", ALL)
async def test_a_cancelled_conversation_ends_at_once(programs: Programs, kind: ServerType) -> None:
    connected = asyncio.Event()

    async def work(conversation: Conversation) -> McpResult:
        await conversation.tools()
        connected.set()
        await asyncio.sleep(3600)
        raise AssertionError

    with bad(kind, "hang_on_close") as access:
        task = asyncio.create_task(dialer(programs=programs).converse(access, work))
        await asyncio.wait_for(connected.wait(), 20)
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 5, "it waited for the server's goodbye"
