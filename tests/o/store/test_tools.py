"""Tools of an organisation: names, listing, search, agents that have them; and requests to run one by hand."""

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from o import ids
from o.domain.base_tools import BASE_TOOLS
from o.errors import Conflict, NotFound
from o.store.records import ToolRecord
from o.store.repositories.tools import ToolFilter
from o.store.session import Store
from tests.support.agents import make_agent

OTHER = "org-11111111-1111-4111-8111-111111111111"


@pytest.fixture
def other(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("INSERT INTO organizations (id, name) VALUES (%s, 'other')", (OTHER,))
    return OTHER


async def put(store: Store, name: str, *, org_id: str = ids.DEFAULT_ORG, **more: Any) -> ToolRecord:
    values = {"name": name, "tool_type": "custom", "json_schema": {"name": name}, **more}
    async with store.transaction(org_id) as tx:
        return await tx.tools.put(values)


async def names(store: Store, **what: Any) -> list[str]:
    async with store.transaction() as tx:
        return [tool.name for tool in await tx.tools.list(ToolFilter(**what))]


async def test_putting_a_name_again_changes_what_is_said_and_keeps_the_rest(store: Store) -> None:
    made = await put(store, "dice", tags=["fun"], effect="pure", created_by_id="user-a", sandbox={"cpu": 1.0})
    again = await put(store, "dice", description="Rolls.", created_by_id="user-b")
    assert again == replace(made, description="Rolls.", updated_at=again.updated_at)
    assert (again.tags, again.effect, again.sandbox, again.created_by_id) == (["fun"], "pure", {"cpu": 1.0}, "user-a")


async def test_a_name_of_another_kind_of_tool_is_not_taken_over(store: Store, other: str) -> None:
    async with store.transaction() as tx:
        await tx.tools.ensure_base()
    with pytest.raises(Conflict, match="named 'conversation_search'"):
        await put(store, "conversation_search")
    assert (await put(store, "conversation_search", org_id=other)).tool_type == "custom"


async def test_deleted_base_tools_come_back_and_nothing_else_changes(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.tools.ensure_base()
        (first, second) = await tx.tools.by_names(["conversation_search", "memory_insert"])
        await tx.tools.update(second.id, {"tags": ["mine"]})
        await tx.tools.delete(first.id)
    async with store.transaction() as tx:
        await tx.tools.restore_base()
        (back, kept) = await tx.tools.by_names(["conversation_search", "memory_insert"])
        assert back.id != first.id and (kept.id, kept.tags) == (second.id, ["mine"])
        assert await tx.tools.count(ToolFilter(base=True)) == len(BASE_TOOLS)


async def test_a_base_tool_of_an_older_version_becomes_todays(store: Store, database_url: str) -> None:
    await put(store, "memory_insert")
    async with store.transaction() as tx:
        await tx.tools.ensure_base()
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(
            "UPDATE tools SET tool_type = 'letta_builtin', effect = 'pure' WHERE name = 'conversation_search'"
        )
    async with store.transaction() as tx:
        await tx.tools.ensure_base()
        found, theirs = await tx.tools.by_names(["conversation_search", "memory_insert"])
    assert (found.tool_type, found.effect) == ("letta_core", "reads")
    assert theirs.tool_type == "custom"


async def test_tools_are_listed_by_every_filter_and_in_pages(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.tools.ensure_base()
    made = [await put(store, name, tags=[tag]) for name, tag in (("a_one", "x"), ("b_two", "y"), ("c_one", "y"))]
    own = {"tool_types": ("custom",)}
    assert await names(store, **own) == ["c_one", "b_two", "a_one"]
    assert await names(store, **own, order="asc", limit=2) == ["a_one", "b_two"]
    assert await names(store, **own, order="asc", after=made[0].id) == ["b_two", "c_one"]
    assert await names(store, **own, before=made[0].id, limit=1) == ["c_one"]
    assert await names(store, name="b_two") == ["b_two"]
    assert await names(store, names=("a_one", "none"), tool_ids=(made[0].id, made[1].id)) == ["a_one"]
    assert await names(store, search="ONE") == ["c_one", "a_one"]
    assert await names(store, search="%") == []
    assert await names(store, base=False, tags=("y",)) == ["c_one", "b_two"]
    assert await names(store, tool_ids=()) == []
    base_types = tuple({tool.tool_type for tool in BASE_TOOLS})
    assert await names(store, exclude_tool_types=base_types) == ["c_one", "b_two", "a_one"]
    with pytest.raises(NotFound):
        await names(store, after=ids.new("tool"))


async def test_a_search_finds_words_in_any_place_best_first(store: Store) -> None:
    await put(store, "roll_dice", description="Roll a number of dice.", tags=["games"])
    await put(store, "weather", description="Say how the weather will be.", tags=["world"])
    await put(store, "reroll", description="Once more.")

    async def found(query: str, **what: Any) -> list[tuple[str, bool]]:
        async with store.transaction() as tx:
            return [(tool.name, words) for tool, words in await tx.tools.search(query, ToolFilter(**what))]

    assert await found("rolling the dice") == [("roll_dice", True)]
    assert set(await found("roll")) == {("roll_dice", True), ("reroll", False)}
    assert (await found("dice weather games"))[0] == ("roll_dice", True)
    assert await found("GAMES") == [("roll_dice", True)]
    assert await found("dice weather", tags=("world",)) == [("weather", True)]
    for odd in ("the", "!&|()'\\ :*", "'", "a & b | !c <-> d"):
        assert await found(odd) == [] or odd == "the"


async def test_names_are_taken_once_also_by_renaming(store: Store) -> None:
    await put(store, "one")
    two = await put(store, "two")
    async with store.transaction() as tx:
        with pytest.raises(Conflict, match="another tool named 'one'"):
            await tx.tools.update(two.id, {"name": "one"})
        assert (await tx.tools.update(two.id, {"name": "two"})).name == "two"
        with pytest.raises(NotFound):
            await tx.tools.update(ids.new("tool"), {"tags": []})


async def test_a_tool_is_attached_once_and_only_within_its_organisation(store: Store, other: str) -> None:
    agent_id, _ = await make_agent(store)
    tool = await put(store, "dice")
    theirs = await put(store, "dice", org_id=other)
    async with store.transaction() as tx:
        await tx.tools.attach(agent_id, tool.id)
        await tx.tools.attach(agent_id, tool.id)
        assert (await tx.tools.of_agent(agent_id, "dice")).id == tool.id
        with pytest.raises(NotFound):
            await tx.tools.attach(agent_id, theirs.id)
        await tx.tools.detach(agent_id, tool.id)
        await tx.tools.detach(agent_id, tool.id)
        with pytest.raises(NotFound, match="'dice' is not attached"):
            await tx.tools.of_agent(agent_id, "dice")
        with pytest.raises(NotFound):
            await tx.tools.detach(agent_id, theirs.id)
        with pytest.raises(NotFound):
            await tx.tools.delete(theirs.id)


async def test_a_request_is_taken_once_and_its_result_read_once(store: Store, other: str) -> None:
    run_id = ids.new("tool_run")
    async with store.transaction() as tx:
        await tx.tool_runs.add(run_id, "sealed")
        assert not await tx.tool_runs.taken(run_id)
    async with store.transaction(other) as tx:
        assert await tx.tool_runs.take(run_id) is None
    async with store.transaction() as tx:
        assert await tx.tool_runs.take(run_id) == "sealed"
        assert await tx.tool_runs.take(run_id) is None
        assert await tx.tool_runs.taken(run_id)
        assert not await tx.tool_runs.withdraw(run_id)
        await tx.tool_runs.finish(run_id, "result")
        assert await tx.tool_runs.collect(run_id) == "result"
        assert await tx.tool_runs.collect(run_id) is None


async def test_a_request_that_was_withdrawn_is_taken_by_nobody(store: Store) -> None:
    run_id = ids.new("tool_run")
    async with store.transaction() as tx:
        await tx.tool_runs.add(run_id, "sealed")
        assert await tx.tool_runs.withdraw(run_id)
        assert await tx.tool_runs.take(run_id) is None
        await tx.tool_runs.finish(run_id, "late")
        assert await tx.tool_runs.collect(run_id) is None


async def test_rows_nobody_came_back_for_go_in_all_organisations(store: Store, database_url: str, other: str) -> None:
    old, new, theirs = (ids.new("tool_run") for _ in range(3))
    async with store.transaction() as tx:
        await tx.tool_runs.add(old, "sealed")
        await tx.tool_runs.add(new, "sealed")
    async with store.transaction(other) as tx:
        await tx.tool_runs.add(theirs, "sealed")
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(
            "UPDATE tool_runs SET created_at = now() - interval '2 hours' WHERE id = ANY(%s)", ([old, theirs],)
        )
    async with store.transaction() as tx:
        assert await tx.tool_runs.prune(older_than=3600) == 2
        assert await tx.tool_runs.take(old) is None
        assert await tx.tool_runs.take(new) == "sealed"
