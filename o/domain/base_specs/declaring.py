"""How the base tools are declared: the value, and the pieces their schemas are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from o.domain.agent import Effect
from o.domain.json import JsonObject
from o.domain.model import ToolSpec

BaseToolType = Literal[
    "letta_core",
    "letta_memory_core",
    "letta_sleeptime_core",
    "letta_multi_agent_core",
    "letta_builtin",
]


@dataclass(frozen=True, slots=True)
class BaseTool:
    """A tool that O brings.

    Attributes:
        edits_memory: whether the activity that edits blocks runs it.
        idempotent: whether running a call twice leaves what running it once does; those that change nothing need not
            say so.
    """

    spec: ToolSpec
    tool_type: BaseToolType
    effect: Effect
    parallel: bool = False
    return_char_limit: int = 50_000
    idempotent: bool = False
    edits_memory: bool = False


def schema(required: Sequence[str] = (), **properties: JsonObject) -> JsonObject:
    """The schema of a tool's arguments."""
    return {"type": "object", "properties": properties, "required": list(required)}


def text(description: str) -> JsonObject:
    return {"type": "string", "description": description}


def flag(description: str) -> JsonObject:
    return {"type": "boolean", "description": description}


def whole(description: str, least: int | None = None, most: int | None = None) -> JsonObject:
    """A whole number, with its bounds where it has some."""
    bounds = {"minimum": least, "maximum": most}
    known = {name: bound for name, bound in bounds.items() if bound is not None}
    return {"type": "integer", "description": description, **known}


def choice(description: str, *words: str) -> JsonObject:
    return {"type": "string", "description": description, "enum": list(words)}


def texts(description: str, *words: str) -> JsonObject:
    """A list of texts, of these words alone where some are given."""
    item: JsonObject = {"type": "string", "enum": list(words)} if words else {"type": "string"}
    return {"type": "array", "items": item, "description": description}
