"""Runs, their steps, the tool calls of a step, and the events readers follow."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Column, Index, Numeric, text
from sqlmodel import Field

from o.domain.json import JsonObject
from o.store.base import Owned, count, document, flag, instant, key, refers, strings, words


class RunRow(Owned, table=True):
    """One accepted request. `step_index` names the step it is at; `last_seq` numbers its events.

    A run that another agent's tool call asked for names that call; `ancestors` are the agents that led to it, and where
    it is `awaited`, its end is told to the step that called.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index(None, "org_id", "created_at", "id"),
        Index(None, "agent_id", "created_at", "id"),
        Index("ix_runs_queue", "conversation_id", "queue_seq", postgresql_where=text("status = 'created'")),
        Index(None, "conversation_id", "created_at"),
        Index(
            "uq_runs_idempotency_key",
            "org_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        Index("ix_runs_body_hash", "conversation_id", "body_hash", "created_at"),
        Index("ix_runs_asked_by", "asked_by_run_id", postgresql_where=text("asked_by_run_id IS NOT NULL")),
    )

    id: str = key()
    agent_id: str = refers("agents.id")
    conversation_id: str = refers("conversations.id")
    status: str = words("created")
    stop_reason: str | None = words(nullable=True)
    run_type: str = words("send_message")
    background: bool = flag()
    request: JsonObject = document("{}")
    metadata_: JsonObject = document("{}")
    error: JsonObject | None = document(nullable=True)
    step_index: int = count(0)
    last_seq: int = count(0)
    queue_seq: int = count(None)
    idempotency_key: str | None = words(nullable=True)
    body_hash: str = words("")
    cancel_requested_at: datetime | None = instant(nullable=True)
    created_at: datetime = instant(now=True)
    started_at: datetime | None = instant(nullable=True)
    completed_at: datetime | None = instant(nullable=True)
    touched_at: datetime = instant(now=True)
    ttft_ns: int | None = count(None, nullable=True)
    total_duration_ns: int | None = count(None, nullable=True)
    callback_url: str | None = words(nullable=True)
    asked_by_run_id: str | None = words(nullable=True)
    asked_by_step: int | None = count(None, nullable=True)
    asked_by_call: str | None = words(nullable=True)
    awaited: bool = flag()
    ancestors: list[str] = strings()


class StepRow(Owned, table=True):
    """One agent step. `attempt` only rises: every attempt of an activity takes the next number and writes under it.

    `tries` counts those of its model request that count against the budget of attempts; `cost_usd` is null where nobody
    knows the price.

    An approval's answer is a run of its own whose first step carries the asking step's id: hence the key.
    """

    __tablename__ = "steps"
    __table_args__ = (
        Index(None, "id"),
        Index(None, "org_id", "created_at", "id"),
        Index(None, "agent_id", "created_at"),
    )

    run_id: str = refers("runs.id", primary_key=True)
    index: int = count(None, primary_key=True)
    id: str = words()
    agent_id: str = refers("agents.id")
    status: str = words("pending")
    stop_reason: str | None = words(nullable=True)
    attempt: int = count(0)
    model_attempt: int = count(0)
    restarts: int = count(0)
    outcome: JsonObject | None = document(nullable=True)
    model: str | None = words(nullable=True)
    context_window: int | None = count(None, nullable=True)
    prompt_tokens: int = count()
    completion_tokens: int = count()
    cached_input_tokens: int = count()
    cache_write_tokens: int = count()
    reasoning_tokens: int = count()
    cost_usd: Decimal | None = Field(sa_column=Column(Numeric, nullable=True))
    tries: int = count(0)
    genome_hash: str | None = words(nullable=True)
    epoch: int = count(0)
    arm: str | None = words(nullable=True)
    error: JsonObject | None = document(nullable=True)
    feedback: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)
    completed_at: datetime | None = instant(nullable=True)


class ToolCallRow(Owned, table=True):
    """One tool call of a step: `started` before the tool runs, `done` with its return."""

    __tablename__ = "tool_calls"
    __table_args__ = (Index(None, "org_id"),)

    run_id: str = refers("runs.id", primary_key=True)
    step_index: int = count(None, primary_key=True)
    call_id: str = key()
    name: str = words()
    effect: str = words("external")
    status: str = words("started")
    attempt: int = count(0)
    result: JsonObject | None = document(nullable=True)
    created_at: datetime = instant(now=True)
    completed_at: datetime | None = instant(nullable=True)


class RunEventRow(Owned, table=True):
    """What readers of a run see, in order. A delta belongs to one attempt of its step and goes with it."""

    __tablename__ = "run_events"
    __table_args__ = (
        Index("ix_run_events_step", "run_id", "step_index", postgresql_where=text("kind = 'delta'")),
        Index(None, "created_at"),
    )

    run_id: str = refers("runs.id", primary_key=True)
    seq: int = count(None, primary_key=True)
    step_index: int = count()
    attempt: int = count()
    kind: str = words()
    data: JsonObject = document()
    created_at: datetime = instant(now=True)
