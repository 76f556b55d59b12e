"""Memory blocks by their own id: made, read, changed under the eyes of all who hold them, deleted."""

import httpx

from o.store.session import Store
from tests.api.conftest import made

MISSING = "block-00000000-0000-4000-8000-00000000dead"


async def _system(http: httpx.AsyncClient, agent_id: str) -> str:
    listed = (await http.get(f"/v1/agents/{agent_id}/messages", params={"order": "asc"})).json()
    assert listed[0]["message_type"] == "system_message"
    return str(listed[0]["content"])


async def _held(http: httpx.AsyncClient, *holders: str, label: str = "house", value: str = "Quiet.") -> str:
    """A new block that these agents hold; its id."""
    answer = await http.post("/v1/blocks/", json={"label": label, "value": value})
    assert answer.status_code == 200, answer.text
    block_id = str(answer.json()["id"])
    for agent_id in holders:
        attached = await http.patch(f"/v1/agents/{agent_id}/core-memory/blocks/attach/{block_id}")
        assert attached.status_code == 200, attached.text
    return block_id


async def test_a_block_is_made_and_read(http: httpx.AsyncClient) -> None:
    body = {"label": "notes", "value": "a\u0000b", "limit": 5, "metadata": {"x": 1}, "tags": ["t"], "read_only": True}
    answer = await http.post("/v1/blocks", json=body)
    assert answer.status_code == 200, answer.text
    block = answer.json()
    assert (block["label"], block["value"], block["limit"]) == ("notes", "ab", 5)
    assert (block["metadata"], block["tags"], block["read_only"]) == ({"x": 1}, ["t"], True)
    assert (await http.get(f"/v1/blocks/{block['id']}")).json() == block


async def test_what_is_not_there_is_not_found(http: httpx.AsyncClient) -> None:
    assert (await http.get(f"/v1/blocks/{MISSING}")).status_code == 404
    assert (await http.patch(f"/v1/blocks/{MISSING}", json={"value": "x"})).status_code == 404
    assert (await http.patch(f"/v1/blocks/{MISSING}", json={})).status_code == 404
    assert (await http.delete(f"/v1/blocks/{MISSING}")).status_code == 404
    assert (await http.get("/v1/blocks/nonsense")).status_code == 422


async def test_all_who_hold_a_block_see_its_change(http: httpx.AsyncClient, store: Store) -> None:
    first, second = await made(http), await made(http)
    block_id = await _held(http, first, second)
    answer = await http.patch(f"/v1/blocks/{block_id}", json={"value": "Loud.", "limit": None, "read_only": True})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["value"], answer.json()["limit"], answer.json()["read_only"]) == ("Loud.", 100_000, True)
    for agent_id in (first, second):
        assert "Loud." in await _system(http, agent_id)
    async with store.transaction() as tx:
        assert (await tx.blocks.get(block_id)).version == 2


async def test_a_null_changes_nothing(http: httpx.AsyncClient, store: Store) -> None:
    block_id = await _held(http)
    answer = await http.patch(f"/v1/blocks/{block_id}", json={"value": None, "label": None})
    assert (answer.status_code, answer.json()["value"]) == (200, "Quiet.")
    async with store.transaction() as tx:
        assert (await tx.blocks.get(block_id)).version == 1


async def test_no_agent_gets_two_blocks_of_one_label(http: httpx.AsyncClient, agent_id: str) -> None:
    block_id = await _held(http, agent_id)
    answer = await http.patch(f"/v1/blocks/{block_id}", json={"label": "human"})
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("label: an agent that holds this block has another one")
    renamed = await http.patch(f"/v1/blocks/{block_id}", json={"label": "home"})
    assert renamed.json()["label"] == "home"
    assert (await http.get(f"/v1/agents/{agent_id}/core-memory/blocks/home")).json()["id"] == block_id


async def test_agents_lose_a_block_that_is_deleted(http: httpx.AsyncClient, agent_id: str) -> None:
    block_id = await _held(http, agent_id)
    assert "Quiet." in await _system(http, agent_id)
    answer = await http.delete(f"/v1/blocks/{block_id}")
    assert (answer.status_code, answer.json()) == (200, None)
    assert (await http.get(f"/v1/blocks/{block_id}")).status_code == 404
    assert "Quiet." not in await _system(http, agent_id)
    agent = (await http.get(f"/v1/agents/{agent_id}")).json()
    assert [block["label"] for block in agent["blocks"]] == ["human"]
