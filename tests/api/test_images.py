"""Images by URL: taken in by value, through the guard, and not asked for again."""

import base64
from collections.abc import AsyncIterator

import httpx
import pytest

from o import ids
from o.domain.messages import ImagePart
from o.store.session import Store
from tests.o.guard.raw_server import RawServer, answer, serving

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with serving() as running:
        running.answers["/dot.png"] = answer(PNG)
        yield running


def looking_at(*urls: str) -> dict[str, object]:
    return {"input": [{"type": "image", "source": {"type": "url", "url": url}} for url in urls]}


async def test_an_image_by_url_is_kept_by_value(
    http: httpx.AsyncClient, agent_id: str, server: RawServer, store: Store
) -> None:
    path = f"/v1/agents/{agent_id}/messages"
    said = await http.post(path, json=looking_at(f"{server.url}/dot.png", f"{server.url}/dot.png"))
    assert said.status_code == 200, said.text
    assert len(server.heads) == 1
    async with store.transaction() as tx:
        stored = await tx.messages.of_run(said.json()["messages"][0]["run_id"])
    assert stored[0].content == (ImagePart(media_type="image/png", data=base64.b64encode(PNG).decode()),) * 2


async def test_a_repeated_request_finds_its_run_although_its_image_is_gone(
    http: httpx.AsyncClient, agent_id: str, server: RawServer
) -> None:
    path, body = f"/v1/agents/{agent_id}/messages", looking_at(f"{server.url}/dot.png")
    key = {"idempotency-key": "once"}
    first = await http.post(path, json=body, headers=key)
    server.answers["/dot.png"] = answer(b"", status="404 Not Found")
    again = await http.post(path, json=body, headers=key)
    assert again.status_code == 200, again.text
    assert again.json()["messages"] == first.json()["messages"]
    assert len(server.heads) == 1


async def test_many_images_are_refused_before_one_is_fetched(
    http: httpx.AsyncClient, agent_id: str, server: RawServer
) -> None:
    body = looking_at(*(f"{server.url}/{number}.png" for number in range(21)))
    refused = await http.post(f"/v1/agents/{agent_id}/messages", json=body)
    assert refused.status_code == 400 and "source.url: one request may name 20" in refused.json()["detail"]
    unknown = await http.post(f"/v1/agents/{ids.new('agent')}/messages", json=looking_at(f"{server.url}/dot.png"))
    assert (unknown.status_code, server.heads) == (404, [])


async def test_a_private_address_is_not_asked(http: httpx.AsyncClient, agent_id: str) -> None:
    body = looking_at("http://169.254.169.254/latest/meta-data")
    refused = await http.post(f"/v1/agents/{agent_id}/messages", json=body)
    assert refused.status_code == 400 and "O_ALLOWED_HOSTS" in refused.json()["detail"]


async def test_images_that_are_too_large_together_are_refused(
    http: httpx.AsyncClient, agent_id: str, server: RawServer
) -> None:
    for number in range(6):
        server.answers[f"/{number}.png"] = answer(PNG[:8] + bytes(15 * 2**18 - 8))
    body = looking_at(*(f"{server.url}/{number}.png" for number in range(6)))
    refused = await http.post(f"/v1/agents/{agent_id}/messages", json=body)
    assert refused.status_code == 400 and "20 MiB together" in refused.json()["detail"]
