"""Conversations: the lock that one run holds, and the threads an agent has."""

from collections.abc import Mapping
from typing import Any, Literal

from psycopg import sql

from o.errors import NotFound
from o.store.records import ConversationRecord
from o.store.repositories.base import Repository, as_json


class Conversations(Repository):
    """The conversations of one organisation."""

    async def add(self, conversation_id: str, agent_id: str, *, is_default: bool = False) -> None:
        await self._execute(
            "INSERT INTO conversations (id, org_id, agent_id, is_default) VALUES (%(id)s, %(org)s, %(agent)s, %(d)s)",
            {"id": conversation_id, "org": self._org_id, "agent": agent_id, "d": is_default},
        )

    async def get(self, conversation_id: str) -> ConversationRecord:
        """Raises NotFound, also for a deleted one."""
        record = await self._record(
            ConversationRecord,
            "SELECT * FROM conversations WHERE id = %(id)s AND deleted_at IS NULL",
            {"id": conversation_id},
        )
        if record is None:
            raise NotFound(f"Conversation not found with id '{conversation_id}'")
        return record

    async def default_of(self, agent_id: str) -> ConversationRecord:
        """The agent's own thread. Raises NotFound when there is no such agent."""
        record = await self._record(
            ConversationRecord,
            "SELECT * FROM conversations WHERE agent_id = %(id)s AND is_default",
            {"id": agent_id},
        )
        if record is None:
            raise NotFound(f"Agent not found with id '{agent_id}'")
        return record

    async def lock(self, conversation_id: str) -> ConversationRecord:
        """The row, locked until the transaction ends. Always before the run's row. Raises NotFound."""
        record = await self._record(
            ConversationRecord,
            "SELECT * FROM conversations WHERE id = %(id)s FOR NO KEY UPDATE",
            {"id": conversation_id},
        )
        if record is None:
            raise NotFound(f"Conversation not found with id '{conversation_id}'")
        return record

    async def take(self, conversation_id: str, run_id: str | None) -> None:
        """Hand the (locked) conversation to a run, or set it free."""
        await self._execute(
            "UPDATE conversations SET active_run_id = %(run)s, updated_at = now() WHERE id = %(id)s",
            {"id": conversation_id, "run": run_id},
        )

    async def heard(self, conversation_id: str, *, taken_by: str | None) -> None:
        """Note that something was said to the (locked) conversation just now, by the run that takes it, if one does."""
        await self._execute(
            "UPDATE conversations SET last_message_at = now(), updated_at = now(), "
            "active_run_id = coalesce(%(run)s, active_run_id) WHERE id = %(id)s",
            {"id": conversation_id, "run": taken_by},
        )

    async def update(self, conversation_id: str, changes: Mapping[str, Any]) -> None:
        """Set columns of one conversation. Raises NotFound."""
        assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in changes]
        values = {name: as_json(value) if isinstance(value, dict) else value for name, value in changes.items()}
        touched = await self._execute(
            sql.SQL(
                "UPDATE conversations SET {}, updated_at = now() WHERE id = %(conversation_id)s AND deleted_at IS NULL"
            ).format(sql.SQL(", ").join(assignments)),
            {"conversation_id": conversation_id, **values},
        )
        if not touched:
            raise NotFound(f"Conversation not found with id '{conversation_id}'")

    async def of_agents(self, agent_ids: list[str]) -> list[ConversationRecord]:
        """All conversations of these agents that are not deleted."""
        return await self._records(
            ConversationRecord,
            "SELECT * FROM conversations WHERE agent_id = ANY(%(ids)s) AND deleted_at IS NULL ORDER BY id",
            {"ids": agent_ids},
        )

    async def list(
        self, agent_id: str | None, *, after: str | None = None, limit: int = 50, order: Literal["asc", "desc"] = "desc"
    ) -> list[ConversationRecord]:
        """Threads besides the agents' own, newest first unless asked otherwise."""
        operator, direction = (sql.SQL("<"), sql.SQL("DESC")) if order == "desc" else (sql.SQL(">"), sql.SQL("ASC"))
        query = sql.SQL(
            "SELECT * FROM conversations WHERE NOT is_default AND deleted_at IS NULL "
            "AND (%(agent)s::text IS NULL OR agent_id = %(agent)s) "
            "AND (%(after)s::text IS NULL OR (created_at, id) {op} "
            "(SELECT created_at, id FROM conversations WHERE id = %(after)s)) "
            "ORDER BY created_at {d}, id {d} LIMIT %(limit)s"
        ).format(op=operator, d=direction)
        return await self._records(ConversationRecord, query, {"agent": agent_id, "after": after, "limit": limit})
