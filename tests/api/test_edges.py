"""What every request passes through: keys, headers, paths, sizes, encodings, documentation."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
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


@pytest.mark.parametrize("path", ["/v1/agents", "/v1/agents/", "/latest/agents", "/latest/agents/"])
async def test_paths_have_several_spellings(http: httpx.AsyncClient, agent_id: str, path: str) -> None:
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


def _with_fresh_gate(app: FastAPI, store: Store, *, loopback: bool) -> object:
    return replace(app.state.parts, gate=Gatekeeper(store, loopback=loopback))


async def test_the_user_header_is_checked_and_believed_in_nothing(http: httpx.AsyncClient, agent_id: str) -> None:
    stranger = {"user_id": "user-00000000-0000-4000-8000-0000000000aa"}
    assert (await http.get(f"/v1/agents/{agent_id}", headers=stranger)).status_code == 200
    answer = await http.get(f"/v1/agents/{agent_id}", headers={"user_id": "somebody"})
    assert answer.status_code == 400
    assert "user_id" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "kind", "status", "says"),
    [
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
    ],
)
async def test_bodies_that_are_none(http: httpx.AsyncClient, content: bytes, kind: str, status: int, says: str) -> None:
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


@pytest.mark.parametrize("url", ["/v1/runs/run%00x", "/v1/agents/?name=a%00b", "/v1/agents/%00"])
async def test_nul_in_a_url(http: httpx.AsyncClient, url: str) -> None:
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
    assert (await http.get("/docs")).status_code == 200
