"""The base tools of long-term memory: keep a text, find it again."""

import json
from typing import Annotated, Literal

from pydantic import Field

from activities.tool_arguments import Arguments, Text, moment, zone_of
from activities.tools import NativeTool, ToolContext
from o import ids
from o.domain import tokens
from o.domain.json import JsonObject
from o.store.repositories.archives import PassageSearch
from o.store.session import Transaction

_MOST_TOKENS = 8192  # the contract's bound, and more than any embedding model reads at once
_MOST_TAGS = 50

_Tag = Annotated[Text, Field(min_length=1, max_length=200)]


class _Kept(Arguments):
    content: Text
    tags: list[_Tag] = Field(default=[], max_length=_MOST_TAGS)


async def archival_memory_insert(context: ToolContext, arguments: JsonObject) -> str:
    """Keep a text. The call gives it its id, so that it is kept once however often the call is tried.

    What is kept by hand belongs to no call, and is kept each time.
    """
    kept = _Kept.read(arguments)
    if not kept.content.strip():
        raise ValueError("the argument content is empty: there is nothing to keep")
    if (size := tokens.bound(kept.content)) > _MOST_TOKENS:
        raise ValueError(
            f"the argument content has about {size} tokens; {_MOST_TOKENS} are the most that can be kept at once: "
            "keep it in several parts"
        )
    call = (context.run_id, context.step_id, context.call_id)
    passage_id = ids.derived("passage", *call) if context.call_id else ids.new("passage")
    async with context.store.transaction(context.org_id) as tx:
        archive_id = await _own_archive(tx, context.agent_id)
        await tx.archives.add_passage(
            passage_id, archive_id, kept.content, tags=kept.tags, created_at=tx.now(), actor=context.agent_id
        )
    return "None"


async def _own_archive(tx: Transaction, agent_id: str) -> str:
    """The id of the archive that the agent writes to; its first is made when it is needed."""
    await tx.agents.lock(agent_id)  # of two first memories at once, the second finds the archive of the first
    if held := await tx.archives.of_agent(agent_id):
        return held[0].id
    agent, archive_id = await tx.agents.get(agent_id), ids.new("archive")
    await tx.archives.add({"id": archive_id, "name": f"{agent.name}'s Archive", "created_by_id": agent_id})
    await tx.archives.attach(agent_id, archive_id)
    return archive_id


class _Looked(Arguments):
    query: Text
    tags: list[_Tag] = Field(default=[], max_length=_MOST_TAGS)
    tag_match_mode: Literal["any", "all"] = "any"
    top_k: int = Field(default=5, ge=1, le=100)
    start_datetime: Text | None = None
    end_datetime: Text | None = None


async def archival_memory_search(context: ToolContext, arguments: JsonObject) -> str:
    """Find what was kept, best match first, as a JSON list; times are in the agent's zone."""
    asked = _Looked.read(arguments)
    async with context.store.transaction(context.org_id) as tx:
        zone = zone_of((await tx.agents.get(context.agent_id)).timezone)
        what = PassageSearch(
            query=asked.query,
            tags=tuple(asked.tags),
            match_all_tags=asked.tag_match_mode == "all",
            start=moment(asked.start_datetime, "start_datetime", zone),
            end=moment(asked.end_datetime, "end_datetime", zone, end_of_day=True),
            limit=asked.top_k,
        )
        archives = await tx.archives.of_agent(context.agent_id)
        found = await tx.archives.search([archive.id for archive in archives], what)
    results = [
        {
            "id": passage.id,
            "timestamp": passage.created_at.astimezone(zone).isoformat(timespec="seconds"),
            "content": passage.text,
            "tags": passage.tags,
        }
        for passage in found
    ]
    return json.dumps(results, ensure_ascii=False)


ARCHIVAL_TOOLS: dict[str, NativeTool] = {
    "archival_memory_insert": archival_memory_insert,
    "archival_memory_search": archival_memory_search,
}
