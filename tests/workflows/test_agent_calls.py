"""Agents that speak to each other: runs of the other agent, awaited by the step through a signal."""

import asyncio
import json
from typing import Any

import psycopg
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from o.domain.agent import ASK_AGENT, ASK_AGENTS, TELL_AGENT
from o.domain.json import JsonObject
from o.domain.messages import Message, ToolReturn
from o.store import queue
from tests.support.agents import make_agent, request
from tests.support.engine import Engine, script
from tests.workflows.test_step import reconcile


def call(name: str, **arguments: object) -> JsonObject:
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


async def speaker(engine: Engine, model: str = "scripted/json", **columns: Any) -> tuple[str, str]:
    """An agent that may speak to others; its id and its conversation's."""
    agent_id, conversation_id = await make_agent(engine.store, model=model, **columns)
    async with engine.store.transaction() as tx:
        tools = await tx.tools.by_names([ASK_AGENT, ASK_AGENTS, TELL_AGENT])
        await tx.agents.set_tools(agent_id, [tool.id for tool in tools])
    return agent_id, conversation_id


async def messages_of(engine: Engine, run_id: str) -> list[Message]:
    async with engine.store.transaction() as tx:
        return await tx.messages.of_run(run_id)


async def returned(engine: Engine, run_id: str) -> ToolReturn:
    """The only return of a run."""
    (found,) = [each for message in await messages_of(engine, run_id) for each in message.tool_returns]
    return found


async def asked_by(engine: Engine, run_id: str) -> list[str]:
    async with engine.store.transaction() as tx:
        return [run.id for run in await tx.runs.asked_in(run_id, 0)]


async def test_the_reply_of_another_agent_comes_back(engine: Engine) -> None:
    echo, _ = await speaker(engine, "scripted/echo")
    agent, conversation = await speaker(engine)
    asking = script(call(ASK_AGENT, message="Are you there?", other_agent_id=echo), {"text": "It is."})
    run = await engine.ended((await engine.accept(request(agent, conversation, asking))).run_id)
    assert run.stop_reason == "end_turn"
    back = await returned(engine, run.id)
    assert back.status == "success"
    assert "Are you there?" in back.content and agent in back.content
    (asked,) = await asked_by(engine, run.id)
    heard = (await messages_of(engine, asked))[0]
    assert heard.sender_id == agent and heard.role == "user"


async def test_many_agents_are_asked_by_their_tags(engine: Engine) -> None:
    one, _ = await speaker(engine, "scripted/echo", tags=["team", "north"])
    two, _ = await speaker(engine, "scripted/echo", tags=["team", "south"])
    await speaker(engine, "scripted/echo", tags=["team", "west"])
    agent, conversation = await speaker(engine, tags=["team", "north"])
    asking = script(
        call(ASK_AGENTS, message="Report!", match_all=["team"], match_some=["north", "south"]), {"text": "Thanks."}
    )
    run = await engine.ended((await engine.accept(request(agent, conversation, asking))).run_id)
    answers = json.loads((await returned(engine, run.id)).content)
    assert {answer["agent_id"] for answer in answers} == {one, two}
    assert all(answer["ok"] and "Report!" in answer["reply"] for answer in answers)


async def test_a_message_without_an_answer_keeps_nobody_waiting(engine: Engine) -> None:
    slow, _ = await speaker(engine)
    agent, conversation = await speaker(engine)
    told = script({"text": "Late", "delay": 20})
    asking = script(call(TELL_AGENT, message=told, other_agent_id=slow), {"text": "Told."})
    run = await engine.ended((await engine.accept(request(agent, conversation, asking))).run_id, deadline=10)
    assert run.stop_reason == "end_turn"
    assert (await returned(engine, run.id)).status == "success"
    (asked,) = await asked_by(engine, run.id)
    async with engine.store.transaction() as tx:
        assert (await tx.runs.get(asked)).completed_at is None


async def test_nobody_is_asked_by_whom_they_asked(engine: Engine) -> None:
    first, conversation = await speaker(engine)
    second, _ = await speaker(engine)
    inner = call(ASK_AGENT, message="And you?", other_agent_id=first)
    # The scripted model plays the last script it finds: the inner one is the message it hears.
    outer = script(
        call(ASK_AGENT, message=script(inner, {"text": "I gave up."}), other_agent_id=second), {"text": "Ok"}
    )
    run = await engine.ended((await engine.accept(request(first, conversation, outer))).run_id)
    assert run.stop_reason == "end_turn"
    (asked,) = await asked_by(engine, run.id)
    refusal = await returned(engine, asked)
    assert refusal.status == "error" and "asked for this itself" in refusal.content
    assert "I gave up." in (await returned(engine, run.id)).content


