"""Signing in at MCP servers: a stream that says what to do and how it goes, and the address a browser comes back to."""

import asyncio
import html
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from api.deps import Asking, Caller, JsonRoute, Parts
from api.errors import documented
from api.mcp_sync import synced
from api.responses import dumps
from api.routes.mcp_servers import ServerPath
from api.schemas.mcp_servers import print_mcp_tool
from o import ids
from o.domain.json import JsonObject
from o.errors import McpSignInNeeded, NotFound, Unavailable
from o.keyring import KeyUnusable
from o.store.mcp_records import McpSignInRecord
from o.store.repositories.mcp_servers import sign_in_context

router = APIRouter(prefix="/v1/mcp-servers", tags=["mcp-servers"], route_class=JsonRoute)

# What the state that travels with the browser is bound to: it opens nowhere else.
_STATE = "mcp_sign_ins/state"
# Seconds between two looks at a sign-in; a person takes longer than that for any step of it.
_LOOK_AGAIN = 0.5
_PINGS_EVERY = 30  # looks

# The page's address holds the code: it goes to no other site and into no cache.
_QUIET = {
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
}

_Code = Annotated[str | None, Query(max_length=4_000)]
_State = Annotated[str | None, Query(max_length=2_000)]
_Issuer = Annotated[str | None, Query(max_length=2_000)]
_Error = Annotated[str | None, Query(max_length=2_000)]


@router.get(
    "/connect/{mcp_server_id}",
    operation_id="mcp_connect_mcp_server",
    response_class=StreamingResponse,
    responses=documented(404),
)
async def connect_mcp_server(mcp_server_id: ServerPath, caller: Asking, request: Request) -> Response:
    """Connect to a server, with a sign-in if it wants one. Server-sent events tell how it goes.

    `connection_attempt`, then `success` with the tools, or `error`, or `oauth_required`, `authorization_url` (open it
    in a browser), `waiting_for_auth`, and `success` or `error` once somebody has signed in. It ends after ten minutes.
    """
    async with caller.transaction() as tx:
        await tx.mcp_servers.get(mcp_server_id)
    # The browser comes back to the address by which this client reaches O: it is the one that works from here.
    back = f"{str(request.base_url).rstrip('/')}/v1/mcp-servers/oauth/callback"
    stream = _connecting(caller, mcp_server_id, back)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


# For browsers, not for clients of the API: no part of its schema.
@router.get("/oauth/callback", response_class=HTMLResponse, include_in_schema=False)
async def mcp_oauth_callback(
    request: Request, code: _Code = None, state: _State = None, iss: _Issuer = None, error: _Error = None
) -> Response:
    """Where an authorisation server sends the browser back to. It needs no API key: the state is one, used once."""
    parts: Parts = request.app.state.parts
    try:
        org_id, sign_in_id = parts.keyring.decrypt(state or "", context=_STATE).split(" ")
    except (KeyUnusable, ValueError):
        return _page("This is no answer to a sign-in that was begun here.", 400)
    try:
        async with parts.store.transaction(org_id) as tx:
            row = await tx.mcp_sign_ins.get(sign_in_id, now=tx.now())
            taken = code is not None and await tx.mcp_sign_ins.authorized(
                sign_in_id, state or "", _with_code(parts, row, code, iss), now=tx.now()
            )
            if not taken and row.status == "pending":
                await tx.mcp_sign_ins.end(sign_in_id, done=False)
    except NotFound as gone:
        return _page(gone.message, 400)
    if not taken:
        said = f" The other side said: {error[:200]}." if error else ""
        return _page(f"The sign-in was not completed.{said} Begin another.", 400)
    try:
        outcome = await parts.engine.finish_mcp_sign_in(org_id, sign_in_id)
    except Unavailable as away:
        return _page(f"{away.message} Begin another sign-in.", 503)
    if outcome.code is not None:
        return _page(f"The sign-in failed: {outcome.message}", 400)
    return _page("You are signed in. This window can be closed.", 200)


