"""Providers that people bring: what the API takes, shows, tries and forgets."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from typing import Any, get_args

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.schemas.providers import ModelChange, PriceChange
from o import ids
from o.contracts.models import PROVIDER_TYPES
from o.domain.price import Price
from o.guard.policy import Guard
from o.keyring import Keyring
from o.providers.presets import LETTAS_NAMES, PRESETS
from o.providers.spec import ProfileChange, Wire
from o.store.repositories.providers import ProviderFilter, key_context
from o.store.session import Store
from tests.emulators import openai_server
from tests.support.servers import free_port

KEY = openai_server.KEY
LONG_KEY = "sk-0123456789abcdefwxyz"


@pytest.fixture(autouse=True)
async def said(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Nothing that is logged in any of these tests holds a key."""
    caplog.set_level(logging.DEBUG)
    yield
    assert KEY not in caplog.text and LONG_KEY not in caplog.text and "sk-bad" not in caplog.text


async def bring(http: httpx.AsyncClient, name: str = "mine", **more: Any) -> dict[str, Any]:
    answer = await http.post("/v1/providers/", json={"name": name, "provider_type": "openai", **more})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def handles(http: httpx.AsyncClient, **params: Any) -> set[str]:
    return {model["handle"] for model in (await http.get("/v1/models/", params=params)).json()}


async def test_a_provider_is_made_read_and_deleted(
    http: httpx.AsyncClient, store: Store, app: FastAPI, vendor: openai_server.Emulator
) -> None:
    change = {"context_window": 8000, "price": {"input": "0.50", "output": 2}}
    made = await bring(
        http, base_url=f"{vendor.url}/", api_key=LONG_KEY, models={"gpt-4o": change}, tokens_per_minute=9
    )
    assert made["id"].startswith("provider-") and made["base_url"] == vendor.url
    assert (made["provider_category"], made["key_hint"], made["tokens_per_minute"]) == ("byok", "sk-…wxyz", 9)
    assert made["models"] == {"gpt-4o": {"context_window": 8000, "price": {"input": "0.50", "output": "2"}}}
    assert (made["last_checked_at"], made["last_error"], made["requests_per_minute"]) == (None, None, None)
    path = f"/v1/providers/{made['id']}"
    for answer in (await http.get(path), await http.get("/v1/providers/")):
        assert answer.status_code == 200 and LONG_KEY not in answer.text and "api_key" not in answer.text
    async with store.transaction() as tx:
        stored = await tx.providers.get(made["id"])
    keyring: Keyring = app.state.parts.keyring
    assert stored.api_key is not None and LONG_KEY not in stored.api_key
    assert keyring.decrypt(stored.api_key, context=key_context(made["id"])) == LONG_KEY
    assert (await http.delete(path)).json() == {"message": f"Provider id={made['id']} successfully deleted"}
    for refused in (await http.get(path), await http.delete(path), await http.patch(path, json={})):
        assert refused.status_code == 404 and made["id"] in refused.json()["detail"]


