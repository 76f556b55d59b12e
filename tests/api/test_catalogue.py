"""Aliases, embedding models, and what the API remembers of the models it asked a worker about."""

import httpx
import pytest

from api.catalogue import Catalogue, Catalogues
from o.contracts.models import EmbeddingCard, ModelCard, ModelCards
from o.errors import InvalidArgument, NotFound
from tests.emulators import openai_server


async def _handles(http: httpx.AsyncClient) -> set[str]:
    return {model["handle"] for model in (await http.get("/v1/models/")).json()}


async def test_aliases_are_set_listed_used_and_deleted(http: httpx.AsyncClient) -> None:
    made = await http.put("/v1/aliases/", json={"handle": "team/fast", "targets": ["scripted/echo", "openai/gpt-4o"]})
    assert made.status_code == 200 and made.json()["targets"] == ["scripted/echo", "openai/gpt-4o"]
    assert (await http.get("/v1/aliases/")).json() == [made.json()]
    assert "team/fast" in await _handles(http)
    agent = (await http.post("/v1/agents/", json={"model": "team/fast"})).json()
    assert agent["llm_config"]["handle"] == "team/fast"
    own = await http.put(
        "/v1/aliases/", json={"handle": "openai/gpt-4o", "targets": ["openai/gpt-4o", "scripted/echo"]}
    )
    assert own.status_code == 200
    assert (await http.delete("/v1/aliases/", params={"handle": "team/fast"})).status_code == 200
    assert [alias["handle"] for alias in (await http.get("/v1/aliases/")).json()] == ["openai/gpt-4o"]
    gone = await http.delete("/v1/aliases/", params={"handle": "team/fast"})
    assert gone.status_code == 404 and "team/fast" in gone.json()["detail"]
    assert "team/fast" not in await _handles(http)


@pytest.mark.parametrize(
    ("handle", "targets", "words"),
    [
        ("fast", ["a/b"], "handle: "),
        ("team/fa st", ["a/b"], "handle: "),
        ("team/fast", [], "targets: "),
        ("team/fast", ["b"], "targets.0: "),
        ("team/fast", ["a/b", "a/b"], "targets: names a model twice"),
        ("team/fast", [f"a/{n}" for n in range(9)], "targets: "),
        ("team/fast\0", ["a/b"], "handle: "),
    ],
)
async def test_an_alias_must_make_sense(http: httpx.AsyncClient, handle: str, targets: list[str], words: str) -> None:
    answer = await http.put("/v1/aliases/", json={"handle": handle, "targets": targets})
    assert answer.status_code == 422 and words in answer.json()["detail"], answer.text


async def test_a_stated_dimension_must_be_the_models(http: httpx.AsyncClient) -> None:
    handle = "local/all-minilm-l6-v2"
    config = {"embedding_model": "all-minilm-l6-v2", "handle": handle, "embedding_endpoint_type": "openai"}
    refused = await http.post("/v1/agents/", json={"embedding_config": config | {"embedding_dim": 1536}})
    assert refused.status_code == 400
    assert "embedding_config.embedding_dim" in refused.json()["detail"]
    assert "384" in refused.json()["detail"] and "1536" in refused.json()["detail"]
    assert (await http.get("/v1/agents/count")).json() == 0
    made = await http.post("/v1/agents/", json={"embedding_config": config | {"embedding_dim": 384}})
    assert made.json()["embedding_config"]["embedding_dim"] == 384
    patched = await http.patch(
        f"/v1/agents/{made.json()['id']}", json={"name": "Other", "embedding_config": config | {"embedding_dim": 3}}
    )
    assert patched.status_code == 400
    assert (await http.get(f"/v1/agents/{made.json()['id']}")).json()["name"] == made.json()["name"]


