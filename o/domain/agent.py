"""The values that make an agent, as a step needs them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from o.domain.blocks import Block
from o.domain.json import JsonObject
from o.domain.model import Sampling, ToolSpec
from o.domain.tool_rules import ToolRule

AgentType = Literal[
    "memgpt_agent",
    "memgpt_v2_agent",
    "letta_v1_agent",
    "react_agent",
    "workflow_agent",
    "split_thread_agent",
    "sleeptime_agent",
    "voice_convo_agent",
    "voice_sleeptime_agent",
]
AGENT_TYPES: tuple[AgentType, ...] = get_args(AgentType)

# Types that speak through the send_message tool: its calls print as assistant messages.
LEGACY_TYPES = frozenset(set(AGENT_TYPES) - {"letta_v1_agent", "sleeptime_agent", "react_agent", "workflow_agent"})

# What a tool does to the world: nothing at all, look at it, change what O keeps, or change something elsewhere.
Effect = Literal["pure", "reads", "writes", "external"]

MAX_STEPS_DEFAULT = 50


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as it is attached to an agent. `tool_type` tells who runs it."""

    id: str
    name: str
    tool_type: str
    spec: ToolSpec
    effect: Effect
    return_char_limit: int
    parallel: bool
    idempotent: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether it may be run again when nobody knows whether it ran: it changes nothing, or says it may."""
        return self.idempotent or self.effect in ("pure", "reads")


def own_or_shared(own: JsonObject | None, of_agent: JsonObject) -> JsonObject:
    """The model configuration of a conversation: its own if that names a model, else its agent's with what differs."""
    own = own or {}
    return own if "handle" in own else {**of_agent, **own}


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent, whole: its heritable part and what is attached to it now.

    Attributes:
        model: handle, `provider/model`.
        context_window: tokens, prompt and reply together.
    """

    id: str
    org_id: str
    name: str
    agent_type: AgentType
    system: str
    model: str
    context_window: int
    sampling: Sampling
    strict: bool
    parallel_tool_calls: bool
    response_format: JsonObject | None
    rules: tuple[ToolRule, ...]
    tools: tuple[Tool, ...]
    blocks: tuple[Block, ...]
    timezone: str
    message_buffer_autoclear: bool
    created_at: datetime

    @property
    def speaks_by_tool(self) -> bool:
        """Whether this type answers through `send_message` instead of plain text."""
        return self.agent_type in LEGACY_TYPES