async def test_its_models_are_there_at_once_and_gone_at_once(
    http: httpx.AsyncClient, vendor: openai_server.Emulator
) -> None:
    assert "mine/gpt-4o" not in await handles(http)
    made = await bring(http, base_url=vendor.url, api_key=KEY, models={"gpt-4o": {"price": {"input": 1, "output": 2}}})
    listed = {model["handle"]: model for model in (await http.get("/v1/models/")).json()}
    model = listed["mine/gpt-4o"]
    assert (model["provider_name"], model["provider_type"], model["provider_category"]) == ("mine", "openai", "byok")
    assert model["price"] == {"input": "1", "output": "2", "cached_input": None, "cache_write": None}
    assert (model["tools"], model["structured"], model["images"]) == ("native", "json_schema", True)
    assert 0 < model["max_output_tokens"] <= model["max_context_window"] == model["context_window"]
    assert listed["scripted/echo"]["provider_category"] == "base"
    assert await handles(http, provider_category="byok") == await handles(http, provider_name="mine")
    both = await http.get("/v1/models/?provider_category=byok&provider_category=base")
    assert {found["handle"] for found in both.json()} == set(listed)
    assert await handles(http, provider_type="anthropic") == set()
    assert (await http.get("/v1/models/?provider_category=mine")).status_code == 422
    agent = (await http.post("/v1/agents/", json={"model": "mine/gpt-4o"})).json()
    config = agent["llm_config"]
    assert (config["provider_name"], config["provider_category"]) == ("mine", "byok")
    assert config["model_endpoint_type"] == "openai"
    await http.delete(f"/v1/providers/{made['id']}")
    assert "mine/gpt-4o" not in await handles(http)
    assert (await http.post("/v1/agents/", json={"model": "mine/gpt-4o"})).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"name": "local"}, 422, "name: 'local' is the name of something built in"),
        ({"name": "scripted"}, 422, "name: "),
        ({"name": "Mine"}, 422, "name: "),
        ({"name": "a/b"}, 422, "name: "),
        ({"name": ""}, 422, "name: "),
        ({"name": "x" * 41}, 422, "name: "),
        ({"provider_type": "nobody"}, 422, "provider_type: must be one of: openai, anthropic"),
        ({"api_key": "sk-bad \n"}, 422, "api_key: may hold visible ASCII characters only"),
        ({"api_key": ""}, 422, "api_key: "),
        ({"api_key": ["sk-bad"]}, 422, "api_key: "),
        ({"api_key": "sk-bad" + "x" * 4000}, 422, "api_key: "),
        ({"base_url": "ftp://x.test"}, 400, "base_url: only http and https"),
        ({"base_url": "http://169.254.169.254/latest"}, 400, "O_ALLOWED_HOSTS"),
        ({"base_url": "http://10.0.0.1:8000/v1"}, 400, "base_url: 10.0.0.1 is a private address"),
        ({"base_url": "https://me:sk-bad@x.test"}, 400, "base_url: a URL must not hold a user name"),
        ({"requests_per_minute": 0}, 422, "requests_per_minute: "),
        ({"tokens_per_minute": "9"}, 422, "tokens_per_minute: "),
        ({"models": {"m": {"window": 1}}}, 422, "models.m.window: "),
        ({"models": {"m": {"price": {"input": -1, "output": 1}}}}, 422, "models.m.price.input: "),
        ({"models": {"m": {"price": {"input": "NaN", "output": 1}}}}, 422, "models.m.price.input: "),
        ({"models": {str(n): {} for n in range(201)}}, 422, "models: "),
    ],
)
async def test_a_refusal_names_the_field_and_repeats_no_secret(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, words: str
) -> None:
    answer = await http.post("/v1/providers/", json={"name": "mine", "provider_type": "openai", **body})
    assert answer.status_code == status and words in answer.json()["detail"], answer.text
    assert "sk-bad" not in answer.text
    assert (await http.get("/v1/providers/")).json() == []


async def test_a_name_is_taken_once(http: httpx.AsyncClient) -> None:
    await bring(http)
    again = await http.post("/v1/providers/", json={"name": "mine", "provider_type": "groq", "api_key": LONG_KEY})
    assert again.status_code == 409 and "name: there is a provider 'mine' already" in again.json()["detail"]


async def test_providers_are_listed_in_pages_and_filtered(http: httpx.AsyncClient) -> None:
    made = [
        await bring(http, name, provider_type=kind)
        for name, kind in (("a", "openai"), ("b", "anthropic"), ("c", "anthropic"))
    ]

    async def names(**params: Any) -> list[str]:
        return [one["name"] for one in (await http.get("/v1/providers/", params=params)).json()]

    assert await names() == ["c", "b", "a"]
    assert await names(provider_type="anthropic", order="asc") == ["b", "c"]
    assert await names(name="a") == ["a"]
    assert await names(limit=1, after=made[2]["id"]) == ["b"]
    assert (await http.get("/v1/providers/", params={"after": ids.new("provider")})).status_code == 404
    assert (await http.get("/v1/providers/", params={"limit": 0})).status_code == 422


