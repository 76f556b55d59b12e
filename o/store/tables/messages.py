"""Conversations (the lock and the queue of their runs), their messages, and approvals that wait."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text

from o.domain.json import JsonObject
from o.store.base import Owned, count, document, flag, instant, key, refers, words


class Conversation(Owned, table=True):
    """A thread of one agent. `active_run_id` is the lock: the run that may write to it now."""

    __tablename__ = "conversations"
    __table_args__ = (
        Index("uq_conversations_default", "agent_id", unique=True, postgresql_where=text("is_default")),
        Index(None, "org_id", "created_at", "id"),
        Index(None, "agent_id", "created_at"),
        Index("ix_conversations_active", "active_run_id", postgresql_where=text("active_run_id IS NOT NULL")),
    )

    id: str = key()
    agent_id: str = refers("agents.id")
    is_default: bool = flag()
    active_run_id: str | None = words(nullable=True)
    summary: str | None = words(nullable=True)
    model: str | None = words(nullable=True)
    llm_config: JsonObject | None = document(nullable=True)
    last_message_at: datetime | None = instant(nullable=True)
    created_at: datetime = instant(now=True)
    updated_at: datetime = instant(now=True)
    deleted_at: datetime | None = instant(nullable=True)


class MessageRow(Owned, table=True):
    """One entry of the transcript. `seq` is null while its run waits in the queue: order is fixed when it starts."""

    __tablename__ = "messages"
    __table_args__ = (
        Index(None, "conversation_id", "seq"),
        Index("ix_messages_context", "conversation_id", "seq", postgresql_where=text("in_context")),
        Index(None, "org_id", "seq"),
        Index(None, "agent_id", "seq"),
        Index(None, "run_id", "seq"),
        Index(None, "step_id"),
        Index("ix_messages_otid", "conversation_id", "otid", postgresql_where=text("otid IS NOT NULL")),
    )

    id: str = key()
    agent_id: str = refers("agents.id")
    conversation_id: str = refers("conversations.id")
    run_id: str | None = refers("runs.id", nullable=True, on_delete="SET NULL")
    step_id: str | None = words(nullable=True)
    seq: int | None = count(None, nullable=True)
    position: int = count(0)
    role: str = words()
    content: list[JsonObject] = document("[]")
    tool_calls: list[JsonObject] = document("[]")
    tool_returns: list[JsonObject] = document("[]")
    approvals: list[JsonObject] = document("[]")
    text: str = words("")
    name: str | None = words(nullable=True)
    otid: str | None = words(nullable=True)
    sender_id: str | None = words(nullable=True)
    in_context: bool = flag(True)
    created_at: datetime = instant(now=True)


class ApprovalRow(Owned, table=True):
    """Tool calls at the head of a conversation that wait for a person. At most one is pending per conversation."""

    __tablename__ = "approvals"
    __table_args__ = (
        Index("uq_approvals_pending", "conversation_id", unique=True, postgresql_where=text("status = 'pending'")),
        Index("ix_approvals_expiry", "expires_at", postgresql_where=text("status = 'pending'")),
        Index(None, "org_id"),
        Index(None, "run_id"),
    )

    id: str = key()
    conversation_id: str = refers("conversations.id")
    agent_id: str = refers("agents.id")
    run_id: str = refers("runs.id")
    step_id: str = words()
    message_id: str = words()
    calls: list[Any] = document("[]")
    withheld: list[Any] = document("[]")
    status: str = words("pending")
    on_timeout: str = words("deny")
    answered_by_run_id: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)
    expires_at: datetime = instant()
    answered_at: datetime | None = instant(nullable=True)
