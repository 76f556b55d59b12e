"""The tools every organisation has: what the model is told of them, and which agents get them."""

from collections.abc import Sequence
from dataclasses import replace

from o.domain.agent import AgentType
from o.domain.base_specs.archival import ARCHIVAL
from o.domain.base_specs.builtin import BUILTIN
from o.domain.base_specs.declaring import BaseTool
from o.domain.base_specs.memory import MEMORY, OF_EXISTING_BLOCKS
from o.domain.base_specs.talk import TALK
from o.domain.model import ToolSpec

BASE_TOOLS: tuple[BaseTool, ...] = (*TALK, *MEMORY, *ARCHIVAL, *BUILTIN)

# Run by the activity that edits blocks.
MEMORY_TOOLS = frozenset(tool.spec.name for tool in BASE_TOOLS if tool.edits_memory)


def with_labels(spec: ToolSpec, labels: Sequence[str]) -> ToolSpec:
    """A memory tool's schema with `label` narrowed to the blocks there are, so that no model invents one."""
    properties = spec.parameters.get("properties", {})
    if spec.name not in OF_EXISTING_BLOCKS or not labels or "label" not in properties:
        return spec
    narrowed = {**properties, "label": {**properties["label"], "enum": list(labels)}}
    return replace(spec, parameters={**spec.parameters, "properties": narrowed})


_CHAT = ("send_message", "conversation_search")
_OF_FIRST_TYPES = (*_CHAT, "core_memory_append", "core_memory_replace", "memory", "memory_apply_patch")
_OF_CONSOLIDATION = ("memory_replace", "memory_insert", "memory_rethink", "memory_finish_edits")
_WITH_SLEEPTIME = (*_CHAT, "archival_memory_search")

_SETS: dict[AgentType, tuple[str, ...]] = {
    "letta_v1_agent": ("conversation_search", "memory_insert", "memory_replace"),
    "memgpt_v2_agent": (*_CHAT, "memory_insert", "memory_replace"),
    "memgpt_agent": _OF_FIRST_TYPES,
    "split_thread_agent": _OF_FIRST_TYPES,
    "sleeptime_agent": _OF_CONSOLIDATION,
    "react_agent": (),
    "workflow_agent": (),
    "voice_convo_agent": _CHAT,
    "voice_sleeptime_agent": _OF_CONSOLIDATION,
}
# Types whose memory another agent never tends.
_WITHOUT_SLEEPTIME = frozenset({"sleeptime_agent", "voice_convo_agent", "voice_sleeptime_agent"})


def base_tools_of(agent_type: AgentType, *, sleeptime: bool = False) -> tuple[str, ...]:
    """Names of the base tools a new agent of this type gets.

    Args:
        sleeptime: whether another agent tends its memory between turns; then it edits none itself.
    """
    if sleeptime and agent_type not in _WITHOUT_SLEEPTIME:
        return _WITH_SLEEPTIME
    return _SETS[agent_type]