async def _connecting(caller: Caller, server_id: str, back: str) -> AsyncIterator[bytes]:
    async with caller.transaction() as tx:
        name = (await tx.mcp_servers.get(server_id)).server_name
    yield _event("connection_attempt", server_name=name)
    outcome = await synced(caller, server_id, accept=False)
    if outcome.code != McpSignInNeeded.code:
        yield await _outcome(caller, server_id, outcome.code)
        return
    yield _event("oauth_required", message=f"{name} wants somebody to sign in")
    sign_in_id = await _begun(caller, server_id, back)
    try:
        begun = await caller.parts.engine.begin_mcp_sign_in(caller.org_id, sign_in_id)
        failure = begun.message if begun.code is not None else None
    except Unavailable as away:
        failure = away.message
    if failure is not None:
        yield _event("error", message=failure)
        return
    async with caller.transaction() as tx:
        row = await tx.mcp_sign_ins.get(sign_in_id, now=tx.now())
    if row.data is not None:  # it may have ended already
        yield _event("authorization_url", url=_data(caller.parts, row)["url"], session_id=sign_in_id)
    yield _event("waiting_for_auth", session_id=sign_in_id)
    async for piece in _waited(caller, server_id, sign_in_id):
        yield piece


async def _waited(caller: Caller, server_id: str, sign_in_id: str) -> AsyncIterator[bytes]:
    looks = 0
    while True:
        await asyncio.sleep(_LOOK_AGAIN)
        looks += 1
        try:
            async with caller.transaction() as tx:
                status = (await tx.mcp_sign_ins.get(sign_in_id, now=tx.now())).status
        except NotFound:
            yield _event("error", message="nobody signed in within ten minutes")
            return
        if status == "done":
            outcome = await synced(caller, server_id, accept=False)
            yield await _outcome(caller, server_id, outcome.code)
            return
        if status == "failed":
            yield _event("error", message="the sign-in was not completed")
            return
        if looks % _PINGS_EVERY == 0:
            yield b": waiting\n\n"


async def _begun(caller: Caller, server_id: str, back: str) -> str:
    sign_in_id = ids.new("mcp_sign_in")
    keyring = caller.parts.keyring
    data = keyring.encrypt(orjson.dumps({"redirect_uri": back}).decode(), context=sign_in_context(sign_in_id))
    state = keyring.encrypt(f"{caller.org_id} {sign_in_id}", context=_STATE)
    async with caller.transaction() as tx:
        await tx.mcp_sign_ins.add(sign_in_id, server_id, state, data, now=tx.now())
    return sign_in_id


async def _outcome(caller: Caller, server_id: str, code: str | None) -> bytes:
    async with caller.transaction() as tx:
        if code is not None:
            words = (await tx.mcp_servers.get(server_id)).last_error
            return _event("error", message=words or "the MCP server cannot be used")
        tools = await tx.mcp_servers.tools(server_id)
    return _event("success", tools=[print_mcp_tool(tool) for tool in tools])


def _data(parts: Parts, row: McpSignInRecord) -> JsonObject:
    opened: JsonObject = orjson.loads(parts.keyring.decrypt(row.data or "", context=sign_in_context(row.id)))
    return opened


def _with_code(parts: Parts, row: McpSignInRecord, code: str, issuer: str | None) -> str:
    if row.data is None:
        return ""  # it has ended: nothing is taken
    data = {**_data(parts, row), "code": code, "code_issuer": issuer}
    return parts.keyring.encrypt(orjson.dumps(data).decode(), context=sign_in_context(row.id))


def _event(name: str, **more: object) -> bytes:
    return b"data: " + dumps({"event": name, **more}) + b"\n\n"


def _page(words: str, status: int) -> HTMLResponse:
    """A page that says what came of it."""
    text = f"<!doctype html><meta charset=utf-8><title>O</title><p>{html.escape(words)}</p>"
    return HTMLResponse(text, status, _QUIET)