async def test_a_provider_that_was_brought_embeds(http: httpx.AsyncClient, vendor: openai_server.Emulator) -> None:
    body = {"name": "mine", "provider_type": "openai", "base_url": vendor.url, "api_key": openai_server.KEY}
    assert (await http.post("/v1/providers/", json=body)).status_code == 200
    listed = {model["handle"]: model["embedding_dim"] for model in (await http.get("/v1/models/embedding")).json()}
    assert listed["mine/text-embedding-3-small"] == listed["openai/text-embedding-3-small"] == 1536
    made = await http.post("/v1/agents/", json={"embedding": "mine/embed-12"})
    assert made.json()["embedding_config"]["embedding_dim"] == 12
    refused = await http.post("/v1/agents/", json={"embedding": "mine/404"})
    assert refused.status_code == 404 and "embedding: " in refused.json()["detail"]
    config = {"embedding_model": "embed-12", "handle": "mine/embed-12", "embedding_dim": 13}
    assert (await http.post("/v1/agents/", json={"embedding_config": config})).status_code == 400


class _Source:
    """A worker that knows two models and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def model_cards(self, org_id: str, *, fresh: bool = False) -> ModelCards:
        self.asked.append(f"{org_id} {'fresh' if fresh else 'list'}")
        return ModelCards(embeddings=(EmbeddingCard(handle="a/listed", dimensions=3),))

    async def model_card(self, org_id: str, handle: str) -> ModelCard:
        self.asked.append(f"{org_id} {handle}")
        if handle != "a/b":
            raise NotFound(handle)
        return ModelCard(handle=handle, context_window=1000, max_output_tokens=100)

    async def embedding_card(self, org_id: str, handle: str) -> EmbeddingCard:
        self.asked.append(f"{org_id} {handle}")
        return EmbeddingCard(handle=handle, dimensions=7)


async def test_each_organisation_is_asked_for_once() -> None:
    source = _Source()
    catalogues = Catalogues(source)
    for org_id in ("org-1", "org-2"):
        catalogue = catalogues.of(org_id)
        assert await catalogue.model("a/b") is await catalogues.of(org_id).model("a/b")
        assert await catalogue.all() is await catalogue.all()
    assert source.asked == ["org-1 a/b", "org-1 list", "org-2 a/b", "org-2 list"]
    for _ in range(2):
        with pytest.raises(NotFound):
            await catalogues.of("org-1").model("a/c")
    catalogues.forget("org-1")
    await catalogues.of("org-1").model("a/b")
    await catalogues.of("org-2").model("a/b")
    assert source.asked[4:] == ["org-1 a/c", "org-1 a/c", "org-1 a/b"]


async def test_an_embedding_model_that_no_list_names_is_asked_for_by_itself() -> None:
    source = _Source()
    catalogue = Catalogue(source, "org-1")
    await catalogue.all()
    assert (await catalogue.embedding("a/listed")).dimensions == 3
    assert source.asked == ["org-1 list"]
    assert (await catalogue.embedding("a/unlisted")).dimensions == 7
    assert await catalogue.embedding("a/unlisted") is await catalogue.embedding("a/unlisted")
    assert source.asked == ["org-1 list", "org-1 a/unlisted"]
    for handle in ("", "noslash", "/", "a/"):
        with pytest.raises(InvalidArgument):
            await catalogue.model(handle)
        with pytest.raises(InvalidArgument):
            await catalogue.embedding(handle)


async def test_every_provider_is_told_of_also_who_says_nothing(
    http: httpx.AsyncClient, vendor: openai_server.Emulator
) -> None:
    made = {"name": "mine", "provider_type": "openai", "base_url": vendor.url, "api_key": "sk-wrong-key-0123456789"}
    assert (await http.post("/v1/providers/", json=made)).status_code == 200
    states = {state["name"]: state for state in (await http.get("/v1/providers/status")).json()}
    assert (states["openai"]["status"], states["openai"]["error"]) == ("ok", None)
    assert states["openai"]["models"] > 0
    assert (states["mine"]["status"], states["mine"]["provider_category"]) == ("error", "byok")
    assert states["mine"]["error"]["type"] == "llm_authentication"
    assert "o providers rotate mine" in states["mine"]["error"]["message"]
    assert states["local"]["error"]["type"] == "llm_unavailable"
    assert not any(handle.startswith(("mine/", "local/")) for handle in await _handles(http))
