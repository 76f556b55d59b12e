"""Manners of servers that mean no harm, and must not be taken for failures; and of those that take their time."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from o.domain.json import JsonObject
from o.errors import McpUnreachable
from o.guard.policy import Guard, parse_allowed
from o.mcp import tokens
from o.mcp.access import Access
from o.mcp.base import Conversation, Dialer, McpResult, Patience
from tests.emulators.serving import serving

GUARD = Guard(parse_allowed("127.0.0.0/8"))
GREETING = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}


class Plain:
    """A server without a stream of its own: it answers each POST, and refuses every GET, as the protocol lets it."""

    def __init__(self, refusal: int) -> None:
        self.refusal = refusal
        self.looked = threading.Event()

    async def endpoint(self, request: Request) -> Response:
        if request.method != "POST":
            return Response(status_code=self.refusal, background=BackgroundTask(self.looked.set))
        asked: JsonObject = await request.json()
        if "id" not in asked:
            return Response(status_code=202)
        answers: JsonObject = {
            "initialize": {"result": GREETING},
            "tools/call": {"error": {"code": -32602, "message": "no such city"}},
        }
        # The SDK asks for the stream where there is a session.
        return JSONResponse(
            {"jsonrpc": "2.0", "id": asked["id"], **answers[asked["method"]]}, headers={"mcp-session-id": "one"}
        )


@pytest.mark.parametrize("refusal", [405, 404, 400])
async def test_a_server_without_a_stream_of_its_own_refuses_a_call_in_words(refusal: int) -> None:
    plain = Plain(refusal)

    async def called(conversation: Conversation) -> McpResult:
        assert await asyncio.to_thread(plain.looked.wait, 10)
        return await conversation.call("weather", {}, deadline=10)

    routes = [Route("/mcp", plain.endpoint, methods=["GET", "POST", "DELETE"])]
    with serving(Starlette(routes=routes)) as url:
        access = Access("id", "plain", "streamable_http", url=f"{url}/mcp")
        result = await Dialer(GUARD, patience=Patience(20, 20, 1)).converse(access, called)
    assert (result.status, result.failure) == ("error", None)
    assert "no such city" in result.content


async def test_a_part_of_a_sign_in_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "PATIENCE", 1.0)

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.1)

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(drip(), media_type="application/json")

    app = Starlette(routes=[Route("/token", endpoint, methods=["POST"])])
    with serving(app) as url, pytest.raises(McpUnreachable, match="too long"):
        await asyncio.wait_for(tokens.asked(GUARD, "POST", f"{url}/token", data={}), 20)
