"""Approvals and policies on the wire."""

from typing import Annotated

from pydantic import Field, model_validator

from api.responses import timestamp
from api.schemas.common import AgentId, Body, Count, Flag, Line, Name, Shape, Text, plain
from o.domain.json import JsonObject
from o.domain.tool_policy import Action, Condition, Glob, OnTimeout
from o.domain.wire import tool_call
from o.store.records import ApprovalRecord, PolicyRecord
from o.store.repositories.approvals import Asked, Status

_MOST_ANSWERS = 200
_MOST_PATTERNS = 50
_LONGEST_WAIT = 31_536_000  # seconds: a year


class Approval(Shape):
    """Tool calls of one reply that wait, or waited, for a person.

    Each call has `name`, `arguments`, `tool_call_id` and `client`: whether the client that asked runs it itself and
    sends its return through messages. `withheld` are calls of the same reply that need no answer and run with it.
    """

    id: str
    status: Status
    agent_id: str
    agent_name: str
    conversation_id: str
    run_id: str
    calls: list[JsonObject]
    withheld: list[str]
    on_timeout: OnTimeout
    created_at: str
    expires_at: str
    answered_at: str | None = None
    answered_by_run_id: str | None = None


class Deny(Body):
    """Why the calls are denied; the model reads it."""

    reason: Text | None = None


class CallAnswer(Body):
    """The answer to one tool call."""

    tool_call_id: Name
    approve: Flag
    reason: Text | None = None


class Answers(Body):
    """An answer to each call that waits."""

    answers: Annotated[list[CallAnswer], Field(min_length=1, max_length=_MOST_ANSWERS)]


class Policy(Shape):
    """What happens to some tool calls."""

    id: str
    action: Action
    tool_name: str
    arguments: JsonObject
    agent_id: str | None = None
    tag: str | None = None
    reason: str | None = None
    timeout_seconds: int | None = None
    on_timeout: OnTimeout
    created_at: str


_Patterns = Annotated[dict[Name, Glob | Condition], Field(max_length=_MOST_PATTERNS)]
_Wait = Annotated[Count, Field(le=_LONGEST_WAIT)]
_WHOSE = "Only calls of this agent. An agent's policy is narrower than a tag's, and that than everybody's."
_ARGUMENTS = (
    "By name: a text in which `*` stands for anything, or an object with `matches`, `equals`, `above`, `below`. A call "
    "without one of these arguments is not meant."
)


class CreatePolicy(Body):
    """A policy to make. One that is narrower in every respect overrules it; else the strictest decides."""

    action: Action = Field(description="`allow`, `ask` a person, or `deny`.")
    tool_name: Glob = Field(default="*", description="The tool; `*` stands for any text.")
    arguments: _Patterns = Field(default_factory=dict, description=_ARGUMENTS)
    agent_id: AgentId | None = Field(default=None, description=_WHOSE)
    tag: Name | None = Field(default=None, description="Only calls of agents with this tag.")
    reason: Line | None = Field(default=None, description="For the model (deny) or the person (ask).")
    timeout_seconds: _Wait | None = Field(default=None, description="How long a question waits (ask).")
    on_timeout: OnTimeout = Field(default="deny", description="What becomes of the call when nobody answered (ask).")

    @model_validator(mode="after")
    def _sound(self) -> "CreatePolicy":
        check_whose(self.agent_id, self.tag)
        return self

    def columns(self) -> JsonObject:
        return {**self.model_dump(exclude={"arguments"}), "arguments": _patterns(self.arguments)}


class UpdatePolicy(Body):
    """What to change of a policy. What is not given stays; null takes away."""

    action: Action | None = None
    tool_name: Glob | None = None
    arguments: _Patterns | None = None
    agent_id: AgentId | None = None
    tag: Name | None = None
    reason: Line | None = None
    timeout_seconds: _Wait | None = None
    on_timeout: OnTimeout | None = None

    def columns(self) -> JsonObject:
        """The columns to set; of what cannot be without a value, null is its default."""
        given = self.model_dump(exclude_unset=True, exclude={"arguments"})
        if "arguments" in self.model_fields_set:
            given["arguments"] = _patterns(self.arguments or {})
        for name, usual in (("tool_name", "*"), ("on_timeout", "deny")):
            if name in given and given[name] is None:
                given[name] = usual
        if "action" in given and given["action"] is None:
            raise ValueError("action: must be allow, ask or deny")
        return given


def check_whose(agent_id: str | None, tag: str | None) -> None:
    """Raises ValueError where a policy names an agent and a tag: the tag could change nothing but confuse."""
    if agent_id is not None and tag is not None:
        raise ValueError("tag: give an agent_id or a tag, not both")


def _patterns(arguments: dict[str, str | Condition]) -> JsonObject:
    return plain(
        {
            name: pattern if isinstance(pattern, str) else pattern.model_dump(exclude_unset=True)
            for name, pattern in arguments.items()
        }
    )


def print_approval(approval: ApprovalRecord, asked: Asked) -> JsonObject:
    """An approval as the wire has it."""
    return {
        "id": approval.id,
        "status": approval.status,
        "agent_id": approval.agent_id,
        "agent_name": asked.agent_name,
        "conversation_id": approval.conversation_id,
        "run_id": approval.run_id,
        "step_id": approval.step_id,
        "message_id": approval.message_id,
        "calls": [{**tool_call(call), "client": call.name in asked.of_client} for call in asked.calls],
        "withheld": approval.withheld,
        "on_timeout": approval.on_timeout,
        "created_at": timestamp(approval.created_at),
        "expires_at": timestamp(approval.expires_at),
        "answered_at": timestamp(approval.answered_at),
        "answered_by_run_id": approval.answered_by_run_id,
    }


def print_policy(policy: PolicyRecord) -> JsonObject:
    """A policy as the wire has it."""
    return {
        "id": policy.id,
        "action": policy.action,
        "tool_name": policy.tool_name,
        "arguments": policy.arguments,
        "agent_id": policy.agent_id,
        "tag": policy.tag,
        "reason": policy.reason,
        "timeout_seconds": policy.timeout_seconds,
        "on_timeout": policy.on_timeout,
        "created_at": timestamp(policy.created_at),
    }
