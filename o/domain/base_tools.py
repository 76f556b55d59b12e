"""The tools every organisation has: what the model is told of them, and which agents get them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from o.domain.agent import AgentType, Effect
from o.domain.json import JsonObject
from o.domain.model import ToolSpec


@dataclass(frozen=True, slots=True)
class BaseTool:
    """A tool that O runs itself. Memory tools are run by the activity that edits blocks."""

    spec: ToolSpec
    tool_type: Literal["letta_core", "letta_memory_core"]
    effect: Effect
    parallel: bool = False
    return_char_limit: int = 50_000
    idempotent: bool = False


def _schema(required: tuple[str, ...] = (), **properties: JsonObject) -> JsonObject:
    return {"type": "object", "properties": properties, "required": list(required)}


def _text(description: str) -> JsonObject:
    return {"type": "string", "description": description}


_LABEL = _text("Label of the memory block to edit.")

BASE_TOOLS: tuple[BaseTool, ...] = (
    BaseTool(
        ToolSpec(
            "send_message",
            "Say something to the user. This is the only way the user hears from you.",
            _schema(("message",), message=_text("What to say, in full.")),
        ),
        "letta_core",
        "pure",
    ),
    BaseTool(
        ToolSpec(
            "conversation_search",
            "Search everything said before in your conversations, also what is no longer in view.",
            _schema(
                query=_text("Words to look for; leave out to list by date or role only."),
                roles={
                    "type": "array",
                    "items": {"type": "string", "enum": ["assistant", "user", "tool"]},
                    "description": "Only messages of these speakers.",
                },
                limit={"type": "integer", "description": "Most results to return (5 by default).", "minimum": 1},
                start_date=_text("Earliest day or time, ISO 8601."),
                end_date=_text("Latest day or time, ISO 8601; a day counts to its end."),
            ),
        ),
        "letta_core",
        "reads",
        parallel=True,
    ),
    BaseTool(
        ToolSpec(
            "memory_insert",
            "Add text to one of your memory blocks, at a line or at the end.",
            _schema(
                ("label", "new_string"),
                label=_LABEL,
                new_string=_text("The text to add, without line numbers."),
                insert_line={
                    "type": "integer",
                    "description": "The line after which to add it: 0 is the beginning, -1 the end (default).",
                },
            ),
        ),
        "letta_memory_core",
        "writes",
        idempotent=True,
    ),
    BaseTool(
        ToolSpec(
            "memory_replace",
            "Replace one passage of a memory block by another, or remove it.",
            _schema(
                ("label", "old_string", "new_string"),
                label=_LABEL,
                old_string=_text("The passage to replace, to the letter; it must occur exactly once."),
                new_string=_text("What to put in its place; empty removes the passage."),
            ),
        ),
        "letta_memory_core",
        "writes",
        idempotent=True,
    ),
    BaseTool(
        ToolSpec(
            "core_memory_append",
            "Add text on a line of its own at the end of a memory block.",
            _schema(("label", "content"), label=_LABEL, content=_text("The text to add.")),
        ),
        "letta_memory_core",
        "writes",
        idempotent=True,
    ),
    BaseTool(
        ToolSpec(
            "core_memory_replace",
            "Replace every occurrence of a passage in a memory block.",
            _schema(
                ("label", "old_content", "new_content"),
                label=_LABEL,
                old_content=_text("The passage to replace, to the letter."),
                new_content=_text("What to put in its place; empty removes the passage."),
            ),
        ),
        "letta_memory_core",
        "writes",
        idempotent=True,
    ),
)

MEMORY_TOOLS = frozenset(tool.spec.name for tool in BASE_TOOLS if tool.tool_type == "letta_memory_core")


def with_labels(spec: ToolSpec, labels: Sequence[str]) -> ToolSpec:
    """A memory tool's schema with `label` narrowed to the blocks there are, so that no model invents one."""
    if spec.name not in MEMORY_TOOLS or not labels:
        return spec
    properties = spec.parameters["properties"]
    narrowed = {**properties, "label": {**properties["label"], "enum": list(labels)}}
    return replace(spec, parameters={**spec.parameters, "properties": narrowed})


_SETS: dict[AgentType, tuple[str, ...]] = {
    "letta_v1_agent": ("conversation_search", "memory_insert", "memory_replace"),
    "memgpt_v2_agent": ("send_message", "conversation_search", "memory_insert", "memory_replace"),
    "memgpt_agent": ("send_message", "conversation_search", "core_memory_append", "core_memory_replace"),
    "split_thread_agent": ("send_message", "conversation_search", "core_memory_append", "core_memory_replace"),
    "sleeptime_agent": ("memory_replace", "memory_insert"),
    "react_agent": (),
    "workflow_agent": (),
    "voice_convo_agent": ("send_message", "conversation_search"),
    "voice_sleeptime_agent": ("memory_replace", "memory_insert"),
}


def base_tools_of(agent_type: AgentType) -> tuple[str, ...]:
    """Names of the base tools a new agent of this type gets."""
    return _SETS[agent_type]
