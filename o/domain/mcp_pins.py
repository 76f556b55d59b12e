"""What an MCP server says of its tools, pinned: a tool that says something else later is not taken silently.

The description and the schema of a tool are words in a model's prompt, written by somebody else. They reach a model
only as they were when a person took them; anything else is a drift, which a person accepts by refreshing the server.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from o.domain.json import JsonObject

MAX_TOOLS = 500
MAX_DESCRIPTION = 16_384  # characters
MAX_SCHEMA = 65_536  # bytes, as JSON
MAX_DEPTH = 24
_MAX_OFFERED_NAME = 128
# What every language-model provider takes as the name of a tool.
_MAX_NAME = 64
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")

Aspect = Literal["description", "schema", "annotations", "gone"]


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool as its server describes it now."""

    name: str
    description: str
    schema: JsonObject
    annotations: JsonObject = field(default_factory=dict)

    @property
    def pin(self) -> str:
        """A hash of everything a model or a person is told about the tool."""
        told = [self.name, self.description, self.schema, self.annotations]
        return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def pinned(self, problem: str | None = None) -> JsonObject:
        """What is stored of it; `problem` is why no model may call it."""
        return {
            "name": self.name,
            "pin": self.pin,
            "description": self.description,
            "schema": self.schema,
            "annotations": self.annotations,
            "problem": problem,
            "drift": None,
        }


@dataclass(frozen=True, slots=True)
class Known:
    """A stored tool of a server: its id, its name for models, and what was pinned of it."""

    id: str
    name: str
    mcp: JsonObject


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a listing changes. `same` are those that are as they were pinned, and may have drifted in between."""

    added: tuple[Offered, ...]
    changed: tuple[tuple[Known, Offered], ...]
    same: tuple[Known, ...]
    gone: tuple[Known, ...]


def compare(known: Iterable[Known], offered: Iterable[Offered]) -> Comparison:
    """Hold a server's listing against what is pinned; of tools of one name the first counts."""
    now: dict[str, Offered] = {}
    for tool in offered:
        now.setdefault(tool.name, tool)
    before = {str(tool.mcp["name"]): tool for tool in known}
    both = [(tool, now[name]) for name, tool in before.items() if name in now]
    return Comparison(
        added=tuple(tool for name, tool in now.items() if name not in before),
        changed=tuple((tool, new) for tool, new in both if tool.mcp["pin"] != new.pin),
        same=tuple(tool for tool, new in both if tool.mcp["pin"] == new.pin),
        gone=tuple(tool for name, tool in before.items() if name not in now),
    )


def drift(pinned: Mapping[str, object], offered: Offered | None) -> JsonObject:
    """What differs from the pin, for a person to look at; None is a tool that the server has no longer."""
    if offered is None:
        gone: list[Aspect] = ["gone"]
        return {"changed": gone}
    aspects: tuple[Aspect, ...] = ("description", "schema", "annotations")
    changed = [aspect for aspect in aspects if pinned.get(aspect) != getattr(offered, aspect)]
    # A hostile novelty shall not fill the row; what is too large is named, not kept.
    shown = {aspect: getattr(offered, aspect) for aspect in changed if not _too_large(getattr(offered, aspect))}
    return {"changed": changed, "pin": offered.pin, "now": shown}


def flaw(offered: Offered) -> str | None:
    """Why a tool cannot be offered to a model as it is; None if nothing is wrong with it."""
    if len(offered.description) > MAX_DESCRIPTION:
        return f"its description has more than {MAX_DESCRIPTION} characters"
    if _depth(offered.schema) > MAX_DEPTH:
        return f"its schema is nested deeper than {MAX_DEPTH} levels"
    if _size(offered.schema) > MAX_SCHEMA:
        return f"its schema has more than {MAX_SCHEMA} bytes"
    if _too_large(offered.annotations):
        return f"its annotations have more than {MAX_SCHEMA} bytes"
    return None


def nameable(name: str) -> bool:
    """Whether a tool of this name can be kept at all."""
    return 0 < len(name) <= _MAX_OFFERED_NAME and name.isprintable()


def name_for_models(server: str, tool: str, taken: Collection[str]) -> str | None:
    """A name for the tool that no other tool has: its own, or with the server's before it; None if both are taken."""
    own = _UNFIT.sub("_", tool)
    for name in (own, f"{_UNFIT.sub('_', server)}_{own}"):
        if len(name) <= _MAX_NAME and name not in taken:
            return name
    return None


def storable(value: object) -> object:
    """The value with what Postgres cannot hold replaced: NUL and half a surrogate pair by U+FFFD, NaN by None."""
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {str(storable(key)): storable(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [storable(child) for child in value]
    return value


def _too_large(value: object) -> bool:
    return _depth(value) > MAX_DEPTH or _size(value) > MAX_SCHEMA


def _size(value: object) -> int:
    return len(json.dumps(value))


def _depth(value: object) -> int:
    """How deep a document is nested, counted level by level so that no nesting overtaxes the counter."""
    depth, level = 0, [value]
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [
            child
            for node in level
            if isinstance(node, Mapping | list | tuple)
            for child in (node.values() if isinstance(node, Mapping) else node)
        ]
    return depth
