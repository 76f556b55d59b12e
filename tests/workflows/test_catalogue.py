"""What the api asks of the providers: by way of the engine, for one organisation, and held up by no dead provider."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from temporalio.client import Client, WorkflowExecution, WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError

from api.gateway import Gateway
from o import ids
from o.contracts.models import ModelCard, ModelCards, ModelInput
from o.domain.price import Price
from o.errors import ModelTimeout, NotFound, Unavailable
from o.ids import DEFAULT_ORG
from o.keyring import Keyring
from o.store.provider_records import ProviderRecord
from o.store.repositories.providers import key_context
from o.store.session import Store
from o.temporal import Queue
from tests.emulators import openai_server
from tests.support.engine import TIMING, workers_of
from tests.support.servers import free_port

OTHER = "org-11111111-1111-4111-8111-111111111111"
KEYRING = Keyring(b"k" * 32)


@pytest.fixture(scope="module")
def vendor() -> Iterator[openai_server.Emulator]:
    with openai_server.running() as emulator:
        yield emulator


@pytest.fixture
async def gateway(store: Store, client: Client, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway to a worker that knows the scripted models, and whatever the rows say."""
    async with workers_of(store, client, tmp_path / "journal", {}, queues=(Queue.AGENT,), keyring=KEYRING):
        yield Gateway(client, TIMING)


async def bring(
    store: Store, name: str, base_url: str | None, *, key: str | None = openai_server.KEY, **more: Any
) -> ProviderRecord:
    provider_id = ids.new("provider")
    sealed = KEYRING.encrypt(key, context=key_context(provider_id)) if key else None
    async with store.transaction() as tx:
        return await tx.providers.add(
            {
                "id": provider_id,
                "name": name,
                "provider_type": "openai",
                "base_url": base_url,
                "api_key": sealed,
                **more,
            }
        )


@asynccontextmanager
async def silent(*models: str, port: int = 0) -> AsyncIterator[str]:
    """The address of a server that lists these models and never says another word; without models, none at all."""
    gone = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if models and head.startswith(b"GET /v1/models "):
            body = json.dumps({"object": "list", "data": [{"id": name} for name in models]}).encode()
            lines = ("HTTP/1.1 200 OK", "content-type: application/json", f"content-length: {len(body)}", "", "")
            writer.write("\r\n".join(lines).encode() + body)
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    gone.set()
    server.close()
    await server.wait_closed()