async def test_two_that_would_wait_for_each_other_do_not(engine: Engine) -> None:
    """Both hold their conversations and ask the other: without a look around, neither would ever end."""
    one, first = await speaker(engine)
    two, second = await speaker(engine)
    runs = [
        (
            await engine.accept(
                request(
                    agent,
                    conversation,
                    script({"delay": 1, **call(ASK_AGENT, message="?", other_agent_id=other)}, {"text": "Done"}),
                )
            )
        ).run_id
        for agent, conversation, other in ((one, first, two), (two, second, one))
    ]
    ended = await asyncio.gather(*(engine.ended(run_id) for run_id in runs))
    assert {run.stop_reason for run in ended} == {"end_turn"}
    returns = [await returned(engine, run_id) for run_id in runs]
    assert any("waiting for you" in back.content for back in returns if back.status == "error")


async def test_cancelling_the_one_that_asks_cancels_the_one_that_was_asked(engine: Engine) -> None:
    slow, _ = await speaker(engine)
    agent, conversation = await speaker(engine)
    asking = script(call(ASK_AGENT, message=script({"text": "Late", "delay": 60}), other_agent_id=slow))
    accepted = await engine.accept(request(agent, conversation, asking))
    await engine.asked(2)
    async with engine.store.transaction() as tx:
        cancelling = await queue.cancel(tx, accepted.run_id)
    assert cancelling.workflow is not None
    await engine.client.get_workflow_handle(cancelling.workflow.workflow_id).cancel()
    (asked,) = await asked_by(engine, accepted.run_id)
    ended = [await engine.ended(run_id, deadline=10) for run_id in (accepted.run_id, asked)]
    assert [run.status for run in ended] == ["cancelled", "cancelled"]


async def test_unknown_agents_and_oneself_are_refused_in_words(engine: Engine) -> None:
    agent, conversation = await speaker(engine)
    others = (("agent-nobody", "no agent with the id"), ("agent-\0", "NUL"), (agent, "yourself"))
    for other, words in others:
        asking = script(call(ASK_AGENT, message="Hello?", other_agent_id=other), {"text": "Never mind."})
        run = await engine.ended((await engine.accept(request(agent, conversation, asking))).run_id)
        back = await returned(engine, run.id)
        assert back.status == "error" and words in back.content
        assert run.stop_reason == "end_turn"


async def test_an_asked_agent_that_waits_for_a_person_says_so(engine: Engine) -> None:
    rule = {"type": "requires_approval", "tool_name": TELL_AGENT}
    careful, _ = await speaker(engine, rules=[rule])
    agent, conversation = await speaker(engine)
    told = script(call(TELL_AGENT, message="x", other_agent_id=agent))
    asking = script(call(ASK_AGENT, message=told, other_agent_id=careful), {"text": "Well."})
    run = await engine.ended((await engine.accept(request(agent, conversation, asking))).run_id)
    assert "waits for a person's approval" in (await returned(engine, run.id)).content
    again = script(call(ASK_AGENT, message="Hello?", other_agent_id=careful), {"text": "Well."})
    run = await engine.ended((await engine.accept(request(agent, conversation, again))).run_id)
    back = await returned(engine, run.id)
    assert back.status == "error" and "waits for a person's approval" in back.content


async def test_what_the_database_cannot_hold_is_refused_in_words(engine: Engine) -> None:
    echo, _ = await speaker(engine, "scripted/echo")
    agent, conversation = await speaker(engine)
    for arguments in (
        {"name": ASK_AGENT, "message": "a\0b", "other_agent_id": echo},
        {"name": ASK_AGENTS, "message": "Hello?", "match_all": ["te\0am"]},
    ):
        name = str(arguments.pop("name"))
        asking = script(call(name, **arguments), {"text": "Never mind."})
        run = await engine.ended((await engine.accept(request(agent, conversation, asking))).run_id)
        back = await returned(engine, run.id)
        assert back.status == "error" and "NUL" in back.content


