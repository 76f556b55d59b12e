"""Looking up what was said."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.base_tools import conversation_search, conversation_search_date, send_message
from activities.tools import ToolContext
from o import ids
from o.domain.json import JsonObject
from o.domain.messages import Message, TextPart, ToolCall, ToolReturn
from o.store.session import Store
from tests.support.agents import make_agent

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


async def talk(store: Store, timezone: str = "UTC") -> ToolContext:
    """An agent that heard six messages, a day apart."""
    agent_id, conversation_id = await make_agent(store, timezone=timezone)
    said = [
        Message(
            id=ids.new("message"),
            role="user",
            content=(TextPart(f"Day {number}"),),
            created_at=NOON + timedelta(days=number),
            agent_id=agent_id,
            conversation_id=conversation_id,
        )
        for number in range(6)
    ]
    async with store.transaction() as tx:
        await tx.messages.add(said)
    return ToolContext(ids.DEFAULT_ORG, agent_id, store)


async def days(context: ToolContext, **arguments: object) -> list[str]:
    answer = json.loads(await conversation_search_date(context, arguments))
    return [result["content"] for result in answer["results"]]


async def test_what_was_said_between_two_days_comes_by_pages(store: Store) -> None:
    context = await talk(store)
    february: JsonObject = {"start_date": "2026-02-01", "end_date": "2026-02-04"}
    assert await days(context, **february, limit=3) == ["Day 4", "Day 3", "Day 2"]
    assert await days(context, **february, limit=3, page=1) == ["Day 1"]
    assert await days(context, **february, limit=3, page=2) == []


async def test_a_day_is_one_where_the_agent_lives(store: Store) -> None:
    context = await talk(store, "Pacific/Kiritimati")  # fourteen hours ahead: noon is the next day there
    assert await days(context, start_date="2026-02-01", end_date="2026-02-01") == ["Day 0"]


async def test_null_is_as_good_as_absent(store: Store) -> None:
    context = await talk(store)
    arguments: JsonObject = {"query": "day 3", "roles": None, "limit": None, "start_date": "", "end_date": None}
    answer = json.loads(await conversation_search(context, arguments))
    assert [result["content"] for result in answer["results"]] == ["Day 3"]


async def test_what_is_said_by_a_tool_is_found_and_earlier_searches_are_not(store: Store) -> None:
    context = await talk(store)
    async with store.transaction() as tx:
        conversation_id, _ = await tx.agents.own_thread(context.agent_id)
        place: dict[str, Any] = {
            "agent_id": context.agent_id,
            "conversation_id": conversation_id,
            "created_at": NOON,
            "content": (),
        }
        said = ToolCall("call-1", "send_message", json.dumps({"message": "A zebra!"}))
        rows = [
            Message(id=ids.new("message"), role="assistant", tool_calls=(said,), **place),
            *[
                Message(
                    id=ids.new("message"), role="tool", tool_returns=(ToolReturn("call-1", text, name=name),), **place
                )
                for name, text in (("conversation_search", "zebra found"), ("look_up", "zebra seen"))
            ],
        ]
        await tx.messages.add(rows)
    answer = json.loads(await conversation_search(context, {"query": "zebra"}))
    assert [result["content"] for result in answer["results"]] == ["A zebra!"]
    answer = json.loads(await conversation_search(context, {"query": "zebra", "roles": ["tool"]}))
    assert [result["content"] for result in answer["results"]] == ["zebra seen"]


REFUSED_SEARCHES: list[tuple[JsonObject, str]] = [
    ({"limit": 51}, "argument limit"),
    ({"roles": ["system"]}, "argument roles.0"),
    ({"query": "a\0b"}, "NUL"),
    ({"start_date": "yesterday"}, "start_date must be a date"),
]


async def test_what_cannot_be_searched(store: Store) -> None:
    context = await talk(store)
    for arguments, complaint in REFUSED_SEARCHES:
        with pytest.raises(ValueError, match=complaint) as refusal:
            await conversation_search(context, arguments)
        assert "yesterday" not in str(refusal.value)


async def test_saying_nothing_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="'message' is missing"):
        await send_message(ToolContext(ids.DEFAULT_ORG, "agent-1", store), {})
