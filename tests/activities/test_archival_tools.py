"""Long-term memory as an agent's tools use it."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from activities.archival_tools import archival_memory_insert, archival_memory_search
from activities.tools import ToolContext
from o import ids
from o.domain.json import JsonObject
from o.store.session import Store
from tests.support.agents import make_agent


async def caller(
    store: Store, agent_id: str | None = None, call: str = "call-1", *, timezone: str = "UTC"
) -> ToolContext:
    agent_id = agent_id or (await make_agent(store, timezone=timezone))[0]
    return ToolContext(ids.DEFAULT_ORG, agent_id, store, "conv-1", "run-1", "step-1", call)


async def search(context: ToolContext, query: str, **more: object) -> list[dict[str, object]]:
    results: list[dict[str, object]] = json.loads(await archival_memory_search(context, {"query": query, **more}))
    return results


async def test_the_first_memory_makes_the_agents_archive(store: Store) -> None:
    context = await caller(store)
    assert await search(context, "tea") == []
    assert await archival_memory_insert(context, {"content": "Ada likes tea.", "tags": ["ada", "ada"]}) == "None"
    async with store.transaction() as tx:
        (archive,) = await tx.archives.of_agent(context.agent_id)
    assert archive.name == "Tester's Archive"
    (result,) = await search(context, "tea")
    assert (result["content"], result["tags"]) == ("Ada likes tea.", ["ada"])


async def test_a_call_that_is_tried_again_keeps_its_text_once(store: Store) -> None:
    context = await caller(store)
    for _ in range(2):
        await archival_memory_insert(context, {"content": "tea"})
    await archival_memory_insert(await caller(store, context.agent_id, "call-2"), {"content": "tea"})
    assert len(await search(context, "tea")) == 2


async def test_first_memories_at_once_share_one_archive(store: Store) -> None:
    agent_id = (await caller(store)).agent_id
    contexts = [await caller(store, agent_id, f"call-{number}") for number in range(6)]
    await asyncio.gather(*[archival_memory_insert(context, {"content": "tea"}) for context in contexts])
    async with store.transaction() as tx:
        archives = await tx.archives.of_agent(agent_id)
        assert [await tx.archives.count([archive.id]) for archive in archives] == [6]


async def test_times_are_the_agents(database_url: str) -> None:
    def evening() -> datetime:
        return datetime(2026, 1, 31, 23, 30, tzinfo=UTC)

    async with Store(database_url, size=2, clock=evening) as store:
        context = await caller(store, timezone="Asia/Tokyo")
        await archival_memory_insert(context, {"content": "tea"})
        (result,) = await search(context, "tea", start_datetime="2026-02-01", end_datetime="2026-02-01")
        assert result["timestamp"] == "2026-02-01T08:30:00+09:00"
        assert await search(context, "tea", end_datetime="2026-01-31") == []
        assert await search(context, "tea", start_datetime="2026-01-31T23:31Z") == []


REFUSED_INSERTS: list[tuple[JsonObject, str]] = [
    ({}, "'content' is missing"),
    ({"content": "  "}, "empty"),
    ({"content": "a\0b"}, "NUL"),
    ({"content": "\ud800"}, "content"),
    ({"content": "word " * 9000}, "8192 are the most"),
    ({"content": "x", "tags": "ada"}, "argument tags"),
    ({"content": "x", "tags": ["\0"]}, "tags.0"),
]


async def test_what_is_not_kept(store: Store) -> None:
    context = await caller(store)
    for arguments, complaint in REFUSED_INSERTS:
        with pytest.raises(ValueError, match=complaint):
            await archival_memory_insert(context, arguments)
    async with store.transaction() as tx:
        assert await tx.archives.of_agent(context.agent_id) == []


REFUSED_SEARCHES: list[tuple[JsonObject, str]] = [
    ({"query": "x", "top_k": 0}, "top_k"),
    ({"query": "x", "tag_match_mode": "some"}, "tag_match_mode"),
    ({"query": "x", "start_datetime": "soon"}, "start_datetime must be a date"),
    ({"query": "x", "end_datetime": "9999-12-31"}, "end_datetime must be a date"),
]


async def test_what_cannot_be_searched(store: Store) -> None:
    context = await caller(store, timezone="America/New_York")
    for arguments, complaint in REFUSED_SEARCHES:
        with pytest.raises(ValueError, match=complaint):
            await archival_memory_search(context, arguments)
