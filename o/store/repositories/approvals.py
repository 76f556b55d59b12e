"""Approvals: tool calls at the head of a conversation that wait for a person."""

from collections.abc import Sequence

from o.store.records import ApprovalRecord
from o.store.repositories.base import Repository, as_json


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
    ) -> None:
        """Make calls wait, for at most `expires_in` seconds."""
        await self._execute(
            "INSERT INTO approvals (id, org_id, conversation_id, agent_id, run_id, step_id, message_id, calls, "
            "withheld, expires_at) VALUES (%(id)s, %(org)s, %(conversation)s, %(agent)s, %(run)s, %(step)s, "
            "%(message)s, %(calls)s, %(withheld)s, now() + make_interval(secs => %(ttl)s))",
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
                "ttl": expires_in,
            },
        )

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

    async def settle(self, approval_id: str, status: str, *, run_id: str | None = None) -> None:
        """End the waiting: `answered` (by that run), `expired` or `cancelled`."""
        await self._execute(
            "UPDATE approvals SET status = %(status)s, answered_by_run_id = %(run)s, answered_at = now() "
            "WHERE id = %(id)s",
            {"id": approval_id, "status": status, "run": run_id},
        )

    async def expired(self, *, limit: int) -> list[ApprovalRecord]:
        """Pending approvals past their time, in all organisations, by a function the migrations define."""
        return await self._records(ApprovalRecord, "SELECT * FROM o_expired_approvals(%(limit)s)", {"limit": limit})
