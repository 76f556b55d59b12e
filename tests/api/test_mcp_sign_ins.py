"""Signing in at an MCP server through the API: the stream, the browser's way back, and what is refused."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from o.keyring import Keyring
from o.store.repositories.mcp_servers import sign_in_context
from tests.emulators import mcp_server, oauth_server


@pytest.fixture
def oauth() -> Iterator[oauth_server.Emulator]:
    with oauth_server.running() as emulator:
        yield emulator


async def made(http: httpx.AsyncClient, url: str) -> str:
    answer = await http.post("/v1/mcp-servers/", json={"server_name": "notes", "config": {"server_url": url}})
    return str(answer.json()["id"])


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]


async def link(database_url: str, keyring: Keyring) -> str:
    """Where the sign-in under way sends its browser, once it is known."""
    async with asyncio.timeout(20):
        while True:
            async with await psycopg.AsyncConnection.connect(database_url) as owner:
                rows = await owner.execute("SELECT id, data FROM mcp_sign_ins WHERE status = 'pending'")
                row = await rows.fetchone()
            if row is not None:
                data = json.loads(keyring.decrypt(row[1], context=sign_in_context(row[0])))
                if data.get("url"):
                    return str(data["url"])
            await asyncio.sleep(0.05)


async def test_a_person_signs_in(
    http: httpx.AsyncClient, app: FastAPI, database_url: str, oauth: oauth_server.Emulator
) -> None:
    server_id = await made(http, f"{oauth.url}/mcp")
    before = (await http.get(f"/v1/mcp-servers/{server_id}")).json()
    assert "wants a sign-in" in before["last_error"] and before["signed_in"] is False
    watching = asyncio.create_task(http.get(f"/v1/mcp-servers/connect/{server_id}"))
    url = await link(database_url, app.state.parts.keyring)
    async with httpx.AsyncClient() as browser:
        back = (await browser.get(url)).headers["location"]
    assert back.startswith("http://o.test/v1/mcp-servers/oauth/callback?")
    page = await http.get(back)
    assert page.status_code == 200 and "You are signed in" in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    seen = events(await watching)
    assert [event["event"] for event in seen] == [
        *("connection_attempt", "oauth_required", "authorization_url", "waiting_for_auth", "success")
    ]
    assert seen[2]["url"] == url
    assert [tool["name"] for tool in seen[4]["tools"]] == ["echo"]
    after = (await http.get(f"/v1/mcp-servers/{server_id}")).json()
    assert (after["signed_in"], after["last_error"]) == (True, None)
    again = await http.get(back)
    assert again.status_code == 400


async def test_a_person_who_declines_is_told_of(
    http: httpx.AsyncClient, app: FastAPI, database_url: str, oauth: oauth_server.Emulator
) -> None:
    server_id = await made(http, f"{oauth.url}/mcp")
    watching = asyncio.create_task(http.get(f"/v1/mcp-servers/connect/{server_id}"))
    state = httpx.URL(await link(database_url, app.state.parts.keyring)).params["state"]
    page = await http.get("/v1/mcp-servers/oauth/callback", params={"state": state, "error": "<script>access_denied"})
    assert page.status_code == 400
    assert "&lt;script&gt;access_denied" in page.text
    assert events(await watching)[-1] == {"event": "error", "message": "the sign-in was not completed"}


async def test_a_state_nobody_gave_out_is_refused(http: httpx.AsyncClient) -> None:
    for state in ("", "forged", "o1.00000000.AAAA"):
        page = await http.get("/v1/mcp-servers/oauth/callback", params={"state": state, "code": "c"})
        assert page.status_code == 400


async def test_a_server_that_wants_no_sign_in_is_connected_at_once(http: httpx.AsyncClient) -> None:
    with mcp_server.running() as server:
        server_id = await made(http, server.streamable)
        seen = events(await http.get(f"/v1/mcp-servers/connect/{server_id}"))
    assert [event["event"] for event in seen] == ["connection_attempt", "success"]


async def test_a_server_that_is_away_is_an_error_event(http: httpx.AsyncClient) -> None:
    server_id = await made(http, "http://127.0.0.1:9/mcp")
    seen = events(await http.get(f"/v1/mcp-servers/connect/{server_id}"))
    assert seen[-1]["event"] == "error" and "cannot be reached" in seen[-1]["message"]
