"""Model requests that meet what nobody foresaw: a bug, workers that die of them, an agent that is deleted meanwhile."""

from pathlib import Path

import psycopg
import pytest

from activities.routing import Routing
from o.errors import NotFound
from o.guard.policy import Guard
from o.ids import DEFAULT_ORG
from o.providers.local import LocalProvider
from o.providers.registry import Providers
from o.providers.spec import ProviderSpec
from o.store import queue
from o.store.session import Store
from tests.support.agents import make_agent, request
from tests.support.engine import Engine, script
from workers.vendors import builders


async def test_a_bug_is_not_met_more_often_than_a_failure(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.model.MODEL_TRIES", 2)
    met = 0

    def broken(*_: object) -> None:
        nonlocal met
        met += 1
        raise RuntimeError("a bug")

    monkeypatch.setattr("activities.model.assemble", broken)
    agent, conversation = await make_agent(engine.store)
    run = await engine.ended((await engine.accept(request(agent, conversation))).run_id)
    assert (run.stop_reason, met) == ("error", 2)
    assert run.error is not None and run.error["error_type"] == "internal_error"


async def test_a_request_that_kills_its_workers_is_given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.model.MODEL_TRIES", 2)
    agent, conversation = await make_agent(engine.store, model="scripted/echo")
    async with engine.store.transaction() as tx:
        accepted = await queue.accept(tx, request(agent, conversation))
        for _ in range(2):  # as attempts leave it whose workers died
            await tx.steps.next_attempt(accepted.run_id, 0, model=True)
    assert accepted.start is not None
    await engine.starter.start(accepted.start)
    run = await engine.ended(accepted.run_id)
    assert (run.stop_reason, engine.requests()) == ("llm_api_error", 0)
    assert run.error is not None and "no attempt lived to tell" in run.error["message"]


async def test_no_other_model_is_asked_for_an_agent_that_was_deleted(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, model="team/best")
    async with engine.store.transaction() as tx:
        await tx.aliases.set("team/best", ["scripted/json", "scripted/echo"])
    accepted = await engine.accept(request(agent, conversation, script({"text": "Late.", "delay": 0.5})))
    assert accepted.start is not None
    await engine.asked(1)
    async with engine.store.transaction() as tx:
        await tx.agents.delete(agent)
    await engine.closed(accepted.start)
    assert engine.requests() == 1


async def test_who_is_served_elsewhere_stands_in_no_line(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, model="team/best")
    async with engine.store.transaction() as tx:
        row = {"name": "scripted", "provider_type": "scripted", "requests_per_minute": 1}
        await tx.providers.add({"id": "provider-1", **row})
        await tx.providers.add({"id": "provider-2", "name": "spare", "provider_type": "scripted"})
        await tx.aliases.set("team/best", ["scripted/echo", "spare/echo"])
    served = []
    for _ in range(2):
        run = await engine.ended((await engine.accept(request(agent, conversation))).run_id)
        async with engine.store.transaction() as tx:
            served += [step.model for step in await tx.steps.of_run(run.id)]
    assert served == ["scripted/echo", "spare/echo"]
    async with await engine.store.listen_connection() as owner:
        assert await (await owner.execute("SELECT request_id FROM model_waits")).fetchall() == []


async def test_no_organisation_is_served_by_anothers_provider(store: Store, database_url: str, tmp_path: Path) -> None:
    other = "org-11111111-1111-4111-8111-111111111111"
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("INSERT INTO organizations (id, name) VALUES (%s, 'other')", (other,))
    async with store.transaction() as tx:
        await tx.providers.add({"id": "provider-1", "name": "mine", "provider_type": "scripted"})
        await tx.aliases.set("team/best", ["mine/echo"])
    built = builders(Guard(()), lambda: LocalProvider(tmp_path / "none.sock"), None)
    routing = Routing(store, Providers([ProviderSpec("scripted", "scripted")], built))
    assert {"mine/echo", "team/best"} <= set((await routing.models(DEFAULT_ORG)).models)  # and it is remembered
    assert set((await routing.models(other)).models) == {"scripted/echo", "scripted/json", "scripted/silent"}
    for handle in ("mine/echo", "team/best"):
        with pytest.raises(NotFound):
            await routing.describe(other, handle)
    with pytest.raises(NotFound):
        await routing.check(other, "provider-1")
