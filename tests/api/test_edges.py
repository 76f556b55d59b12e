"""What every request passes through: keys, headers, paths, sizes, encodings, documentation."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.deps import Gatekeeper
from o.store.session import Store


async def test_health_needs_no_key(http: httpx.AsyncClient, app: FastAPI, store: Store) -> None:
    async with store.transaction() as tx:
        await tx.keys.create("any")
    for path in ("/v1/health/", "/v1/health", "/latest/health/"):
        answer = await http.get(path)
        assert answer.status_code == 200
        assert answer.json()["status"] == "ok"


async def test_paths_have_several_spellings(http: httpx.AsyncClient, agent_id: str) -> None:
    for path in ("/v1/agents", "/v1/agents/", "/latest/agents", "/latest/agents/"):
        assert len((await http.get(path)).json()) == 1
        assert (await http.get(f"{path.rstrip('/')}/{agent_id}/")).json()["id"] == agent_id


async def test_a_key_is_needed_once_there_is_one(http: httpx.AsyncClient, app: FastAPI, store: Store) -> None:
    assert (await http.get("/v1/agents/", headers={"Authorization": "Bearer anything"})).status_code == 200
    async with store.transaction() as tx:
        key_id, key = await tx.keys.create("mine")
    app.state.parts = _with_fresh_gate(app, store, loopback=True)
    refused = await http.get("/v1/agents/")
    assert (refused.status_code, refused.json()) == (401, {"detail": "Unauthorized"})
    assert (await http.get("/v1/agents/", headers={"Authorization": "Bearer wrong"})).status_code == 401
    assert (await http.get("/v1/agents/", headers={"Authorization": f"Bearer {key}"})).status_code == 200
    assert (await http.get("/v1/agents/", headers={"X-BARE-PASSWORD": f"password {key}"})).status_code == 200
    async with store.transaction() as tx:
        await tx.keys.revoke(key_id)
    app.state.parts = _with_fresh_gate(app, store, loopback=False)
    assert (await http.get("/v1/agents/", headers={"Authorization": f"Bearer {key}"})).status_code == 401
    assert (await http.get("/v1/agents/")).status_code == 401


async def test_organisations_do_not_see_each_other(
    http: httpx.AsyncClient, agent_id: str, app: FastAPI, store: Store, database_url: str
) -> None:
    other = "org-11111111-1111-4111-8111-111111111111"
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as owner:
        await owner.execute("INSERT INTO organizations (id, name) VALUES (%s, 'other')", (other,))
    async with store.transaction() as tx:
        _, our_key = await tx.keys.create("ours")
    async with store.transaction(other) as tx:
        _, their_key = await tx.keys.create("theirs")
    app.state.parts = _with_fresh_gate(app, store, loopback=True)
    ours, theirs = ({"Authorization": f"Bearer {key}"} for key in (our_key, their_key))
    run = (await http.post(f"/v1/agents/{agent_id}/messages", json={"input": "Hi"}, headers=ours)).json()["messages"][0]
    body = {"name": "Other", "memory_blocks": [{"label": "human", "value": "Eve"}], "tags": ["x"]}
    made = (await http.post("/v1/agents/", json=body, headers=theirs)).json()
    assert made["created_by_id"] == "user-11111111-1111-4111-8111-111111111111"
    assert {tool["name"] for tool in made["tools"]} == {"conversation_search", "memory_insert", "memory_replace"}
    answer = await http.post(f"/v1/agents/{made['id']}/messages", json={"input": "Hello"}, headers=theirs)
    assert answer.json()["messages"][0]["content"] == "You said: Hello"
    assert [agent["id"] for agent in (await http.get("/v1/agents/", headers=theirs)).json()] == [made["id"]]
    assert [agent["id"] for agent in (await http.get("/v1/agents/", headers=ours)).json()] == [agent_id]
    for method, path in (
        ("GET", f"/v1/agents/{agent_id}"),
        ("PATCH", f"/v1/agents/{agent_id}"),
        ("DELETE", f"/v1/agents/{agent_id}"),
        ("GET", f"/v1/agents/{agent_id}/messages"),
        ("POST", f"/v1/agents/{agent_id}/messages"),
        ("PATCH", f"/v1/agents/{agent_id}/core-memory/blocks/human"),
        ("GET", f"/v1/runs/{run['run_id']}"),
        ("POST", f"/v1/runs/{run['run_id']}/stream"),
        ("GET", f"/v1/steps/{run['step_id']}"),
    ):
        sent = {"json": {"input": "x"}} if method in ("POST", "PATCH") else {}
        refused = await http.request(method, path, headers=theirs, **sent)  # type: ignore[arg-type]
        assert refused.status_code == 404, path
    theft = {"block_ids": [(await http.get(f"/v1/agents/{agent_id}", headers=ours)).json()["blocks"][0]["id"]]}
    assert (await http.post("/v1/agents/", json=theft, headers=theirs)).status_code == 404


def _with_fresh_gate(app: FastAPI, store: Store, *, loopback: bool) -> object:
    return replace(app.state.parts, gate=Gatekeeper(store, loopback=loopback))


async def test_the_user_header_is_checked_and_believed_in_nothing(http: httpx.AsyncClient, agent_id: str) -> None:
    stranger = {"user_id": "user-00000000-0000-4000-8000-0000000000aa"}
    assert (await http.get(f"/v1/agents/{agent_id}", headers=stranger)).status_code == 200
    answer = await http.get(f"/v1/agents/{agent_id}", headers={"user_id": "somebody"})
    assert answer.status_code == 400
    assert "user_id" in answer.json()["detail"]


_BODIES_THAT_ARE_NONE: list[tuple[bytes, str, int, str]] = [
    (b"{", "application/json", 422, "JSON"),
    (b"", "application/json", 422, "body"),
    (b"[]", "application/json", 422, "body"),
    (b'{"name": "\xff"}', "application/json", 422, "JSON"),
    (b'{"name": "\\ud800"}', "application/json", 422, "JSON"),
    (b'{"metadata": {"a": NaN}}', "application/json", 422, "JSON"),
    (b'{"metadata": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001, "application/json", 422, "JSON"),
    (b'{"name": "x"}', "text/plain", 415, "application/json"),
    (b"name=x", "application/x-www-form-urlencoded", 415, "application/json"),
    (b'{"name": "x"}', "", 415, "application/json"),
]


async def test_bodies_that_are_none(http: httpx.AsyncClient) -> None:
    for content, kind, status, says in _BODIES_THAT_ARE_NONE:
        headers = {"content-type": kind} if kind else {}
        answer = await http.post("/v1/agents/", content=content, headers=headers)
        assert answer.status_code == status, answer.text
        assert says in answer.json()["detail"]


async def test_secrets_are_not_repeated_in_refusals(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/agents/", json={"secrets": {"KEY": ["hunter2"]}, "metadata": "hunter2"})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


async def test_large_bodies_are_refused_however_they_come(http: httpx.AsyncClient) -> None:
    large = b'{"description": "' + b"x" * (11 * 2**20) + b'"}'
    declared = await http.post("/v1/agents/", content=large, headers={"content-type": "application/json"})
    assert declared.status_code == 413

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 2**20):
            yield large[start : start + 2**20]

    chunked = await http.post("/v1/agents/", content=pieces(), headers={"content-type": "application/json"})
    assert chunked.status_code == 413
    assert "O_MAX_BODY_BYTES" in chunked.json()["detail"]


async def test_nul_in_a_url(http: httpx.AsyncClient) -> None:
    for url in ("/v1/runs/run%00x", "/v1/agents/?name=a%00b", "/v1/agents/%00"):
        answer = await http.get(url)
        assert answer.status_code == 422
        assert "NUL" in answer.json()["detail"]


async def test_what_is_unforeseen_keeps_its_words_to_itself(
    http: httpx.AsyncClient, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    app.state.parts = None
    answer = await http.get("/v1/agents/")
    assert (answer.status_code, answer.json()) == (500, {"detail": "An unknown error occurred"})


async def test_the_documentation_names_every_refusal(http: httpx.AsyncClient) -> None:
    schema = (await http.get("/openapi.json")).json()
    operations = [op for path in schema["paths"].values() for op in path.values()]
    assert len({op["operationId"] for op in operations}) == len(operations)
    for operation in operations:
        if operation["operationId"] != "health_check":
            assert {"400", "401", "422", "503"} <= set(operation["responses"])
    page = await http.get("/docs")
    assert page.status_code == 200
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(sources) >= 2
    for source in sources:
        assert source.startswith("/"), "the documentation works without a network"
        assert (await http.get(source)).status_code == 200
