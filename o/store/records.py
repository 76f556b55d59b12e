"""Rows as values: what the repositories return where no domain value says the same."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from o.domain.agent import AgentType, Effect
from o.domain.json import JsonObject
from o.domain.stop import RunStatus, StopReason
from o.domain.tool_policy import Action, OnTimeout


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """A row of `agents`."""

    id: str
    org_id: str
    name: str
    agent_type: AgentType
    description: str | None
    system: str
    model: str
    embedding: str | None
    llm_config: JsonObject
    embedding_config: JsonObject | None
    compaction_settings: JsonObject
    response_format: JsonObject | None
    tool_rules: list[JsonObject]
    tags: list[str]
    metadata_: JsonObject
    timezone: str
    hidden: bool | None
    message_buffer_autoclear: bool
    enable_sleeptime: bool | None
    max_files_open: int
    per_file_view_window_char_limit: int
    project_id: str | None
    created_by_id: str | None
    last_updated_by_id: str | None
    created_at: datetime
    updated_at: datetime
    last_run_completion: datetime | None
    last_run_duration_ms: int | None
    last_stop_reason: StopReason | None


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A row of `blocks`."""

    id: str
    org_id: str
    label: str
    value: str
    limit: int
    description: str | None
    read_only: bool
    metadata_: JsonObject
    tags: list[str]
    is_template: bool
    template_name: str | None
    hidden: bool | None
    project_id: str | None
    preserve_on_migration: bool
    version: int
    created_by_id: str | None
    last_updated_by_id: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ToolRecord:
    """A row of `tools`."""

    id: str
    org_id: str
    name: str
    tool_type: str
    source_type: str
    source_code: str | None
    description: str | None
    json_schema: JsonObject
    args_json_schema: JsonObject | None
    effect: Effect
    idempotent: bool
    pip_requirements: list[JsonObject] | None
    npm_requirements: list[JsonObject] | None
    sandbox: JsonObject
    mcp_server_id: str | None
    mcp: JsonObject | None
    tags: list[str]
    return_char_limit: int
    default_requires_approval: bool | None
    enable_parallel_execution: bool
    metadata_: JsonObject
    created_by_id: str | None
    last_updated_by_id: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A row of `agent_secrets`; `value` is ciphertext."""

    agent_id: str
    key: str
    value: str
    description: str | None


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    """A row of `conversations`."""

    id: str
    org_id: str
    agent_id: str
    is_default: bool
    active_run_id: str | None
    summary: str | None
    model: str | None
    llm_config: JsonObject | None
    last_message_at: datetime | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A row of `runs`."""

    id: str
    org_id: str
    agent_id: str
    conversation_id: str
    status: RunStatus
    stop_reason: StopReason | None
    run_type: str
    background: bool
    request: JsonObject
    metadata_: JsonObject
    error: JsonObject | None
    step_index: int
    last_seq: int
    queue_seq: int
    idempotency_key: str | None
    body_hash: str
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    touched_at: datetime
    ttft_ns: int | None
    total_duration_ns: int | None
    callback_url: str | None
    asked_by_run_id: str | None
    asked_by_step: int | None
    asked_by_call: str | None
    awaited: bool
    ancestors: list[str]


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A row of `steps`."""

    run_id: str
    index: int
    id: str
    org_id: str
    agent_id: str
    status: Literal["pending", "success", "failed", "cancelled"]
    stop_reason: StopReason | None
    attempt: int
    model_attempt: int
    restarts: int
    outcome: JsonObject | None
    model: str | None
    context_window: int | None
    prompt_tokens: int
    completion_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal | None
    tries: int
    genome_hash: str | None
    epoch: int
    arm: str | None
    error: JsonObject | None
    feedback: str | None
    created_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class ToolCallRecord:
    """A row of `tool_calls`."""

    run_id: str
    step_index: int
    call_id: str
    org_id: str
    name: str
    effect: Effect
    status: Literal["started", "done"]
    attempt: int
    result: JsonObject | None
    created_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """A row of `run_events`: one thing a reader of the run sees. `seq` rises by one within the run."""

    run_id: str
    seq: int
    step_index: int
    attempt: int
    kind: Literal["message", "delta", "reset", "end"]
    data: JsonObject


@dataclass(frozen=True, slots=True)
class ApprovalRecord:
    """A row of `approvals`: ids of the calls that wait, and of those withheld until then."""

    id: str
    org_id: str
    conversation_id: str
    agent_id: str
    run_id: str
    step_id: str
    message_id: str
    calls: list[str]
    withheld: list[str]
    status: Literal["pending", "answered", "expired", "cancelled"]
    on_timeout: OnTimeout
    answered_by_run_id: str | None
    created_at: datetime
    expires_at: datetime
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """A row of `archives`."""

    id: str
    org_id: str
    name: str
    description: str | None
    created_by_id: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PassageRecord:
    """A row of `passages`, without what searching needs."""

    id: str
    org_id: str
    archive_id: str
    text: str
    tags: list[str]
    metadata_: JsonObject
    created_by_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """A row of `tool_policies`."""

    id: str
    action: Action
    tool_name: str
    arguments: JsonObject
    agent_id: str | None
    tag: str | None
    reason: str | None
    timeout_seconds: int | None
    on_timeout: OnTimeout
    created_by_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A row of `api_keys`, without its hash."""

    id: str
    name: str
    hint: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
