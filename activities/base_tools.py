"""The base tools that O runs itself, besides the memory edits."""

import json
from datetime import UTC, datetime, timedelta

from activities.tools import NativeTool, ToolContext
from o.domain.json import JsonObject

_RESULTS = 5
_MOST_RESULTS = 50
_ROLES = ("assistant", "user", "tool")


async def send_message(context: ToolContext, arguments: JsonObject) -> str:
    """Say something to the user: the call itself is what the user sees."""
    if not isinstance(arguments.get("message"), str):
        raise ValueError("the argument message must be a text")
    return "Sent message successfully."


async def conversation_search(context: ToolContext, arguments: JsonObject) -> str:
    """Search what was said before, newest first; tool rows and the search itself are left out unless asked for."""
    limit = arguments.get("limit") or _RESULTS
    if not isinstance(limit, int) or not 1 <= limit <= _MOST_RESULTS:
        raise ValueError(f"limit must be a whole number between 1 and {_MOST_RESULTS}")
    roles = arguments.get("roles") or None
    if roles is not None and (not isinstance(roles, list) or not set(roles) <= set(_ROLES)):
        raise ValueError(f"roles must be a list of {', '.join(_ROLES)}")
    async with context.store.transaction(context.org_id) as tx:
        found = await tx.messages.search(
            context.agent_id,
            query=arguments.get("query"),
            roles=roles,
            start=_moment(arguments.get("start_date"), "start_date"),
            end=_moment(arguments.get("end_date"), "end_date", end_of_day=True),
            limit=limit,
        )
        now = tx.now()
    results = [
        {
            "timestamp": message.created_at.astimezone(UTC).isoformat(timespec="seconds"),
            "time_ago": _ago(now - message.created_at),
            "role": message.role,
            "content": message.text,
        }
        for message in found
    ]
    message = f"Showing {len(results)} results" if results else "No results found"
    return json.dumps({"message": message, "results": results}, ensure_ascii=False)


def _moment(text: object, name: str, *, end_of_day: bool = False) -> datetime | None:
    """An ISO 8601 day or time; without a zone it is UTC."""
    if text in (None, ""):
        return None
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"{name} must be a date or time in ISO 8601, like 2026-01-31 or 2026-01-31T09:30") from None
    if end_of_day and len(str(text)) == len("2026-01-31"):
        moment += timedelta(days=1, microseconds=-1)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ago(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit} ago"
    return f"{max(seconds, 0)}s ago"


NATIVE_TOOLS: dict[str, NativeTool] = {
    "send_message": send_message,
    "conversation_search": conversation_search,
}
