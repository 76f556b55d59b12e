"""Steps that meet what nobody foresaw: a worker told to stop in mid-reply, hostile arguments, rows that are broken."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.testing import ActivityEnvironment

from activities.base_tools import NATIVE_TOOLS
from activities.runs import RunActivities
from activities.tools import ToolContext
from o.contracts.turn import StepRef
from o.domain.json import JsonObject
from o.domain.request import TurnOptions
from o.errors import Unavailable
from o.store import queue
from o.store.session import Store
from o.temporal import StepStarter
from tests.support.agents import make_agent, request
from tests.support.engine import TIMING, Engine, script, workers_of
from workers import worker


def call(name: str, **arguments: object) -> JsonObject:
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


async def shown(store: Store, run_id: str) -> None:
    """Wait until a reader of the run would have seen something."""
    async with asyncio.timeout(10):
        while True:
            async with store.transaction() as tx:
                if await tx.events.after(run_id, 0):
                    return
            await asyncio.sleep(0.02)


async def test_a_worker_told_to_stop_in_mid_reply_leaves_no_half_of_it(
    store: Store, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(store, client, StepStarter(client, TIMING), tmp_path / "journal", dict(NATIVE_TOOLS))
    agent, conversation = await make_agent(store)
    slow = script({"text": "one two three four five six", "delta_delay": 0.4})
    asked = request(agent, conversation, slow, options=TurnOptions(stream_tokens=True))
    with monkeypatch.context() as patch:
        patch.setattr(worker, "_GRACE", timedelta(seconds=0))
        async with workers_of(store, client, engine.journal, engine.tools):
            accepted = await engine.accept(asked)
            await shown(store, accepted.run_id)
    async with workers_of(store, client, engine.journal, engine.tools):
        run = await engine.ended(accepted.run_id)
    async with store.transaction() as tx:
        said = [(message.role, message.text) for message in (await tx.messages.of_run(run.id))[1:]]
        whole = [event for event in await tx.events.after(run.id, 0) if event.kind == "message"]
    assert (run.stop_reason, engine.requests()) == ("end_turn", 2)
    assert said == [("assistant", "one two three four five six")]
    assert len(whole) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        '{"label": "human", "new_string": "a\\u0000b"}',
        '{"label": "human", "new_string": "\\ud800"}',
        '{"label": "human", "new_string": "x", "insert_line": 1e999}',
        '{"label": "\\u0000", "new_string": "x"}',
    ],
    ids=["nul", "half a pair", "infinite", "nul in a name"],
)
async def test_arguments_no_block_can_hold_go_back_to_the_model(engine: Engine, arguments: str) -> None:
    agent, conversation = await make_agent(engine.store)
    turns = script({"tool_calls": [{"name": "memory_insert", "raw": arguments}]}, {"text": "I see."})
    run = await engine.ended((await engine.accept(request(agent, conversation, turns))).run_id, 10)
    async with engine.store.transaction() as tx:
        (returned,) = (m.tool_returns[0] for m in await tx.messages.of_run(run.id) if m.role == "tool")
    assert (run.stop_reason, returned.status) == ("end_turn", "error")
    assert returned.content.startswith("Error: ")


async def test_what_an_unforeseen_error_says_is_in_no_history(engine: Engine) -> None:
    async def broken(context: ToolContext, arguments: JsonObject) -> str:
        raise RuntimeError("the words of a user") from ValueError("more of them")

    engine.tools["conversation_search"] = broken
    agent, conversation = await make_agent(engine.store)
    asked = request(agent, conversation, script(call("conversation_search"), {"text": "ok"}))
    run = await engine.ended((await engine.accept(asked)).run_id)
    assert run.stop_reason == "end_turn"
    history = await engine.client.get_workflow_handle(f"{run.id}/step-0").fetch_history()
    written = b"".join(event.SerializeToString() for event in history.events)
    assert b"RuntimeError" in written
    assert b"the words of a user" not in written
    assert b"more of them" not in written


async def test_one_broken_run_keeps_no_other_from_being_started(store: Store, engine: Engine) -> None:
    broken, healthy = await make_agent(store), await make_agent(store, model="scripted/echo")
    async with store.transaction() as tx:
        lost = await queue.accept(tx, request(*broken))
    async with store.transaction() as tx:
        left = await queue.accept(tx, request(*healthy, "Hello"))
    async with await store.listen_connection() as owner:
        await owner.execute(
            "UPDATE steps SET restarts = 9, outcome = '{\"calls\": 5}' WHERE run_id = %(run)s", {"run": lost.run_id}
        )
    runs = RunActivities(store, engine.client, engine.starter, stale_after=0.0, keep=3600.0)
    await ActivityEnvironment().run(runs.reconcile)
    assert (await engine.ended(left.run_id)).stop_reason == "end_turn"


class AwayStarter(StepStarter):
    """An engine that knows nothing and takes nothing."""

    async def start(self, at: StepRef, *, kind: str = "turn") -> None:
        raise Unavailable("the workflow engine does not answer")


async def test_an_engine_that_is_away_uses_up_no_restarts(store: Store, engine: Engine) -> None:
    agent, conversation = await make_agent(store, model="scripted/echo")
    async with store.transaction() as tx:
        accepted = await queue.accept(tx, request(agent, conversation))
    away = AwayStarter(engine.client, TIMING)
    for _ in range(5):
        away_runs = RunActivities(store, engine.client, away, stale_after=0.0, keep=3600.0)
        await ActivityEnvironment().run(away_runs.reconcile)
    runs = RunActivities(store, engine.client, engine.starter, stale_after=0.0, keep=3600.0)
    await ActivityEnvironment().run(runs.reconcile)
    assert (await engine.ended(accepted.run_id)).stop_reason == "end_turn"


async def test_a_step_that_is_cancelled_while_it_closes_its_run_closes_it(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store)
    asked = request(agent, conversation, script({"error": "llm_authentication", "delay": 0.5}))
    accepted = await engine.accept(asked)
    await engine.asked(1)
    assert accepted.start is not None
    handle = engine.client.get_workflow_handle(accepted.start.workflow_id)
    async with engine.store.transaction() as tx:
        await tx.conversations.lock(conversation)
        async with asyncio.timeout(8):
            while await _pending(handle) != ["run.close"]:
                await asyncio.sleep(0.05)
        await handle.cancel()
        # The engine has told the workflow once it has its next task behind it; the close still waits for the row.
        async with asyncio.timeout(8):
            while not await _was_told(handle):
                await asyncio.sleep(0.05)
    run = await engine.ended(accepted.run_id)
    await handle.result()
    assert (await handle.describe()).status == WorkflowExecutionStatus.COMPLETED
    assert (run.status, run.stop_reason) == ("failed", "llm_api_error")


async def _pending(handle: WorkflowHandle[Any, Any]) -> list[str]:
    return [each.activity_type.name for each in (await handle.describe()).raw_description.pending_activities]


async def _was_told(handle: WorkflowHandle[Any, Any]) -> bool:
    kinds = [event.event_type for event in (await handle.fetch_history()).events]
    told = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
    return told in kinds and EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED in kinds[kinds.index(told) :]
