"""The base tools that O runs itself from its own store: speaking, and looking up what was said."""

import json
from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Literal

from pydantic import Field

from activities.archival_tools import ARCHIVAL_TOOLS
from activities.tool_arguments import Arguments, Text, moment, zone_of
from activities.tools import NativeTool, ToolContext
from o.domain.json import JsonObject
from o.domain.transcript import words_of

_RESULTS = 5
_MOST_RESULTS = 50
_MOST_PAGES = 20


class _Said(Arguments):
    message: Text


async def send_message(context: ToolContext, arguments: JsonObject) -> str:
    """Say something to the user: the call itself is what the user sees."""
    _Said.read(arguments)
    return "Sent message successfully."


class _Search(Arguments):
    query: Text | None = None
    roles: list[Literal["assistant", "user", "tool"]] | None = None
    limit: int = Field(default=_RESULTS, ge=1, le=_MOST_RESULTS)
    start_date: Text | None = None
    end_date: Text | None = None


async def conversation_search(context: ToolContext, arguments: JsonObject) -> str:
    """Search what was said before, newest first; tool rows and the search itself are left out unless asked for."""
    return await _listed(context, _Search.read(arguments), page=0)


class _Between(Arguments):
    start_date: Text
    end_date: Text
    limit: int = Field(default=_RESULTS, ge=1, le=_MOST_RESULTS)
    page: int = Field(default=0, ge=0, lt=_MOST_PAGES)


async def conversation_search_date(context: ToolContext, arguments: JsonObject) -> str:
    """List what was said between two days or times, newest first, a page at a time."""
    asked = _Between.read(arguments)
    search = _Search(start_date=asked.start_date, end_date=asked.end_date, limit=asked.limit)
    return await _listed(context, search, page=asked.page)


async def _listed(context: ToolContext, asked: _Search, *, page: int) -> str:
    roles: Sequence[str] | None = asked.roles or None
    async with context.store.transaction(context.org_id) as tx:
        zone = zone_of((await tx.agents.get(context.agent_id)).timezone)
        found = await tx.messages.search(
            context.agent_id,
            query=asked.query,
            roles=roles,
            start=moment(asked.start_date, "start_date", zone),
            end=moment(asked.end_date, "end_date", zone, end_of_day=True),
            limit=(page + 1) * asked.limit,
        )
        now = tx.now()
    results = [
        {
            "timestamp": message.created_at.astimezone(UTC).isoformat(timespec="seconds"),
            "time_ago": _ago(now - message.created_at),
            "role": message.role,
            "content": words_of(message),
        }
        for message in found[page * asked.limit :]
    ]
    message = f"Showing {len(results)} results" if results else "No results found"
    return json.dumps({"message": message, "results": results}, ensure_ascii=False)


def _ago(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit} ago"
    return f"{max(seconds, 0)}s ago"


# Those that need the store alone.
NATIVE_TOOLS: dict[str, NativeTool] = {
    "send_message": send_message,
    "conversation_search": conversation_search,
    "conversation_search_date": conversation_search_date,
    **ARCHIVAL_TOOLS,
}
