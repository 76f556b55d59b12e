"""Steps on the real engine: what a turn writes, how it ends, and what people can see of it in Temporal."""

import asyncio
import json

from temporalio.api.enums.v1 import EventType
from temporalio.testing import ActivityEnvironment

from activities.runs import RunActivities
from activities.tools import ToolContext
from o.contracts.turn import StepRef
from o.domain.json import JsonObject
from o.domain.messages import Approval
from o.domain.request import TurnOptions
from o.store import queue
from o.temporal import AGENT_RUN_ID, STEP_INDEX, STOP_REASON
from tests.support.agents import make_agent, request
from tests.support.engine import Engine


def script(*turns: JsonObject) -> str:
    return json.dumps({"turns": list(turns)})


def call(name: str, **arguments: object) -> JsonObject:
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


def at(asked: queue.TurnRequest, index: int = 0) -> StepRef:
    run_id = asked.input[0].run_id
    assert run_id is not None
    return StepRef(
        org_id="org-00000000-0000-4000-8000-000000000000",
        agent_id=asked.agent_id,
        conversation_id=asked.conversation_id,
        run_id=run_id,
        index=index,
    )


async def test_a_plain_turn_is_one_workflow_with_one_activity(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, model="scripted/echo")
    asked = request(agent, conversation, "Hello")
    run = await engine.ended((await engine.accept(asked)).run_id)
    await engine.closed(at(asked))
    assert (run.status, run.stop_reason) == ("completed", "end_turn")
    history = await engine.client.get_workflow_handle(at(asked).workflow_id).fetch_history()
    kinds = [event.event_type for event in history.events]
    assert kinds.count(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) == 1
    assert b"Hello" not in b"".join(event.SerializeToString() for event in history.events)
    described = await engine.client.get_workflow_handle(at(asked).workflow_id).describe()
    assert described.typed_search_attributes.get(AGENT_RUN_ID) == run.id
    assert described.typed_search_attributes.get(STEP_INDEX) == 0
    assert described.typed_search_attributes.get(STOP_REASON) == "end_turn"
    assert await described.static_summary() == f"step 0 of {run.id}"
    async with engine.store.transaction() as tx:
        said = [(m.role, m.text) for m in await tx.messages.of_run(run.id)]
    assert said == [("user", "Hello"), ("assistant", "You said: Hello")]
    assert engine.requests() == 1


