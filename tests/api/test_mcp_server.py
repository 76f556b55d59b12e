"""O as an MCP server, as the official SDK's own client sees it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from fastapi import FastAPI
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from o.store.session import Store
from tests.support.engine import script

HERE = "http://127.0.0.1:8283"
GREETING = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT = {"accept": "application/json, text/event-stream"}


@asynccontextmanager
async def connected(app: FastAPI, mode: str = "auto", **headers: str) -> AsyncIterator[Client]:
    transport = httpx2.ASGITransport(app)
    async with (
        httpx2.AsyncClient(transport=transport, headers=headers, timeout=30) as web,
        Client(streamable_http_client(f"{HERE}/mcp", http_client=web), mode=mode) as client,
    ):
        yield client


async def call(client: Client, name: str, **arguments: Any) -> tuple[str, bool]:
    result = await client.call_tool(name, arguments)
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text, result.is_error


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_agents_are_found_talked_to_and_remembered(app: FastAPI, agent_id: str, mode: str) -> None:
    async with connected(app, mode) as client:
        offered = await client.list_tools()
        assert {tool.name for tool in offered.tools} == {
            *("list_agents", "send_message", "search_memory", "list_blocks", "read_block")
        }
        agents, _ = await call(client, "list_agents")
        assert [agent["id"] for agent in json.loads(agents)] == [agent_id]
        said, failed = await call(client, "send_message", agent_id=agent_id, message="the cellar key is under the mat")
        assert "cellar key" in said and not failed
        found = json.loads((await call(client, "search_memory", agent_id=agent_id, query="CELLAR"))[0])
        assert [one["role"] for one in found["conversation"]] == ["assistant", "user"]
        blocks = json.loads((await call(client, "list_blocks", agent_id=agent_id))[0])
        assert [block["label"] for block in blocks] == ["human"]
        assert (await call(client, "read_block", agent_id=agent_id, label="human"))[0] == "Name: unknown"


async def test_mistakes_are_answers(app: FastAPI, agent_id: str) -> None:
    missing = "agent-00000000-0000-4000-8000-000000000000"
    async with connected(app) as client:
        for name, arguments in (
            ("send_message", {"agent_id": missing, "message": "hello"}),
            ("send_message", {"agent_id": agent_id}),
            ("search_memory", {"agent_id": missing, "query": "x"}),
            ("read_block", {"agent_id": agent_id, "label": "none"}),
            ("no_such_tool", {}),
        ):
            text, failed = await call(client, name, **arguments)
            assert failed and text.startswith("Error: "), name


async def test_an_agent_that_takes_too_long_is_not_waited_for(app: FastAPI, actor: str) -> None:
    async with connected(app) as client:
        slow = script({"text": "done", "delay": 2})
        said, failed = await call(client, "send_message", agent_id=actor, message=slow, timeout=0.2)
    assert "still at it" in said and not failed


async def test_pages_from_elsewhere_are_kept_out(http: httpx.AsyncClient) -> None:
    rebound = await http.post("/mcp", json=GREETING, headers={**ACCEPT, "host": "evil.example"})
    assert rebound.status_code == 421
    shown = {**ACCEPT, "host": "evil.example", "authorization": "Bearer anything"}
    assert (await http.post("/mcp", json=GREETING, headers=shown)).status_code == 421
    page = {**ACCEPT, "host": "127.0.0.1:8283", "origin": "https://evil.example"}
    assert (await http.post("/mcp", json=GREETING, headers=page)).status_code == 403
    local = {**ACCEPT, "host": "127.0.0.1:8283", "origin": "http://localhost:3000"}
    assert (await http.post("/mcp", json=GREETING, headers=local)).status_code == 200


async def test_with_keys_only_keys_open_it(app: FastAPI, http: httpx.AsyncClient, store: Store) -> None:
    async with store.transaction() as tx:
        _, key = await tx.keys.create("mcp")
    app.state.parts.gate._open = (float("-inf"), False)
    assert (await http.post("/mcp", json=GREETING, headers=ACCEPT)).status_code == 401
    async with connected(app, authorization=f"Bearer {key}") as client:
        assert len((await client.list_tools()).tools) == 5
    anywhere = {**ACCEPT, "host": "o.example", "authorization": f"Bearer {key}"}
    assert (await http.post("/mcp", json=GREETING, headers=anywhere)).status_code == 200