async def test_a_rotated_key_is_used_at_once(http: httpx.AsyncClient, vendor: openai_server.Emulator) -> None:
    made = await bring(http, base_url=vendor.url, api_key=LONG_KEY)
    path = f"/v1/providers/{made['id']}"
    refused = await http.post(f"{path}/check")
    assert refused.status_code == 401 and refused.json()["error"]["type"] == "llm_authentication"
    assert "mine" in refused.json()["error"]["message"] and "secret words" not in refused.text
    failed = (await http.get(path)).json()
    assert failed["last_error"] == refused.json()["error"]["message"] and failed["last_checked_at"]
    assert "mine/gpt-4o" not in await handles(http)
    rotated = (await http.patch(path, json={"api_key": KEY})).json()
    assert rotated["key_hint"] is None and (rotated["last_error"], rotated["last_checked_at"]) == (None, None)
    checked = await http.post(f"{path}/check")
    assert checked.status_code == 200 and checked.json()["models"] > 0
    assert (await http.get(path)).json()["last_error"] is None
    assert "mine/gpt-4o" in await handles(http)


async def test_a_wrong_address_is_not_taken_for_a_missing_provider(
    http: httpx.AsyncClient, vendor: openai_server.Emulator
) -> None:
    made = await bring(http, base_url=f"{vendor.url}/nowhere", api_key=KEY)
    checked = await http.post(f"/v1/providers/{made['id']}/check")
    assert checked.status_code == 400 and checked.json()["error"]["type"] == "llm_error", checked.text


async def test_absent_stays_and_null_takes_away(http: httpx.AsyncClient) -> None:
    made = await bring(
        http, api_key=LONG_KEY, requests_per_minute=5, tokens_per_minute=6, models={"m": {"images": True}}
    )
    path = f"/v1/providers/{made['id']}"
    changed = (await http.patch(path, json={"requests_per_minute": 7})).json()
    assert changed | {"updated_at": ""} == made | {"requests_per_minute": 7, "updated_at": ""}
    bare = (
        await http.patch(
            path, json={"requests_per_minute": None, "tokens_per_minute": None, "models": None, "api_key": None}
        )
    ).json()
    assert [bare[name] for name in ("requests_per_minute", "tokens_per_minute", "models", "key_hint")] == [
        None,
        None,
        {},
        None,
    ]
    assert (await http.patch(path, json={"base_url": "http://10.0.0.1"})).status_code == 400


async def test_a_stored_key_is_sent_to_no_other_address(
    http: httpx.AsyncClient, store: Store, vendor: openai_server.Emulator
) -> None:
    made = await bring(http, base_url=vendor.url, api_key=KEY)
    path = f"/v1/providers/{made['id']}"
    for elsewhere in ("https://elsewhere.test/v1", None):
        refused = await http.patch(path, json={"base_url": elsewhere})
        assert refused.status_code == 400 and "api_key" in refused.json()["detail"]
    assert (await http.get(path)).json() == made
    assert (await http.patch(path, json={"base_url": vendor.url})).status_code == 200
    moved = await http.patch(path, json={"base_url": "https://elsewhere.test/v1", "api_key": LONG_KEY})
    assert (moved.json()["base_url"], moved.json()["key_hint"]) == ("https://elsewhere.test/v1", "sk-…wxyz")


async def test_a_check_keeps_nothing(
    http: httpx.AsyncClient, database_url: str, app: FastAPI, vendor: openai_server.Emulator
) -> None:
    asked = {"provider_type": "openai", "base_url": vendor.url}
    answer = await http.post("/v1/providers/check", json=asked | {"api_key": KEY})
    assert answer.status_code == 200, answer.text
    assert answer.json()["message"] == "Valid api key for provider_type=openai" and answer.json()["models"] > 0
    assert (await http.post("/v1/providers/check", json=asked | {"api_key": LONG_KEY})).status_code == 401
    dead = await http.post("/v1/providers/check", json=asked | {"base_url": f"http://127.0.0.1:{free_port()}/v1"})
    assert dead.status_code == 400 and dead.json()["error"]["type"] == "llm_error"
    nothing = await http.post("/v1/providers/check", json={"provider_type": "openai"})
    assert nothing.status_code == 400 and "api_key: " in nothing.json()["detail"]
    app.state.parts = replace(app.state.parts, guard=Guard())
    private = await http.post("/v1/providers/check", json=asked | {"api_key": KEY})
    assert private.status_code == 400 and "base_url: " in private.json()["detail"]
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        rows = await (await owner.execute("SELECT name FROM providers")).fetchall()
    assert rows == []