async def test_a_memory_edit_is_made_once_and_seen_in_the_next_step(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store)
    edit = call("memory_replace", label="human", old_string="unknown", new_string="Ada")
    run = await engine.ended(
        (await engine.accept(request(agent, conversation, script(edit, {"text": "Done."})))).run_id
    )
    assert run.stop_reason == "end_turn"
    async with engine.store.transaction() as tx:
        block = await tx.blocks.of_agent(agent, "human")
        messages = await tx.messages.of_run(run.id)
        system = (await tx.messages.context(conversation))[0].text
        steps = await tx.steps.of_run(run.id)
    assert (block.value, block.version) == ("Name: Ada", 2)
    assert [m.role for m in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[2].tool_returns[0].content == "Name: Ada"
    assert "Name: Ada" in system
    assert [step.status for step in steps] == ["success", "success"]
    assert len({m.step_id for m in messages[1:3]}) == 1 and messages[3].step_id != messages[1].step_id


async def test_refused_edits_and_broken_calls_go_back_to_the_model(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, blocks={"human": "x"})
    turns = script(
        call("memory_replace", label="human", old_string="zebra", new_string="y"),
        call("memory_insert", label="nope", new_string="y"),
        call("memory_insert", label="human"),
        call("no_such_tool"),
        call("conversation_search", limit="many"),
        {"text": "I give up."},
    )
    run = await engine.ended((await engine.accept(request(agent, conversation, turns))).run_id)
    async with engine.store.transaction() as tx:
        messages = await tx.messages.of_run(run.id)
    returns = [m.tool_returns[0] for m in messages if m.role == "tool"]
    assert run.stop_reason == "end_turn"
    assert {returned.status for returned in returns} == {"error"}
    for returned, words in zip(
        returns,
        ["does not occur", "no memory block labelled 'nope'", "'new_string' is missing", "no_such_tool", "limit"],
        strict=True,
    ):
        assert words in returned.content


async def test_conversation_search_finds_what_was_said(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store)
    await engine.ended(
        (await engine.accept(request(agent, conversation, script({"text": "The key is under the mat."})))).run_id
    )
    turns = script(call("conversation_search", query="UNDER the mat", roles=["assistant"]), {"text": "Found."})
    run = await engine.ended((await engine.accept(request(agent, conversation, turns))).run_id)
    async with engine.store.transaction() as tx:
        found = next(m.tool_returns[0] for m in await tx.messages.of_run(run.id) if m.role == "tool")
    assert [r["content"] for r in json.loads(found.content)["results"]] == ["The key is under the mat."]


async def test_max_steps_ends_a_turn_that_would_go_on(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store)
    turns = script(*[call("conversation_search", query="x")] * 5)
    asked = request(agent, conversation, turns, options=TurnOptions(max_steps=3))
    run = await engine.ended((await engine.accept(asked)).run_id)
    assert (run.stop_reason, run.step_index, engine.requests()) == ("max_steps", 2, 3)


async def test_queued_runs_follow_each_other_without_help(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, model="scripted/echo")
    accepted = [await engine.accept(request(agent, conversation, f"m{n}")) for n in range(4)]
    for one in accepted:
        assert (await engine.ended(one.run_id)).stop_reason == "end_turn"
    async with engine.store.transaction() as tx:
        said = [m.text for m in (await tx.messages.context(conversation))[1:]]
    assert said == [text for n in range(4) for text in (f"m{n}", f"You said: m{n}")]


async def test_a_model_that_fails_for_good_ends_the_run_and_the_next_message_works(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store)
    failing = script({"error": "llm_authentication"})
    run = await engine.ended((await engine.accept(request(agent, conversation, failing))).run_id)
    assert (run.status, run.stop_reason) == ("failed", "llm_api_error")
    assert run.error is not None and run.error["error_type"] == "llm_authentication"
    run = await engine.ended((await engine.accept(request(agent, conversation, script({"text": "ok"})))).run_id)
    assert run.stop_reason == "end_turn"


async def test_a_broken_stream_is_retried_and_its_text_kept_once(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store)
    turns = script(
        {"text": "A whole sentence.", "partial": "A whole sen", "error": "llm_unavailable", "attempts_failing": 1}
    )
    asked = request(agent, conversation, turns, options=TurnOptions(stream_tokens=True))
    run = await engine.ended((await engine.accept(asked)).run_id)
    async with engine.store.transaction() as tx:
        events = await tx.events.after(run.id, 0)
        messages = await tx.messages.of_run(run.id)
    assert (run.stop_reason, engine.requests()) == ("end_turn", 2)
    assert [event.kind for event in events if event.kind != "delta"] == ["reset", "message", "end"]
    deltas = [event.data for event in events if event.kind == "delta"]
    assert {delta["id"] for delta in deltas} == {messages[1].id}
    assert "".join(delta["content"] for delta in deltas) == messages[1].text == "A whole sentence."
    reset = next(event.data for event in events if event.kind == "reset")
    assert reset["id"] != messages[1].id


async def test_cancel_reaches_a_model_request_within_moments_and_keeps_what_came(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store)
    slow = script({"text": "one two three four five six seven eight nine ten", "delta_delay": 0.3})
    asked = request(agent, conversation, slow, options=TurnOptions(stream_tokens=True))
    accepted = await engine.accept(asked)
    async with asyncio.timeout(10):
        while True:
            async with engine.store.transaction() as tx:
                if await tx.events.after(accepted.run_id, 0):
                    break
            await asyncio.sleep(0.02)
    async with engine.store.transaction() as tx:
        await queue.cancel(tx, accepted.run_id)
    async with asyncio.timeout(1.5):
        await engine.ended(accepted.run_id)
    await engine.closed(at(asked))
    async with engine.store.transaction() as tx:
        messages = await tx.messages.of_run(accepted.run_id)
        ends = [e for e in await tx.events.after(accepted.run_id, 0) if e.kind == "end"]
    assert [m.role for m in messages] == ["user", "assistant"]
    assert messages[1].text.startswith("one") and "ten" not in messages[1].text
    assert [e.data["stop_reason"] for e in ends] == ["cancelled"]


async def test_cancel_inside_a_tool_leaves_no_orphan_and_the_agent_usable(engine: Engine) -> None:
    began = asyncio.Event()

    async def wait_long(context: ToolContext, arguments: JsonObject) -> str:
        began.set()
        await asyncio.sleep(60)
        return "never"

    engine.tools["conversation_search"] = wait_long
    agent, conversation = await make_agent(engine.store)
    accepted = await engine.accept(request(agent, conversation, script(call("conversation_search"), {"text": "x"})))
    async with asyncio.timeout(10):
        await began.wait()
    async with engine.store.transaction() as tx:
        await queue.cancel(tx, accepted.run_id)
    async with asyncio.timeout(2):
        run = await engine.ended(accepted.run_id)
    assert run.status == "cancelled"
    async with engine.store.transaction() as tx:
        context = await tx.messages.context(conversation)
    asked_for = [c.id for m in context for c in m.tool_calls]
    returned = [r.tool_call_id for m in context for r in m.tool_returns]
    assert asked_for == returned != []
    run = await engine.ended((await engine.accept(request(agent, conversation, script({"text": "ok"})))).run_id)
    assert run.stop_reason == "end_turn"


async def test_a_tool_that_breaks_again_and_again_is_reported_and_the_run_goes_on(engine: Engine) -> None:
    async def broken(context: ToolContext, arguments: JsonObject) -> str:
        raise RuntimeError("a bug in the tool's worker")

    engine.tools["conversation_search"] = broken
    agent, conversation = await make_agent(engine.store)
    run = await engine.ended(
        (await engine.accept(request(agent, conversation, script(call("conversation_search"), {"text": "ok"})))).run_id
    )
    assert run.stop_reason == "end_turn"
    async with engine.store.transaction() as tx:
        returned = next(m.tool_returns[0] for m in await tx.messages.of_run(run.id) if m.role == "tool")
    assert returned.status == "error"


async def test_an_approval_waits_as_a_row_and_its_answer_runs_the_tool(engine: Engine) -> None:
    rule: JsonObject = {"type": "requires_approval", "tool_name": "memory_insert"}
    agent, conversation = await make_agent(engine.store, rules=[rule])
    turns = script(call("memory_insert", label="human", new_string="likes tea"), {"text": "Noted."})
    asked = request(agent, conversation, turns)
    first = await engine.ended((await engine.accept(asked)).run_id)
    await engine.closed(at(asked))
    assert (first.status, first.stop_reason) == ("completed", "requires_approval")
    async with engine.store.transaction() as tx:
        pending = await tx.approvals.pending(conversation)
        assert pending is not None
        assert (await tx.blocks.of_agent(agent, "human")).version == 1
    answer = request(agent, conversation, approvals=(Approval(pending.calls[0], approve=True),))
    second = await engine.ended((await engine.accept(answer)).run_id)
    assert second.stop_reason == "end_turn"
    async with engine.store.transaction() as tx:
        assert "likes tea" in (await tx.blocks.of_agent(agent, "human")).value
        asking, answering = await tx.steps.of_run(first.id), await tx.steps.of_run(second.id)
        roles = [m.role for m in await tx.messages.context(conversation)]
    assert asking[0].id == answering[0].id
    assert roles == ["system", "user", "approval", "approval", "tool", "assistant"]
    assert engine.requests() == 2


async def test_a_terminated_workflow_is_started_again_by_the_reconciler(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store)
    asked = request(agent, conversation, script({"text": "slow", "delay": 2.0}))
    accepted = await engine.accept(asked)
    async with asyncio.timeout(10):
        while engine.requests() < 1:
            await asyncio.sleep(0.02)
    await engine.client.get_workflow_handle(at(asked).workflow_id).terminate()
    await reconcile(engine)
    assert (await engine.ended(accepted.run_id)).stop_reason == "end_turn"


async def test_what_was_committed_but_never_started_is_started(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, model="scripted/echo")
    asked = request(agent, conversation, "Hello")
    async with engine.store.transaction() as tx:
        accepted = await queue.accept(tx, asked)
    await reconcile(engine)
    assert (await engine.ended(accepted.run_id)).stop_reason == "end_turn"


async def test_a_run_that_dies_again_and_again_is_ended(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store)
    asked = request(agent, conversation, script({"text": "slow", "delay": 30.0}))
    accepted = await engine.accept(asked)
    for attempt in range(1, 5):
        await engine.asked(attempt)  # from then on nobody touches the run, and a single look must find it
        await engine.client.get_workflow_handle(at(asked).workflow_id).terminate()
        await reconcile(engine)
    run = await engine.ended(accepted.run_id)
    assert (run.status, run.stop_reason) == ("failed", "error")


async def reconcile(engine: Engine) -> None:
    """One look, as the schedule takes it."""
    runs = RunActivities(engine.store, engine.client, engine.starter, stale_after=0.0, keep=3600.0)
    await asyncio.wait_for(ActivityEnvironment().run(runs.reconcile), 20)
