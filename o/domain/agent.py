"""The values that make an agent, as a step needs them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from o.domain.blocks import Block
from o.domain.json import JsonObject
from o.domain.model import Sampling, ToolSpec
from o.domain.tool_policy import Policy
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

# Types whose turn goes on only where a tool call asks for it; all others go on after every call.
HEARTBEAT_TYPES = frozenset(set(AGENT_TYPES) - {"letta_v1_agent", "sleeptime_agent"})

# What a tool does to the world: nothing at all, look at it, change what O keeps, or change something elsewhere.
Effect = Literal["pure", "reads", "writes", "external"]

# Tools that speak to other agents: each call is a run of the other agent, which the step awaits.
ASK_AGENT = "send_message_to_agent_and_wait_for_reply"
ASK_AGENTS = "send_message_to_agents_matching_tags"
TELL_AGENT = "send_message_to_agent_async"
AGENT_TOOLS = frozenset({ASK_AGENT, ASK_AGENTS, TELL_AGENT})

# Types of tools that people and servers bring. One that bears a name of O's own tools is theirs all the same.
NOT_OURS = frozenset({"custom", "external_mcp"})

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
        thoughts_in_arguments: whether a model of a type with heartbeats writes its thoughts into its calls.
        policies: those about this agent's calls, the oldest first.
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
    thoughts_in_arguments: bool = False
    tags: tuple[str, ...] = ()
    policies: tuple[Policy, ...] = ()

    @property
    def speaks_by_tool(self) -> bool:
        """Whether this type answers through `send_message` instead of plain text."""
        return self.agent_type in LEGACY_TYPES

    @property
    def uses_heartbeats(self) -> bool:
        """Whether this type must call a tool in every step, and says with each call whether it wants another step."""
        return self.agent_type in HEARTBEAT_TYPES
