"""Runs: one row per accepted request; the queue of a conversation is its runs that are still `created`."""

from dataclasses import dataclass
from typing import Any, Literal

from psycopg import sql

from o.contracts.turn import Asker, StepRef
from o.domain.json import JsonObject
from o.domain.stop import StopReason, run_status
from o.errors import NotFound
from o.store.records import RunRecord
from o.store.repositories.base import Place, Repository, as_json


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What to list: empty means any. `active` is created or running."""

    agent_ids: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    active: bool = False
    background: bool | None = None
    stop_reason: str | None = None
    conversation_id: str | None = None
    after: str | None = None
    before: str | None = None
    limit: int = 100
    order: Literal["asc", "desc"] = "desc"


@dataclass(frozen=True, slots=True)
class AskedBy:
    """The tool call of an agent that asks for a run of another: which, whether it waits, and which agents led to it."""

    at: StepRef
    call_id: str
    awaited: bool
    ancestors: tuple[str, ...]

    @property
    def asker(self) -> Asker | None:
        """Who is told of the run's end."""
        return Asker(workflow_id=self.at.workflow_id, call_id=self.call_id) if self.awaited else None


def asker_of(run: RunRecord) -> Asker | None:
    """Who is told of the end of a stored run."""
    if not run.awaited or run.asked_by_run_id is None or run.asked_by_call is None:
        return None
    return Asker(workflow_id=f"{run.asked_by_run_id}/step-{run.asked_by_step}", call_id=run.asked_by_call)