async def test_an_organisation_has_its_own_providers_models(
    gateway: Gateway, store: Store, vendor: openai_server.Emulator, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("INSERT INTO organizations (id, name) VALUES (%s, 'other')", (OTHER,))
    change = {"context_window": 9000, "images": False, "price": {"input": "0.25", "output": "1.5"}}
    await bring(store, "mine", vendor.url, models={"gpt-4o": change})
    ours = {card.handle: card for card in (await gateway.model_cards(DEFAULT_ORG)).models}
    card = ours["mine/gpt-4o"]
    assert (card.context_window, card.images, card.tools) == (9000, False, "native")
    assert card.max_output_tokens <= 9000
    assert card.price == Price(Decimal("0.25"), Decimal("1.5"))
    assert (card.provider_type, card.provider_category) == ("openai", "byok")
    assert ours["scripted/echo"].provider_category == "base"
    assert await gateway.model_card(DEFAULT_ORG, "mine/gpt-4o") == card
    theirs = {card.handle for card in (await gateway.model_cards(OTHER)).models}
    assert "scripted/echo" in theirs and "mine/gpt-4o" not in theirs
    with pytest.raises(NotFound, match="mine"):
        await gateway.model_card(OTHER, "mine/gpt-4o")


async def test_dead_and_silent_providers_are_left_out(
    gateway: Gateway, store: Store, vendor: openai_server.Emulator
) -> None:
    async with silent() as address:
        await bring(store, "silent", address)
        await bring(store, "nobody", f"http://127.0.0.1:{free_port()}/v1")
        await bring(store, "locked-out", vendor.url, key="sk-wrong")
        await bring(store, "mine", vendor.url)
        found = {card.handle.split("/")[0] for card in (await gateway.model_cards(DEFAULT_ORG)).models}
        assert {"mine", "scripted"} <= found
        assert not found & {"silent", "nobody", "locked-out"}


async def test_an_alias_is_the_first_model_that_answers(
    gateway: Gateway, store: Store, vendor: openai_server.Emulator
) -> None:
    await bring(store, "mine", vendor.url)
    await bring(store, "nobody", f"http://127.0.0.1:{free_port()}/v1")
    async with store.transaction() as tx:
        await tx.aliases.set("team/fast", ["nobody/gpt-4o", "mine/gpt-4o"])
        await tx.aliases.set("team/lost", ["nobody/gpt-4o"])
    cards = {card.handle: card for card in (await gateway.model_cards(DEFAULT_ORG)).models}
    assert cards["team/fast"] == cards["mine/gpt-4o"].model_copy(update={"handle": "team/fast"})
    assert "team/lost" not in cards
    assert (await gateway.model_card(DEFAULT_ORG, "team/fast")).context_window > 0


async def test_a_check_says_how_a_provider_answers(
    gateway: Gateway, store: Store, vendor: openai_server.Emulator
) -> None:
    good = await bring(store, "good", vendor.url)
    wrong = await bring(store, "wrong", vendor.url, key="sk-wrong-key-secret")
    dead = await bring(store, "dead", f"http://127.0.0.1:{free_port()}/v1")
    metadata = await bring(store, "metadata", "http://169.254.169.254/v1")
    answered = await gateway.check_provider(DEFAULT_ORG, good.id)
    assert answered.ok and answered.models > 0 and answered.code is None
    refused = await gateway.check_provider(DEFAULT_ORG, wrong.id)
    assert not refused.ok and refused.code == "llm_authentication"
    assert "wrong" in str(refused.message) and "sk-wrong" not in str(refused.message)
    assert "secret words" not in str(refused.message)
    assert not (await gateway.check_provider(DEFAULT_ORG, dead.id)).ok
    denied = await gateway.check_provider(DEFAULT_ORG, metadata.id)
    assert not denied.ok and "O_ALLOWED_HOSTS" in str(denied.message)
    with pytest.raises(NotFound):
        await gateway.check_provider(DEFAULT_ORG, ids.new("provider"))


async def test_a_check_of_a_silent_provider_ends(
    gateway: Gateway, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.models._PATIENCE", 0.5)
    async with silent() as address:
        row = await bring(store, "silent", address)
        outcome = await gateway.check_provider(DEFAULT_ORG, row.id)
        assert (outcome.ok, outcome.code) == (False, "llm_timeout")


async def test_a_key_of_another_key_file_is_told(
    store: Store, client: Client, tmp_path: Path, vendor: openai_server.Emulator
) -> None:
    row = await bring(store, "mine", vendor.url)
    other = Keyring(b"z" * 32)
    async with workers_of(store, client, tmp_path / "journal", {}, queues=(Queue.AGENT,), keyring=other):
        outcome = await Gateway(client, TIMING).check_provider(DEFAULT_ORG, row.id)
        assert (outcome.ok, outcome.code) == (False, "key_unusable")
        assert "O_KEY_FILE" in str(outcome.message)


async def test_a_fresh_list_asks_the_providers_again(
    gateway: Gateway, store: Store, vendor: openai_server.Emulator
) -> None:
    """A provider that was away is believed to be away for a while, unless somebody insists."""
    port = free_port()
    await bring(store, "late", f"http://127.0.0.1:{port}/v1", key=None)

    async def handles(*, fresh: bool) -> set[str]:
        return {card.handle for card in (await gateway.model_cards(DEFAULT_ORG, fresh=fresh)).models}

    assert "late/gpt-4o" not in await handles(fresh=False)
    async with silent("gpt-4o", port=port):
        assert "late/gpt-4o" not in await handles(fresh=False)
        assert "late/gpt-4o" in await handles(fresh=True)


async def test_embedding_models_are_listed_with_their_dimensions(
    gateway: Gateway, store: Store, vendor: openai_server.Emulator
) -> None:
    await bring(store, "mine", vendor.url)
    async with silent("gpt-4o", "text-embedding-x") as address:
        await bring(store, "slow", address, key=None)
        cards = await gateway.model_cards(DEFAULT_ORG)
    found = {card.handle: card.dimensions for card in cards.embeddings}
    assert found["mine/text-embedding-3-small"] == 1536
    assert "slow/text-embedding-x" not in found
    assert {"slow/gpt-4o", "mine/gpt-4o"} <= {card.handle for card in cards.models}


async def test_an_embedding_model_that_is_not_listed_is_asked(
    gateway: Gateway, store: Store, vendor: openai_server.Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bring(store, "mine", vendor.url)
    assert (await gateway.embedding_card(DEFAULT_ORG, "mine/embed-12")).dimensions == 12
    with pytest.raises(NotFound):
        await gateway.embedding_card(DEFAULT_ORG, "nobody/embed-12")
    with pytest.raises(NotFound):
        await gateway.embedding_card(DEFAULT_ORG, "scripted/echo")
    monkeypatch.setattr("activities.models._PATIENCE", 0.5)
    async with silent("text-embedding-x") as address:
        await bring(store, "slow", address, key=None)
        with pytest.raises(ModelTimeout, match="did not answer in time"):
            await gateway.embedding_card(DEFAULT_ORG, "slow/text-embedding-x")


async def test_no_key_is_in_any_history(
    gateway: Gateway, store: Store, client: Client, vendor: openai_server.Emulator
) -> None:
    row = await bring(store, "mine", vendor.url)
    await gateway.check_provider(DEFAULT_ORG, row.id)
    await gateway.model_cards(DEFAULT_ORG)
    seen: list[WorkflowExecution] = []
    async with asyncio.timeout(20):  # the list of workflows lags behind
        while {"CheckProvider", "ListModels"} - {found.workflow_type for found in seen}:
            seen = [found async for found in client.list_workflows()]
    for found in seen:
        history = json.dumps((await client.get_workflow_handle(found.id).fetch_history()).to_json_dict())
        assert openai_server.KEY not in history
        assert row.api_key is not None and row.api_key not in history


async def test_what_was_asked_before_there_were_organisations_is_answered(gateway: Gateway, client: Client) -> None:
    """An api of before, or a workflow it started, meets a worker of now."""
    cards = await client.execute_workflow(
        "ListModels", id="list-before", task_queue=Queue.AGENT, result_type=ModelCards
    )
    card = await client.execute_workflow(
        "DescribeModel", "scripted/echo", id="describe-before", task_queue=Queue.AGENT, result_type=ModelCard
    )
    assert card in cards.models


async def test_a_models_failure_keeps_its_code(
    gateway: Gateway, store: Store, client: Client, vendor: openai_server.Emulator
) -> None:
    await bring(store, "nobody", f"http://127.0.0.1:{free_port()}/v1")
    with pytest.raises(WorkflowFailureError) as failed:
        await client.execute_workflow(
            "DescribeEmbedding",
            ModelInput(handle="nobody/embed"),
            id="describe-embedding",
            task_queue=Queue.AGENT,
        )
    cause = failed.value.cause
    assert isinstance(cause, ActivityError) and isinstance(cause.cause, ApplicationError)
    assert cause.cause.type == "llm_unavailable"


async def test_without_a_worker_the_answer_is_unavailable(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.gateway._PATIENCE", timedelta(seconds=1))
    with pytest.raises(Unavailable, match="no worker answered"):
        await Gateway(client, TIMING).model_cards(DEFAULT_ORG)


async def test_many_slow_embedders_hold_up_nobody(gateway: Gateway, store: Store) -> None:
    async with silent("gpt-4o", "text-embedding-x") as address:
        for number in range(6):
            await bring(store, f"slow{number}", address, key=None)
        found = {card.handle for card in (await gateway.model_cards(DEFAULT_ORG)).models}
    assert {"scripted/echo", "slow5/gpt-4o"} <= found


async def test_a_key_that_does_not_open_takes_no_other_provider_away(
    gateway: Gateway, store: Store, vendor: openai_server.Emulator
) -> None:
    await bring(store, "mine", vendor.url)
    sealed = Keyring(b"z" * 32).encrypt("sk-lost", context="elsewhere")
    await bring(store, "lost", vendor.url, key=None, api_key=sealed)
    found = {card.handle for card in (await gateway.model_cards(DEFAULT_ORG)).models}
    assert "mine/gpt-4o" in found and "lost/gpt-4o" not in found
    assert (await gateway.model_card(DEFAULT_ORG, "scripted/echo")).handle == "scripted/echo"
    with pytest.raises(Unavailable, match="O_KEY_FILE"):
        await gateway.model_card(DEFAULT_ORG, "lost/gpt-4o")
