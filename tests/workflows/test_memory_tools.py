"""Memory tools from the model's call to the blocks, their versions and the prompts that show them."""

import json

import pytest

from o import ids
from o.domain.json import JsonObject
from o.domain.messages import Message, ToolReturn
from o.store.repositories.blocks import Author
from o.store.session import Store
from tests.support.agents import make_agent, request
from tests.support.engine import Engine, script

TOOLS = (
    *("memory", "memory_apply_patch", "memory_rethink", "memory_finish_edits", "core_memory_append"),
    *("archival_memory_insert", "archival_memory_search"),
)


def call(tool: str, **arguments: object) -> JsonObject:
    return {"tool_calls": [{"name": tool, "arguments": arguments}]}


async def keeper(store: Store, blocks: dict[str, str]) -> tuple[str, str]:
    """An agent with the tools that are seldom attached."""
    agent_id, conversation_id = await make_agent(store, blocks=blocks)
    async with store.transaction() as tx:
        await tx.agents.set_tools(agent_id, [tool.id for tool in await tx.tools.by_names(TOOLS)])
    return agent_id, conversation_id


async def returns(engine: Engine, agent_id: str, conversation_id: str, *calls: JsonObject) -> list[ToolReturn]:
    """What these calls, made one after another, returned."""
    asked = request(agent_id, conversation_id, script(*calls, {"text": "Done."}))
    run = await engine.ended((await engine.accept(asked)).run_id)
    assert run.stop_reason == "end_turn"
    async with engine.store.transaction() as tx:
        messages = await tx.messages.of_run(run.id)
    return [returned for message in messages for returned in message.tool_returns]


async def values(store: Store, agent_id: str) -> dict[str, str]:
    async with store.transaction() as tx:
        return {block.label: block.value for block in (await tx.agents.whole(agent_id)).blocks}


async def prompt(store: Store, conversation_id: str) -> Message:
    async with store.transaction() as tx:
        return (await tx.messages.context(conversation_id))[0]


PATCH = """*** Update Block: human
@@
-Rome
+Oslo
*** Move to: person
*** Add Block: plans
Description: What comes next.
+Rest.
*** Delete Block: notes"""


async def test_a_patch_of_several_blocks_is_one_change(engine: Engine) -> None:
    agent, conversation = await keeper(engine.store, {"human": "Rome", "notes": "old"})
    patched, finished = await returns(
        *(engine, agent, conversation),
        call("memory_apply_patch", label="", patch=PATCH),
        call("memory_finish_edits"),
    )
    assert (patched.status, finished.status, finished.content) == ("success", "success", "None")
    assert await values(engine.store, agent) == {"person": "Oslo", "plans": "Rest."}
    shown = (await prompt(engine.store, conversation)).text
    assert "<person>" in shown and "What comes next." in shown and "<notes>" not in shown


async def test_a_patch_that_is_refused_in_part_changes_nothing(engine: Engine) -> None:
    agent, conversation = await keeper(engine.store, {"human": "Rome", "notes": "old"})
    broken = PATCH + "\n*** Update Block: nope\n@@\n-x"
    (refused,) = await returns(engine, agent, conversation, call("memory_apply_patch", label="", patch=broken))
    assert refused.status == "error"
    assert "no memory block labelled 'nope'" in refused.content
    assert await values(engine.store, agent) == {"human": "Rome", "notes": "old"}


async def test_every_holder_of_a_shared_block_sees_its_new_name_and_value(engine: Engine) -> None:
    agent, conversation = await keeper(engine.store, {"human": "Rome"})
    other, others = await make_agent(engine.store, blocks={"mine": "x"})
    block_id = ids.new("block")
    async with engine.store.transaction() as tx:
        await tx.blocks.add({"id": block_id, "label": "team", "value": "two"}, Author(ids.DEFAULT_USER))
        for each in (agent, other):
            await tx.agents.attach_block(each, block_id)
    taken, renamed, appended, detached = await returns(
        *(engine, agent, conversation),
        call("memory", command="rename", old_path="/memories/team", new_path="/memories/mine"),
        call("memory", command="rename", old_path="/memories/team", new_path="/memories/crew"),
        call("core_memory_append", label="crew", content="three"),
        call("memory", command="delete", path="/memories/crew"),
    )
    assert taken.status == "error" and "another agent has a block 'mine'" in taken.content
    assert [each.status for each in (renamed, appended, detached)] == ["success"] * 3
    assert await values(engine.store, agent) == {"human": "Rome"}
    assert await values(engine.store, other) == {"mine": "x", "crew": "two\nthree"}
    assert "<crew>" in (await prompt(engine.store, others)).text


async def test_every_edit_is_in_the_journal_with_its_call(engine: Engine) -> None:
    agent, conversation = await keeper(engine.store, {})
    made, rethought = await returns(
        *(engine, agent, conversation),
        call("memory", command="create", path="/memories/plans", description="Next.", file_text="Rest."),
        call("memory_rethink", label="plans", new_memory="Travel."),
    )
    assert rethought.content == "Travel."
    async with engine.store.transaction() as tx:
        block = await tx.blocks.of_agent(agent, "plans")
        rows = await tx.blocks._rows(
            "SELECT * FROM block_versions WHERE block_id = %(id)s ORDER BY version", {"id": block.id}
        )
    assert [row["value"] for row in rows] == ["Rest.", "Travel."]
    assert [row["call_id"] for row in rows] == [made.tool_call_id, rethought.tool_call_id]
    assert {row["actor"] for row in rows} == {agent}


@pytest.mark.parametrize("patch", ["[]", '[{"op": "add", "path": "/b", "value": 2}]'])
async def test_a_block_that_is_json_takes_a_json_patch(engine: Engine, patch: str) -> None:
    agent, conversation = await keeper(engine.store, {"facts": '{"a": 1}'})
    (returned,) = await returns(engine, agent, conversation, call("memory_apply_patch", label="facts", patch=patch))
    expected = {"a": 1} if patch == "[]" else {"a": 1, "b": 2}
    assert json.loads(returned.content) == expected == json.loads((await values(engine.store, agent))["facts"])


async def test_long_term_memory_outlives_the_turn(engine: Engine) -> None:
    agent, conversation = await keeper(engine.store, {})
    kept = await returns(
        *(engine, agent, conversation),
        call("archival_memory_insert", content="Ada likes tea.", tags=["ada"]),
        call("archival_memory_insert", content="Ada dislikes noise.", tags=["ada"]),
        call("archival_memory_insert", content=""),
    )
    assert [(each.status, each.content) for each in kept[:2]] == [("success", "None")] * 2
    assert kept[2].status == "error"
    (found,) = await returns(
        *(engine, agent, conversation), call("archival_memory_search", query="What does Ada like? tea", tags=["ada"])
    )
    assert [each["content"] for each in json.loads(found.content)] == ["Ada likes tea.", "Ada dislikes noise."]
