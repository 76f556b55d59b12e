"""Messages: the transcript, in the order their runs took the conversation."""

from collections.abc import MutableSequence, Sequence
from datetime import datetime
from typing import Any, Literal

from psycopg import sql
from psycopg.rows import DictRow

from o.domain.messages import APPROVALS, PARTS, TOOL_CALLS, TOOL_RETURNS, Message
from o.domain.transcript import words_of
from o.errors import NotFound
from o.store.repositories.base import Repository, as_json

# What they returned would be found again by every search for the same words.
_SEARCHES = ("conversation_search", "conversation_search_date")


class Messages(Repository):
    """The messages of one organisation."""

    async def add(self, messages: Sequence[Message], *, queued: bool = False) -> None:
        """Append messages in this order; `queued` ones get their place when their run starts."""
        if not messages:
            return
        place = sql.SQL("NULL") if queued else sql.SQL("nextval('message_seq')")
        query = sql.SQL(
            "INSERT INTO messages (id, org_id, agent_id, conversation_id, run_id, step_id, seq, position, role, "
            "content, tool_calls, tool_returns, approvals, text, name, otid, sender_id, created_at) VALUES "
            "(%(id)s, %(org)s, %(agent)s, %(conversation)s, %(run)s, %(step)s, {place}, %(position)s, %(role)s, "
            "%(content)s, %(calls)s, %(returns)s, %(approvals)s, %(text)s, %(name)s, %(otid)s, %(sender)s, "
            "%(created)s)"
        ).format(place=place)
        for position, message in enumerate(messages):
            await self._execute(query, {**self._values(message), "position": position})

    async def place(self, run_id: str) -> None:
        """Give the run's queued messages their place at the end of the transcript."""
        await self._execute(
            "UPDATE messages m SET seq = numbered.seq FROM (SELECT id, nextval('message_seq') AS seq FROM "
            "(SELECT id FROM messages WHERE run_id = %(run)s AND seq IS NULL ORDER BY position) AS waiting) "
            "AS numbered WHERE m.id = numbered.id",
            {"run": run_id},
        )

    async def place_waiting(self, conversation_id: str, run_id: str | None) -> None:
        """Place what waits for the end of the (locked) conversation's turn: the messages of runs that ended before
        their turn came, then those of the run that starts now, if one does."""
        await self._execute(
            "UPDATE messages m SET seq = numbered.seq FROM (SELECT id, nextval('message_seq') AS seq FROM "
            "(SELECT w.id FROM messages w LEFT JOIN runs r ON r.id = w.run_id WHERE w.conversation_id = %(id)s "
            "AND w.seq IS NULL AND (r.id IS NULL OR r.completed_at IS NOT NULL OR r.id = %(run)s) "
            "ORDER BY r.id = %(run)s NULLS FIRST, r.queue_seq, w.position) AS waiting) AS numbered "
            "WHERE m.id = numbered.id",
            {"id": conversation_id, "run": run_id},
        )

    async def context(self, conversation_id: str) -> list[Message]:
        """What is in the conversation's context, the system message first."""
        rows = await self._rows(
            "SELECT * FROM messages WHERE conversation_id = %(id)s AND in_context AND seq IS NOT NULL ORDER BY seq",
            {"id": conversation_id},
        )
        return [_message(row) for row in rows]

    async def clear_context(self, conversation_id: str, *, keep_run: str) -> None:
        """Take everything but the system message and one run's messages out of context; nothing is deleted.

        What still waits for its place stays: it is the input of runs to come.
        """
        await self._execute(
            "UPDATE messages SET in_context = false WHERE conversation_id = %(id)s AND in_context "
            "AND seq IS NOT NULL AND role <> 'system' AND run_id IS DISTINCT FROM %(run)s",
            {"id": conversation_id, "run": keep_run},
        )

    async def context_ids(self, conversation_ids: Sequence[str]) -> dict[str, list[str]]:
        """Ids of what is in context, by conversation."""
        rows = await self._rows(
            "SELECT conversation_id, array_agg(id ORDER BY seq) AS ids FROM messages "
            "WHERE conversation_id = ANY(%(ids)s) AND in_context AND seq IS NOT NULL GROUP BY conversation_id",
            {"ids": list(conversation_ids)},
        )
        return {row["conversation_id"]: row["ids"] for row in rows}

    async def get(self, message_id: str) -> Message:
        """Raises NotFound."""
        row = await self._row("SELECT * FROM messages WHERE id = %(id)s", {"id": message_id})
        if row is None:
            raise NotFound(f"Message not found with id '{message_id}'")
        return _message(row)

    async def of_run(self, run_id: str) -> list[Message]:
        """All messages of a run, its input first, oldest first; those still queued last."""
        rows = await self._rows(
            "SELECT * FROM messages WHERE run_id = %(run)s ORDER BY seq NULLS LAST, position", {"run": run_id}
        )
        return [_message(row) for row in rows]

    async def list(
        self,
        *,
        conversation_id: str | None = None,
        run_id: str | None = None,
        step_id: str | None = None,
        after: str | None = None,
        before: str | None = None,
        limit: int = 100,
        order: Literal["asc", "desc"] = "desc",
    ) -> list[Message]:
        """A page of the transcript, as the listing order has it (desc: newest first).

        Cursors are absolute, whatever the order: `after` means newer than that message, `before` older.

        Raises:
            NotFound: a cursor names no message of the transcript.
        """
        conditions: MutableSequence[sql.SQL | sql.Composed] = [sql.SQL("seq IS NOT NULL")]
        params: dict[str, Any] = {"limit": limit}
        for column, value in (("conversation_id", conversation_id), ("run_id", run_id), ("step_id", step_id)):
            if value is not None:
                conditions.append(sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder(column)))
                params[column] = value
        for name, cursor, operator in (("after", after, sql.SQL(">")), ("before", before, sql.SQL("<"))):
            if cursor is not None:
                conditions.append(sql.SQL("seq {} {}").format(operator, sql.Placeholder(name)))
                params[name] = await self._seq(cursor)
        rows = await self._rows(
            sql.SQL("SELECT * FROM messages WHERE {} ORDER BY seq {} LIMIT %(limit)s").format(
                sql.SQL(" AND ").join(conditions), sql.SQL("DESC") if order == "desc" else sql.SQL("ASC")
            ),
            params,
        )
        return [_message(row) for row in rows]

    async def search(
        self,
        agent_id: str,
        *,
        query: str | None,
        roles: Sequence[str] | None,
        start: datetime | None,
        end: datetime | None,
        limit: int,
    ) -> Sequence[Message]:
        """The agent's newest messages that contain `query` (any case), of these roles and dates; no earlier search."""
        rows = await self._rows(
            "SELECT * FROM messages WHERE agent_id = %(agent)s AND seq IS NOT NULL AND text <> '' "
            "AND role = ANY(%(roles)s) AND NOT tool_returns @> ANY(%(searches)s::jsonb[]) "
            "AND (%(query)s::text IS NULL OR position(lower(%(query)s) IN lower(text)) > 0) "
            "AND (%(start)s::timestamptz IS NULL OR created_at >= %(start)s) "
            "AND (%(end)s::timestamptz IS NULL OR created_at <= %(end)s) ORDER BY seq DESC LIMIT %(limit)s",
            {
                "agent": agent_id,
                "query": query or None,
                "roles": list(roles or ("user", "assistant")),
                "searches": [as_json([{"name": name}]) for name in _SEARCHES],
                "start": start,
                "end": end,
                "limit": limit,
            },
        )
        return [_message(row) for row in rows]

    async def rewrite_system(self, conversation_id: str, text: str) -> None:
        """Replace the text of the conversation's system message."""
        await self._execute(
            "UPDATE messages SET content = %(content)s, text = %(text)s WHERE id = "
            "(SELECT id FROM messages WHERE conversation_id = %(id)s AND in_context AND role = 'system' "
            "AND seq IS NOT NULL ORDER BY seq LIMIT 1)",
            {"id": conversation_id, "text": text, "content": as_json([{"type": "text", "text": text}])},
        )

    async def previous_count(self, agent_id: str) -> int:
        """How many messages the agent and its users exchanged so far."""
        row = await self._row(
            "SELECT count(*) AS n FROM messages WHERE agent_id = %(id)s AND role <> 'system' AND seq IS NOT NULL",
            {"id": agent_id},
        )
        return int(row["n"]) if row else 0

    async def run_of_otids(self, conversation_id: str, otids: Sequence[str]) -> str | None:
        """The run that accepted input with exactly this set of otids, if any."""
        row = await self._row(
            "SELECT run_id FROM messages WHERE conversation_id = %(id)s AND otid = ANY(%(otids)s) "
            "AND run_id IS NOT NULL AND role IN ('user', 'system', 'approval') "
            "GROUP BY run_id HAVING count(DISTINCT otid) = %(n)s LIMIT 1",
            {"id": conversation_id, "otids": list(otids), "n": len(set(otids))},
        )
        return row["run_id"] if row else None

    async def _seq(self, message_id: str) -> int:
        row = await self._row("SELECT seq FROM messages WHERE id = %(id)s", {"id": message_id})
        if row is None or row["seq"] is None:
            raise NotFound(f"Message not found with id '{message_id}'")
        return int(row["seq"])

    def _values(self, message: Message) -> dict[str, Any]:
        return {
            "id": message.id,
            "org": self._org_id,
            "agent": message.agent_id,
            "conversation": message.conversation_id,
            "run": message.run_id,
            "step": message.step_id,
            "role": message.role,
            "content": as_json(PARTS.dump_python(message.content, mode="json")),
            "calls": as_json(TOOL_CALLS.dump_python(message.tool_calls, mode="json")),
            "returns": as_json(TOOL_RETURNS.dump_python(message.tool_returns, mode="json")),
            "approvals": as_json(APPROVALS.dump_python(message.approvals, mode="json")),
            "text": words_of(message),
            "name": message.name,
            "otid": message.otid,
            "sender": message.sender_id,
            "created": message.created_at,
        }


def _message(row: DictRow) -> Message:
    return Message(
        id=row["id"],
        role=row["role"],
        content=PARTS.validate_python(row["content"]),
        created_at=row["created_at"],
        tool_calls=TOOL_CALLS.validate_python(row["tool_calls"]),
        tool_returns=TOOL_RETURNS.validate_python(row["tool_returns"]),
        approvals=APPROVALS.validate_python(row["approvals"]),
        name=row["name"],
        otid=row["otid"],
        sender_id=row["sender_id"],
        agent_id=row["agent_id"],
        conversation_id=row["conversation_id"],
        run_id=row["run_id"],
        step_id=row["step_id"],
        seq=row["seq"],
    )