async def test_a_check_that_is_called_off_keeps_nothing(
    http: httpx.AsyncClient, app: FastAPI, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def hang(org_id: str, provider_id: str) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(app.state.parts.engine, "check_provider", hang)
    body = {"provider_type": "openai", "api_key": LONG_KEY}
    checking = asyncio.create_task(http.post("/v1/providers/check", json=body))
    await asked.wait()
    checking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await checking
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        assert await (await owner.execute("SELECT id FROM providers")).fetchall() == []


async def test_limits_may_be_set_for_a_provider_of_the_environment(http: httpx.AsyncClient) -> None:
    """A row without key and address stands for the environment's provider of its name, which stays `base`."""
    await bring(http, "openai", requests_per_minute=10, models={"gpt-4o": {"context_window": 7000}})
    model = next(m for m in (await http.get("/v1/models/")).json() if m["handle"] == "openai/gpt-4o")
    assert (model["max_context_window"], model["provider_category"]) == (7000, "base")


async def test_a_row_with_an_address_never_gets_the_environments_key(
    http: httpx.AsyncClient, vendor: openai_server.Emulator
) -> None:
    made = await bring(http, "openai", base_url=vendor.url)
    assert (await http.post(f"/v1/providers/{made['id']}/check")).status_code == 401
    assert "openai/gpt-4o" not in await handles(http)


async def test_refresh_asks_again(http: httpx.AsyncClient, app: FastAPI, vendor: openai_server.Emulator) -> None:
    made = await bring(http, base_url=vendor.url, api_key=KEY)
    before = app.state.parts.catalogue.of(ids.DEFAULT_ORG)
    listed = await before.all()
    assert await before.all() is listed
    answer = await http.patch(f"/v1/providers/{made['id']}/refresh")
    assert answer.status_code == 200 and answer.json() == made
    assert await before.all() is not listed
    assert (await http.patch(f"/v1/providers/{ids.new('provider')}/refresh")).status_code == 404


async def test_organisations_do_not_see_each_others_providers(
    http: httpx.AsyncClient, store: Store, database_url: str, vendor: openai_server.Emulator
) -> None:
    other = "org-11111111-1111-4111-8111-111111111111"
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as owner:
        await owner.execute("INSERT INTO organizations (id, name) VALUES (%s, 'other')", (other,))
    async with store.transaction() as tx:
        _, our_key = await tx.keys.create("ours")
    async with store.transaction(other) as tx:
        _, their_key = await tx.keys.create("theirs")
    http.headers["Authorization"] = f"Bearer {our_key}"
    theirs = {"Authorization": f"Bearer {their_key}"}
    made = await bring(http, base_url=vendor.url, api_key=KEY)
    await http.put("/v1/aliases/", json={"handle": "team/fast", "targets": ["mine/gpt-4o"]})
    assert {"mine/gpt-4o", "team/fast"} <= await handles(http)
    seen = {model["handle"] for model in (await http.get("/v1/models/", headers=theirs)).json()}
    assert "scripted/echo" in seen and not seen & {"mine/gpt-4o", "team/fast"}
    assert (await http.get("/v1/providers/", headers=theirs)).json() == []
    assert (await http.get("/v1/aliases/", headers=theirs)).json() == []
    path = f"/v1/providers/{made['id']}"
    for method, where in (("GET", path), ("DELETE", path), ("PATCH", f"{path}/refresh"), ("POST", f"{path}/check")):
        assert (await http.request(method, where, headers=theirs)).status_code == 404
    async with store.transaction() as tx:
        assert len(await tx.providers.list(ProviderFilter())) == 1


def test_the_types_are_those_that_workers_know() -> None:
    wires = [wire for wire in get_args(Wire) if wire not in ("local", "scripted")]
    assert list(PROVIDER_TYPES) == [*wires, *PRESETS, *LETTAS_NAMES]


def test_a_model_change_says_all_that_a_profile_change_can() -> None:
    assert set(ModelChange.model_fields) == {field.name for field in fields(ProfileChange)}
    assert {*PriceChange.model_fields, "long_prompt"} == {field.name for field in fields(Price)}
