"""What must hold whatever crashes: the promises no other test keeps an eye on."""

import asyncio
from contextlib import suppress

import psycopg
from temporalio.testing import ActivityEnvironment

from activities.runs import RunActivities
from activities.tools import ToolContext
from o.contracts.turn import StepOutcome
from o.domain.json import JsonObject
from o.ids import DEFAULT_ORG
from o.store import queue
from o.store.session import Store
from o.temporal import AGENT_ID, CONVERSATION_ID, ORG_ID, RUN_KIND, StepStarter
from tests.support.agents import make_agent, request
from tests.support.engine import TIMING, Engine, own_client, script, workers_of
from tests.support.servers import Temporal
from tests.workflows.test_step import at, call


async def test_people_can_find_a_step_by_whose_it_is(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, model="scripted/echo")
    asked = request(agent, conversation, "Hello")
    await engine.ended((await engine.accept(asked)).run_id)
    attributes = (await engine.client.get_workflow_handle(at(asked).workflow_id).describe()).typed_search_attributes
    found = [attributes.get(key) for key in (ORG_ID, AGENT_ID, CONVERSATION_ID, RUN_KIND)]
    assert found == [DEFAULT_ORG, agent, conversation, "turn"]


async def test_past_retention_the_row_decides(engine: Engine, temporal: Temporal) -> None:
    agent, conversation = await make_agent(engine.store, model="scripted/echo")
    asked = request(agent, conversation, "Hello")
    run = await engine.ended((await engine.accept(asked)).run_id)
    await engine.closed(at(asked))
    forgetful = await own_client(temporal.address)  # an engine that knows nothing of the step any more
    async with workers_of(engine.store, forgetful, engine.journal, engine.tools):
        await StepStarter(forgetful, TIMING).start(at(asked))
        again = await forgetful.get_workflow_handle(at(asked).workflow_id, result_type=StepOutcome).result()
    assert again.stop == "end_turn"
    assert engine.requests() == 1
    async with engine.store.transaction() as tx:
        assert [m.role for m in await tx.messages.of_run(run.id)] == ["user", "assistant"]


async def test_a_conversation_is_handed_over_only_after_the_last_effect(engine: Engine) -> None:
    began, effects = asyncio.Event(), list[str]()

    async def stubborn(context: ToolContext, arguments: JsonObject) -> str:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:  # what it began it finishes, however often it is told to stop
            finishing = asyncio.create_task(asyncio.sleep(1.0))
            while not finishing.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.shield(finishing)
            effects.append("last")
        return "never"

    engine.tools["conversation_search"] = stubborn
    agent, conversation = await make_agent(engine.store)
    first = await engine.accept(request(agent, conversation, script(call("conversation_search"), {"text": "x"})))
    second = await engine.accept(request(agent, conversation, script({"text": "next"})))
    await asyncio.wait_for(began.wait(), 10)
    async with engine.store.transaction() as tx:
        await queue.cancel(tx, first.run_id)
    await asyncio.sleep(0.3)  # time enough for a hand-over that does not wait
    async with engine.store.transaction() as tx:
        assert (await tx.runs.get(first.run_id)).status == "cancelled"
        assert (await tx.conversations.get(conversation)).active_run_id == first.run_id
        assert effects == []
    assert (await engine.ended(second.run_id)).stop_reason == "end_turn"
    assert effects == ["last"]


async def test_the_sweep_denies_what_waited_too_long(engine: Engine, database_url: str) -> None:
    rule: JsonObject = {"type": "requires_approval", "tool_name": "memory_insert"}
    agent, conversation = await make_agent(engine.store, rules=[rule])
    turns = script(call("memory_insert", label="human", new_string="x"), {"text": "ok"})
    first = await engine.ended((await engine.accept(request(agent, conversation, turns))).run_id)
    assert first.stop_reason == "requires_approval"
    with psycopg.connect(database_url) as connection:  # a week goes by
        connection.execute("UPDATE approvals SET expires_at = now() - interval '1 second'")
    async with Store(database_url) as store:
        runs = RunActivities(store, engine.client, engine.starter, stale_after=3600.0, keep=3600.0)
        await ActivityEnvironment().run(runs.reconcile)
    run = await engine.ended((await engine.accept(request(agent, conversation, script({"text": "ok"})))).run_id)
    assert run.stop_reason == "end_turn"
    async with engine.store.transaction() as tx:
        context = await tx.messages.context(conversation)
    assert any("Nobody answered in time" in returned.content for m in context for returned in m.tool_returns)


async def test_the_same_key_at_the_same_moment_is_one_run(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, model="scripted/echo")
    asked = [request(agent, conversation, "pay", idempotency_key="once") for _ in range(6)]
    accepted = await asyncio.gather(*map(engine.accept, asked))
    assert len({one.run_id for one in accepted}) == 1
    await engine.ended(accepted[0].run_id)
    assert engine.requests() == 1
