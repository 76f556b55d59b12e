"""Steps: attempts and their rising numbers, outcomes, and the tool calls of a step.

Fencing: an attempt of any activity takes the next number of its step; what it writes later, it writes only while
that number still is the one its work is held under (`model_attempt` for the model request, `tool_calls.attempt`
for a call). A worker that was paused and overtaken gets `Superseded`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from psycopg import sql

from o.domain.agent import Effect
from o.domain.json import JsonObject
from o.domain.messages import TOOL_RETURNS, ToolReturn
from o.domain.model import Usage
from o.domain.stop import StopReason
from o.domain.tool_solver import PastCall
from o.errors import NotFound, Superseded
from o.store.records import StepRecord, ToolCallRecord
from o.store.repositories.base import Place, Repository, as_json


@dataclass(frozen=True, slots=True)
class StepFilter:
    """What to list: None means any. Cursors are step ids in listing order."""

    agent_id: str | None = None
    run_id: str | None = None
    model: str | None = None
    after: str | None = None
    before: str | None = None
    limit: int = 50
    order: Literal["asc", "desc"] = "desc"


class Steps(Repository):
    """The steps of one organisation."""

    async def add(
        self, run_id: str, index: int, step_id: str, agent_id: str, *, outcome: JsonObject | None = None
    ) -> None:
        """Insert a step; one with an `outcome` (an approval's answer) asks no model. Again: changes nothing."""
        await self._execute(
            "INSERT INTO steps (run_id, index, id, org_id, agent_id, outcome) "
            "VALUES (%(run)s, %(index)s, %(id)s, %(org)s, %(agent)s, %(outcome)s) ON CONFLICT DO NOTHING",
            {
                "run": run_id,
                "index": index,
                "id": step_id,
                "org": self._org_id,
                "agent": agent_id,
                "outcome": as_json(outcome) if outcome else None,
            },
        )

    async def lock(self, run_id: str, index: int) -> StepRecord:
        """The row, locked until the transaction ends. Raises NotFound."""
        record = await self._record(
            StepRecord,
            "SELECT * FROM steps WHERE run_id = %(run)s AND index = %(index)s FOR NO KEY UPDATE",
            {"run": run_id, "index": index},
        )
        if record is None:
            raise NotFound(f"Run '{run_id}' has no step {index}")
        return record

    async def next_attempt(self, run_id: str, index: int, *, model: bool) -> int:
        """Take the next number of the step, for its model request or for one of its tool calls."""
        row = await self._row(
            "UPDATE steps SET attempt = attempt + 1, tries = tries + %(model)s::int, "
            "model_attempt = CASE WHEN %(model)s THEN attempt + 1 ELSE model_attempt END "
            "WHERE run_id = %(run)s AND index = %(index)s RETURNING attempt",
            {"run": run_id, "index": index, "model": model},
        )
        if row is None:
            raise NotFound(f"Run '{run_id}' has no step {index}")
        return int(row["attempt"])

    async def excuse(self, run_id: str, index: int, attempt: int) -> None:
        """Let an attempt at the model request not count as a try: it was only told to wait."""
        await self._execute(
            "UPDATE steps SET tries = tries - 1 "
            "WHERE run_id = %(run)s AND index = %(index)s AND model_attempt = %(attempt)s AND tries > 0",
            {"run": run_id, "index": index, "attempt": attempt},
        )

    async def answer(
        self,
        run_id: str,
        index: int,
        attempt: int,
        *,
        outcome: JsonObject,
        model: str,
        context_window: int,
        usage: Usage,
        cost_usd: Decimal | None,
    ) -> None:
        """Store what the model's reply leads to. Raises Superseded unless `attempt` holds the request."""
        touched = await self._execute(
            "UPDATE steps SET outcome = %(outcome)s, model = %(model)s, context_window = %(window)s, "
            "prompt_tokens = %(prompt)s, completion_tokens = %(completion)s, cached_input_tokens = %(cached)s, "
            "cache_write_tokens = %(written)s, reasoning_tokens = %(reasoning)s, cost_usd = %(cost)s "
            "WHERE run_id = %(run)s AND index = %(index)s AND model_attempt = %(attempt)s AND outcome IS NULL "
            "AND status = 'pending'",
            {
                "run": run_id,
                "index": index,
                "attempt": attempt,
                "outcome": as_json(outcome),
                "model": model,
                "window": context_window,
                "prompt": usage.prompt_tokens,
                "completion": usage.completion_tokens,
                "cached": usage.cached_input_tokens,
                "written": usage.cache_write_tokens,
                "reasoning": usage.reasoning_tokens,
                "cost": cost_usd,
            },
        )
        if not touched:
            raise Superseded(f"attempt {attempt} of step {index} was overtaken")

    async def close(
        self,
        run_id: str,
        index: int,
        status: Literal["success", "failed", "cancelled"],
        *,
        stop: StopReason | None = None,
        error: JsonObject | None = None,
    ) -> None:
        """End a step; `stop` is set on the last one of a run only."""
        await self._execute(
            "UPDATE steps SET status = %(status)s, stop_reason = %(stop)s, error = %(error)s, completed_at = now() "
            "WHERE run_id = %(run)s AND index = %(index)s",
            {
                "run": run_id,
                "index": index,
                "status": status,
                "stop": stop,
                "error": as_json(error) if error else None,
            },
        )

    async def restarted(self, run_id: str, index: int) -> None:
        """Count one more restart of the step by the reconciler."""
        await self._execute(
            "UPDATE steps SET restarts = restarts + 1 WHERE run_id = %(run)s AND index = %(index)s",
            {"run": run_id, "index": index},
        )

    async def get(self, step_id: str) -> StepRecord:
        """The step of this id; of a step that an approval interrupted, the part that asked. Raises NotFound."""
        record = await self._record(
            StepRecord, "SELECT * FROM steps WHERE id = %(id)s ORDER BY created_at LIMIT 1", {"id": step_id}
        )
        if record is None:
            raise NotFound(f"Step not found with id '{step_id}'")
        return record

    async def of_run(self, run_id: str) -> list[StepRecord]:
        """All steps of a run, in order."""
        return await self._records(
            StepRecord, "SELECT * FROM steps WHERE run_id = %(run)s ORDER BY index", {"run": run_id}
        )

    async def list(self, what: StepFilter) -> list[StepRecord]:
        """Steps in listing order. Raises NotFound for a cursor that names no step."""
        conditions: list[sql.SQL | sql.Composed] = []
        params: dict[str, Any] = {}
        for column, value in (("agent_id", what.agent_id), ("run_id", what.run_id), ("model", what.model)):
            if value is not None:
                conditions.append(sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder(column)))
                params[column] = value
        return await self._page(
            StepRecord,
            "steps",
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

    async def start_call(
        self, run_id: str, index: int, call_id: str, *, name: str, effect: Effect, attempt: int
    ) -> ToolCallRecord:
        """Put a tool call under `attempt`, unless it is done. Returns the row as it was before, or as inserted.

        A returned row with status `started` and another attempt's number was begun before: what became of it is
        not known.
        """
        before = await self._record(
            ToolCallRecord,
            "SELECT * FROM tool_calls WHERE run_id = %(run)s AND step_index = %(index)s AND call_id = %(call)s "
            "FOR UPDATE",
            {"run": run_id, "index": index, "call": call_id},
        )
        if before is not None and before.status == "done":
            return before
        after = await self._record(
            ToolCallRecord,
            "INSERT INTO tool_calls (run_id, step_index, call_id, org_id, name, effect, attempt) "
            "VALUES (%(run)s, %(index)s, %(call)s, %(org)s, %(name)s, %(effect)s, %(attempt)s) "
            "ON CONFLICT (run_id, step_index, call_id) DO UPDATE SET attempt = excluded.attempt RETURNING *",
            {
                "run": run_id,
                "index": index,
                "call": call_id,
                "org": self._org_id,
                "name": name,
                "effect": effect,
                "attempt": attempt,
            },
        )
        assert after is not None  # RETURNING of an upsert always has its row
        return before or after

    async def finish_call(self, run_id: str, index: int, returned: ToolReturn, *, attempt: int) -> None:
        """Store what a call returned. Raises Superseded unless `attempt` holds it."""
        touched = await self._execute(
            "UPDATE tool_calls SET status = 'done', result = %(result)s, completed_at = now() "
            "WHERE run_id = %(run)s AND step_index = %(index)s AND call_id = %(call)s AND attempt = %(attempt)s "
            "AND status = 'started' AND EXISTS (SELECT 1 FROM steps WHERE run_id = %(run)s AND index = %(index)s "
            "AND status = 'pending')",
            {
                "run": run_id,
                "index": index,
                "call": returned.tool_call_id,
                "attempt": attempt,
                "result": as_json(TOOL_RETURNS.dump_python((returned,), mode="json")[0]),
            },
        )
        if not touched:
            raise Superseded(f"attempt {attempt} of call {returned.tool_call_id} was overtaken")

    async def add_return(self, run_id: str, index: int, returned: ToolReturn) -> None:
        """Store a call that the client carried out, with what it returned, as one that was carried out in this step."""
        await self._execute(
            "INSERT INTO tool_calls (run_id, step_index, call_id, org_id, name, effect, attempt, status, result, "
            "completed_at) VALUES (%(run)s, %(index)s, %(call)s, %(org)s, %(name)s, 'external', 0, 'done', "
            "%(result)s, now()) ON CONFLICT DO NOTHING",
            {
                "run": run_id,
                "index": index,
                "call": returned.tool_call_id,
                "org": self._org_id,
                "name": returned.name,
                "result": as_json(TOOL_RETURNS.dump_python((returned,), mode="json")[0]),
            },
        )

    async def calls(self, run_id: str, index: int) -> Sequence[ToolCallRecord]:
        """The tool calls of one step that were begun."""
        return await self._records(
            ToolCallRecord,
            "SELECT * FROM tool_calls WHERE run_id = %(run)s AND step_index = %(index)s ORDER BY created_at",
            {"run": run_id, "index": index},
        )

    async def history(self, run_id: str) -> Sequence[PastCall]:
        """The calls carried out in this request so far, in order, as the tool rules see them."""
        rows = await self._rows(
            "SELECT name, result FROM tool_calls WHERE run_id = %(run)s AND status = 'done' "
            "ORDER BY step_index, created_at",
            {"run": run_id},
        )
        return [PastCall(row["name"], (row["result"] or {}).get("content", "")) for row in rows]
