"""What a tool returned, as the model is told of it (letta-v1 contract, section 10)."""

import json
from collections.abc import Mapping
from dataclasses import replace

from o.domain.messages import ToolReturn

# Characters of an error's words, and of a return where the tool does not say.
_LONGEST_ERROR = 1000
LONGEST_RETURN = 50_000

# Their answers are lists they have shortened themselves.
_UNCUT = frozenset({"conversation_search", "conversation_search_date", "archival_memory_search"})


def printed(value: object) -> str:
    """A returned value as text: texts as they are, documents as JSON, the rest as Python prints it."""
    match value:
        case str():
            return value
        case Mapping():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def failure(call_id: str, tool: str, words: str) -> ToolReturn:
    """A call that did not do what it should; `words` are `Type: message` where the tool raised something."""
    return ToolReturn(call_id, f"Error executing function {tool}: {words[:_LONGEST_ERROR]}", "error", tool)


def limited(returned: ToolReturn, limit: int) -> ToolReturn:
    """The return with at most `limit` characters, and a note of what was cut."""
    if len(returned.content) <= limit or returned.name in _UNCUT:
        return returned
    note = (
        f"\n[NOTE: this is cut off. The tool returned {len(returned.content)} characters; "
        f"its limit is {limit}, so only the first {limit} are shown.]"
    )
    return replace(returned, content=returned.content[:limit] + note)