async def test_a_cancel_that_comes_while_another_agent_is_being_asked_reaches_it_too(
    engine: Engine, database_url: str
) -> None:
    """The question is held up until after the cancel: the run it makes shall not go on with nobody waiting for it."""
    slow, other_conversation = await speaker(engine)
    agent, conversation = await speaker(engine)
    asking = script(call(ASK_AGENT, message=script({"text": "Late", "delay": 60}), other_agent_id=slow))
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("SELECT 1 FROM conversations WHERE id = %s FOR UPDATE", [other_conversation])
        accepted = await engine.accept(request(agent, conversation, asking))
        await somebody_waits_for_a_lock(database_url)
        async with engine.store.transaction() as tx:
            cancelling = await queue.cancel(tx, accepted.run_id)
        assert cancelling.workflow is not None
        handle = engine.client.get_workflow_handle(cancelling.workflow.workflow_id)
        await handle.cancel()
        await cancel_received(handle)
    assert (await engine.ended(accepted.run_id, deadline=10)).status == "cancelled"
    for asked in await asked_by(engine, accepted.run_id):
        assert (await engine.ended(asked, deadline=10)).status == "cancelled"
    async with engine.store.transaction() as tx:
        assert await tx.runs.active_of(slow) == []


async def test_the_asker_hears_of_the_end_of_a_run_that_the_reconciler_started_again(engine: Engine) -> None:
    slow, _ = await speaker(engine)
    agent, conversation = await speaker(engine)
    asking = script(
        call(ASK_AGENT, message=script({"text": "At last", "delay": 2}), other_agent_id=slow), {"text": "Ok"}
    )
    accepted = await engine.accept(request(agent, conversation, asking))
    await engine.asked(2)
    (asked,) = await asked_by(engine, accepted.run_id)
    handle = engine.client.get_workflow_handle(f"{asked}/step-0")
    await handle.terminate()
    await reconcile(engine)
    await engine.client.get_workflow_handle(handle.id).result()
    told = EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED
    assert told in [event.event_type async for event in handle.fetch_history_events()]
    assert (await engine.ended(accepted.run_id)).stop_reason == "end_turn"


async def test_whom_a_run_asked_that_is_given_up_is_cancelled_with_it(engine: Engine) -> None:
    slow, _ = await speaker(engine)
    agent, conversation = await speaker(engine)
    asking = script(call(ASK_AGENT, message=script({"text": "Late", "delay": 60}), other_agent_id=slow))
    accepted = await engine.accept(request(agent, conversation, asking))
    await engine.asked(2)
    (asked,) = await asked_by(engine, accepted.run_id)
    await engine.client.get_workflow_handle(f"{accepted.run_id}/step-0").terminate()
    for _ in range(4):
        async with engine.store.transaction() as tx:
            await tx.steps.restarted(accepted.run_id, 0)
    await reconcile(engine)
    assert (await engine.ended(accepted.run_id)).stop_reason == "error"
    assert (await engine.ended(asked, deadline=10)).status == "cancelled"


async def test_a_long_reply_is_cut_with_a_note(engine: Engine) -> None:
    echo, _ = await speaker(engine, "scripted/echo")
    agent, conversation = await speaker(engine)
    async with engine.store.transaction() as tx:
        (tool,) = await tx.tools.by_names([ASK_AGENT])
        await tx.tools.update(tool.id, {"return_char_limit": 100})
    asking = script(call(ASK_AGENT, message="x" * 500, other_agent_id=echo), {"text": "Ok"})
    run = await engine.ended((await engine.accept(request(agent, conversation, asking))).run_id)
    assert "[NOTE: this is cut off." in (await returned(engine, run.id)).content


async def somebody_waits_for_a_lock(database_url: str) -> None:
    async with asyncio.timeout(10), await psycopg.AsyncConnection.connect(database_url, autocommit=True) as watcher:
        while True:
            waiting = await watcher.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if await waiting.fetchone():
                return
            await asyncio.sleep(0.02)


async def cancel_received(handle: WorkflowHandle[Any, Any]) -> None:
    """Wait until the workflow has decided what follows from its cancellation."""
    wanted = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
    async with asyncio.timeout(10):
        while True:
            events = [event.event_type async for event in handle.fetch_history_events()]
            if wanted in events and EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED in events[events.index(wanted) :]:
                return
            await asyncio.sleep(0.02)