class Runs(Repository):
    """The runs of one organisation."""

    async def add(
        self,
        run_id: str,
        *,
        agent_id: str,
        conversation_id: str,
        run_type: str,
        background: bool,
        request: JsonObject,
        body_hash: str,
        idempotency_key: str | None,
        callback_url: str | None,
        taken: bool,
        asked_by: AskedBy | None = None,
    ) -> None:
        """Insert a run; `taken` if it holds its conversation from the start, else it is queued."""
        await self._execute(
            "INSERT INTO runs (id, org_id, agent_id, conversation_id, run_type, background, request, queue_seq, "
            "body_hash, idempotency_key, callback_url, started_at, asked_by_run_id, asked_by_step, asked_by_call, "
            "awaited, ancestors) VALUES (%(id)s, %(org)s, %(agent)s, %(conversation)s, %(type)s, %(background)s, "
            "%(request)s, nextval('message_seq'), %(hash)s, %(key)s, %(callback)s, CASE WHEN %(taken)s THEN now() END, "
            "%(asking_run)s, %(asking_step)s, %(asking_call)s, %(awaited)s, %(ancestors)s)",
            {
                "id": run_id,
                "org": self._org_id,
                "agent": agent_id,
                "conversation": conversation_id,
                "type": run_type,
                "background": background,
                "request": as_json(request),
                "hash": body_hash,
                "key": idempotency_key,
                "callback": callback_url,
                "taken": taken,
                "asking_run": asked_by.at.run_id if asked_by else None,
                "asking_step": asked_by.at.index if asked_by else None,
                "asking_call": asked_by.call_id if asked_by else None,
                "awaited": asked_by is not None and asked_by.awaited,
                "ancestors": list(asked_by.ancestors) if asked_by else [],
            },
        )

    async def get(self, run_id: str) -> RunRecord:
        """Raises NotFound."""
        return await self._one("SELECT * FROM runs WHERE id = %(id)s", run_id)

    async def lock(self, run_id: str) -> RunRecord:
        """The row, locked until the transaction ends; lock its conversation first. Raises NotFound."""
        return await self._one("SELECT * FROM runs WHERE id = %(id)s FOR NO KEY UPDATE", run_id)

    async def find(self, run_id: str) -> RunRecord | None:
        return await self._record(RunRecord, "SELECT * FROM runs WHERE id = %(id)s", {"id": run_id})

    async def by_idempotency_key(self, key: str) -> RunRecord | None:
        return await self._record(RunRecord, "SELECT * FROM runs WHERE idempotency_key = %(key)s", {"key": key})

    async def recent_twin(self, conversation_id: str, body_hash: str, *, within: float) -> RunRecord | None:
        """The newest run of this conversation with the same body, accepted in the last `within` seconds."""
        return await self._record(
            RunRecord,
            "SELECT * FROM runs WHERE conversation_id = %(id)s AND body_hash = %(hash)s "
            "AND created_at > now() - make_interval(secs => %(within)s) ORDER BY created_at DESC LIMIT 1",
            {"id": conversation_id, "hash": body_hash, "within": within},
        )

    async def asked_in(self, run_id: str, index: int, call_id: str | None = None) -> list[RunRecord]:
        """The runs that a step's calls (or one of them) asked of other agents, in the order they were asked."""
        return await self._records(
            RunRecord,
            "SELECT * FROM runs WHERE asked_by_run_id = %(run)s AND asked_by_step = %(index)s "
            "AND asked_by_call = coalesce(%(call)s, asked_by_call) ORDER BY queue_seq",
            {"run": run_id, "index": index, "call": call_id},
        )

    async def would_wait_for(self, conversation_id: str, run_id: str) -> bool:
        """Whether a run queued in this conversation now would wait, over any number of agents, for the given run.

        Questions that wait take turns until the transaction ends: of two that would wait for each other, the later
        one sees the earlier.
        """
        await self._execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('questions between agents of ' || %(org)s, 0))",
            {"org": self._org_id},
        )
        row = await self._row(
            "WITH RECURSIVE ahead AS ("
            "  SELECT id FROM runs WHERE conversation_id = %(conversation)s AND completed_at IS NULL"
            "  UNION"
            "  SELECT before.id FROM ahead JOIN runs asked ON asked.asked_by_run_id = ahead.id AND asked.awaited"
            "    AND asked.completed_at IS NULL"
            "  JOIN runs before ON before.conversation_id = asked.conversation_id AND before.completed_at IS NULL"
            "    AND before.queue_seq <= asked.queue_seq"
            ") SELECT EXISTS (SELECT FROM ahead WHERE id = %(run)s) AS waits",
            {"conversation": conversation_id, "run": run_id},
        )
        return bool(row and row["waits"])

    async def next_queued(self, conversation_id: str) -> RunRecord | None:
        """The run that waits longest, locked. The caller holds the conversation's lock."""
        return await self._record(
            RunRecord,
            "SELECT * FROM runs WHERE conversation_id = %(id)s AND status = 'created' AND started_at IS NULL "
            "ORDER BY queue_seq LIMIT 1 FOR NO KEY UPDATE",
            {"id": conversation_id},
        )

    async def running(self, run_id: str) -> None:
        """Note that the first attempt of a step of this run has begun."""
        await self._execute(
            "UPDATE runs SET status = CASE WHEN status = 'created' THEN 'running' ELSE status END, "
            "started_at = coalesce(started_at, now()), touched_at = now() WHERE id = %(id)s",
            {"id": run_id},
        )

    async def taken(self, run_id: str) -> None:
        """Note that the run holds its conversation: from now on it is no longer queued."""
        await self._execute("UPDATE runs SET started_at = now(), touched_at = now() WHERE id = %(id)s", {"id": run_id})

    async def at_step(self, run_id: str, index: int) -> None:
        await self._execute(
            "UPDATE runs SET step_index = %(index)s, touched_at = now() WHERE id = %(id)s",
            {"id": run_id, "index": index},
        )

    async def touch(self, run_id: str) -> None:
        """Note that somebody drives the run."""
        await self._execute("UPDATE runs SET touched_at = now() WHERE id = %(id)s", {"id": run_id})

    async def first_token(self, run_id: str) -> None:
        """Record the time to the first token, once."""
        await self._execute(
            "UPDATE runs SET ttft_ns = (extract(epoch FROM clock_timestamp() - created_at) * 1e9)::bigint "
            "WHERE id = %(id)s AND ttft_ns IS NULL",
            {"id": run_id},
        )

    async def request_cancel(self, run_id: str) -> None:
        """Raise the flag every effect checks, and show the run as cancelled at once."""
        await self._execute(
            "UPDATE runs SET cancel_requested_at = coalesce(cancel_requested_at, now()), status = 'cancelled', "
            "stop_reason = 'cancelled', touched_at = now() WHERE id = %(id)s",
            {"id": run_id},
        )

    async def finish(self, run_id: str, stop: StopReason, error: JsonObject | None) -> JsonObject:
        """Write the end of a run, and what its agent shows of it. Returns the run's usage, summed over its steps."""
        row = await self._row(
            "WITH ended AS (UPDATE runs SET status = %(status)s, stop_reason = %(stop)s, error = %(error)s, "
            "completed_at = now(), touched_at = now(), started_at = coalesce(started_at, now()), "
            "total_duration_ns = (extract(epoch FROM now() - created_at) * 1e9)::bigint WHERE id = %(id)s "
            "RETURNING agent_id, total_duration_ns), "
            "shown AS (UPDATE agents SET last_stop_reason = %(stop)s, last_run_completion = now(), "
            "last_run_duration_ms = ended.total_duration_ns / 1000000 FROM ended WHERE agents.id = ended.agent_id) "
            "SELECT count(*) AS step_count, coalesce(sum(prompt_tokens), 0)::bigint AS prompt_tokens, "
            "coalesce(sum(completion_tokens), 0)::bigint AS completion_tokens, "
            "coalesce(sum(cached_input_tokens), 0)::bigint AS cached_input_tokens, "
            "coalesce(sum(cache_write_tokens), 0)::bigint AS cache_write_tokens, "
            "coalesce(sum(reasoning_tokens), 0)::bigint AS reasoning_tokens FROM steps WHERE run_id = %(id)s",
            {
                "id": run_id,
                "stop": stop,
                "status": run_status(stop),
                "error": as_json(error) if error else None,
            },
        )
        return dict(row or {})

    async def active_of(self, agent_id: str) -> list[RunRecord]:
        """The agent's runs that are created or running, oldest first."""
        return await self._records(
            RunRecord,
            "SELECT * FROM runs WHERE agent_id = %(id)s AND completed_at IS NULL "
            "AND status IN ('created', 'running') ORDER BY queue_seq",
            {"id": agent_id},
        )

    async def delete(self, run_id: str) -> None:
        """Forget a finished run; its messages stay. Raises NotFound."""
        if not await self._execute("DELETE FROM runs WHERE id = %(id)s", {"id": run_id}):
            raise NotFound(f"Run not found with id '{run_id}'")

    async def list(self, what: RunFilter) -> list[RunRecord]:
        """Runs in listing order. Raises NotFound for a cursor that names no run."""
        conditions: list[sql.SQL | sql.Composed] = []
        params: dict[str, Any] = {}

        def add(condition: sql.SQL | sql.Composed, **values: Any) -> None:
            conditions.append(condition)
            params.update(values)

        if what.agent_ids:
            add(sql.SQL("agent_id = ANY(%(agents)s)"), agents=list(what.agent_ids))
        if what.statuses:
            add(sql.SQL("status = ANY(%(statuses)s)"), statuses=list(what.statuses))
        if what.active:
            add(sql.SQL("status IN ('created', 'running')"))
        if what.background is not None:
            add(sql.SQL("background = %(background)s"), background=what.background)
        if what.stop_reason is not None:
            add(sql.SQL("stop_reason = %(reason)s"), reason=what.stop_reason)
        if what.conversation_id is not None:
            add(sql.SQL("conversation_id = %(conversation)s"), conversation=what.conversation_id)
        return await self._page(
            RunRecord,
            "runs",
            conditions,
            params,
            after=await self._place(what.after),
            before=await self._place(what.before),
            order=what.order,
            limit=what.limit,
        )

    async def _place(self, cursor: str | None) -> Place | None:
        if cursor is None:
            return None
        at = await self.get(cursor)
        return at.created_at, at.id

    async def _one(self, query: Any, run_id: str) -> RunRecord:
        record = await self._record(RunRecord, query, {"id": run_id})
        if record is None:
            raise NotFound(f"Run not found with id '{run_id}'")
        return record
