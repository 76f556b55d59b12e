"""Approvals: tool calls at the head of a conversation that wait for a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg.sql import SQL, Composed

from o.domain.messages import TOOL_CALLS, ToolCall
from o.domain.tool_policy import OnTimeout
from o.errors import NotFound
from o.store.records import ApprovalRecord
from o.store.repositories.base import Place, Repository, as_json

Status = Literal["pending", "answered", "expired", "cancelled"]


@dataclass(frozen=True, slots=True)
class ApprovalFilter:
    """What to list: None means any. Cursors are approval ids in listing order."""

    status: Status | None = None
    agent_id: str | None = None
    after: str | None = None
    before: str | None = None
    limit: int = 100
    order: Literal["asc", "desc"] = "desc"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person is asked: calls that wait, whose agent's, and which of them the client runs itself."""

    agent_name: str
    calls: tuple[ToolCall, ...]
    of_client: frozenset[str]


class Approvals(Repository):
    """The approvals of one organisation."""

    async def add(
        self,
        approval_id: str,
        *,
        conversation_id: str,
        agent_id: str,
        run_id: str,
        step_id: str,
        message_id: str,
        calls: Sequence[str],
        withheld: Sequence[str],
        expires_in: float,
        on_timeout: OnTimeout = "deny",
    ) -> None:
        """Make calls wait, for at most `expires_in` seconds; `on_timeout` is what becomes of them then."""
        await self._execute(
            "INSERT INTO approvals (id, org_id, conversation_id, agent_id, run_id, step_id, message_id, calls, "
            "withheld, on_timeout, expires_at) VALUES (%(id)s, %(org)s, %(conversation)s, %(agent)s, %(run)s, "
            "%(step)s, %(message)s, %(calls)s, %(withheld)s, %(late)s, now() + make_interval(secs => %(ttl)s))",
            {
                "id": approval_id,
                "org": self._org_id,
                "conversation": conversation_id,
                "agent": agent_id,
                "run": run_id,
                "step": step_id,
                "message": message_id,
                "calls": as_json(list(calls)),
                "withheld": as_json(list(withheld)),
                "late": on_timeout,
                "ttl": expires_in,
            },
        )

    async def get(self, approval_id: str) -> ApprovalRecord:
        """Raises NotFound."""
        record = await self._record(ApprovalRecord, "SELECT * FROM approvals WHERE id = %(id)s", {"id": approval_id})
        if record is None:
            raise NotFound(f"Approval not found with id '{approval_id}'; `o approvals ls` lists those that wait")
        return record

    async def list(self, what: ApprovalFilter) -> list[ApprovalRecord]:
        """Approvals in listing order. Raises NotFound for a cursor that names no approval."""
        conditions: list[SQL | Composed] = []
        if what.status is not None:
            conditions.append(SQL("status = %(status)s"))
        if what.agent_id is not None:
            conditions.append(SQL("agent_id = %(agent)s"))
        return await self._page(
            ApprovalRecord,
            "approvals",
            conditions,
            {"status": what.status, "agent": what.agent_id},
            after=await self._place(what.after),
            before=await self._place(what.before),
            order=what.order,
            limit=what.limit,
        )

    async def asked(self, approval_ids: Sequence[str]) -> Mapping[str, Asked]:
        """What these approvals are about, by id, in one query."""
        rows = await self._rows(
            "SELECT p.id, a.name, m.tool_calls, r.request -> 'client_tools' AS client_tools FROM approvals p "
            "JOIN agents a ON a.id = p.agent_id JOIN runs r ON r.id = p.run_id "
            "LEFT JOIN messages m ON m.id = p.message_id WHERE p.id = ANY(%(ids)s)",
            {"ids": [*approval_ids]},
        )
        return {
            row["id"]: Asked(
                row["name"],
                TOOL_CALLS.validate_python(row["tool_calls"] or ()),
                frozenset(tool["name"] for tool in row["client_tools"] or ()),
            )
            for row in rows
        }

    async def _place(self, cursor: str | None) -> Place | None:
        if cursor is None:
            return None
        at = await self.get(cursor)
        return at.created_at, at.id

    async def pending(self, conversation_id: str) -> ApprovalRecord | None:
        """What the conversation waits for, if anything."""
        return await self._record(
            ApprovalRecord,
            "SELECT * FROM approvals WHERE conversation_id = %(id)s AND status = 'pending'",
            {"id": conversation_id},
        )

    async def answered_with(self, conversation_id: str, calls: Sequence[str]) -> ApprovalRecord | None:
        """An approval of exactly these calls that was answered before."""
        return await self._record(
            ApprovalRecord,
            "SELECT * FROM approvals WHERE conversation_id = %(id)s AND status = 'answered' "
            "AND calls @> %(calls)s AND calls <@ %(calls)s ORDER BY created_at DESC LIMIT 1",
            {"id": conversation_id, "calls": as_json(sorted(calls))},
        )

    async def settle(self, approval_id: str, status: Status, *, run_id: str | None = None) -> None:
        """End the waiting: `answered` (by that run), `expired` or `cancelled`."""
        await self._execute(
            "UPDATE approvals SET status = %(status)s, answered_by_run_id = %(run)s, answered_at = now() "
            "WHERE id = %(id)s",
            {"id": approval_id, "status": status, "run": run_id},
        )

    async def expired(self, *, limit: int) -> Sequence[ApprovalRecord]:
        """Pending approvals past their time, in all organisations, by a function the migrations define."""
        return await self._records(ApprovalRecord, "SELECT * FROM o_expired_approvals(%(limit)s)", {"limit": limit})
