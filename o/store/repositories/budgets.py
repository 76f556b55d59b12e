"""Budgets: set, listed, removed, and asked before every model request."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from psycopg.sql import SQL, Composed

from o import ids
from o.domain import budget
from o.domain.budget import Budget, Exceeded, Period, Spent
from o.errors import NotFound
from o.store.provider_records import BudgetRecord
from o.store.repositories.base import Place, Repository


@dataclass(frozen=True, slots=True)
class BudgetFilter:
    """What to list: None means any. Cursors are budget ids in listing order."""

    agent_id: str | None = None
    after: str | None = None
    before: str | None = None
    limit: int = 100
    order: Literal["asc", "desc"] = "desc"


class Budgets(Repository):
    """The budgets of one organisation."""

    async def put(
        self, agent_id: str | None, period: Period, *, max_tokens: int | None, max_cost_usd: Decimal | None
    ) -> BudgetRecord:
        """Set the budget of an agent, or (None) of the organisation, for a period; one that is there is replaced."""
        record = await self._record(
            BudgetRecord,
            "INSERT INTO budgets (id, org_id, agent_id, period, max_tokens, max_cost_usd) "
            "VALUES (%(id)s, %(org)s, %(agent)s, %(period)s, %(tokens)s, %(cost)s) "
            "ON CONFLICT (org_id, agent_id, period) DO UPDATE SET max_tokens = excluded.max_tokens, "
            "max_cost_usd = excluded.max_cost_usd RETURNING *",
            {
                "id": ids.new("budget"),
                "org": self._org_id,
                "agent": agent_id,
                "period": period,
                "tokens": max_tokens,
                "cost": max_cost_usd,
            },
        )
        assert record is not None  # RETURNING of an upsert always has its row
        return record

    async def get(self, budget_id: str) -> BudgetRecord:
        """Raises NotFound."""
        record = await self._record(BudgetRecord, "SELECT * FROM budgets WHERE id = %(id)s", {"id": budget_id})
        if record is None:
            raise _unknown(budget_id)
        return record

    async def list(self, what: BudgetFilter) -> list[BudgetRecord]:
        """Budgets in listing order. Raises NotFound for a cursor that names no budget."""
        conditions: list[SQL | Composed] = [] if what.agent_id is None else [SQL("agent_id = %(agent)s")]
        return await self._page(
            BudgetRecord,
            "budgets",
            conditions,
            {"agent": what.agent_id},
            after=await self._place(what.after),
            before=await self._place(what.before),
            order=what.order,
            limit=what.limit,
        )

    async def delete(self, budget_id: str) -> None:
        """Raises NotFound."""
        if not await self._execute("DELETE FROM budgets WHERE id = %(id)s", {"id": budget_id}):
            raise _unknown(budget_id)

    async def exceeded(self, agent_id: str, run_id: str) -> Exceeded | None:
        """A budget that leaves nothing for another model request of this run: the run's, then the agent's, then all's.

        One query; where there is no budget, a look into one index. What a request will cost is known after it, so
        requests under way at the same time may together go beyond a budget.
        """
        rows = await self._rows(
            "SELECT b.*, coalesce(spent.tokens, 0)::bigint AS tokens, coalesce(spent.cost, 0) AS cost "
            "FROM budgets b CROSS JOIN LATERAL ("
            "SELECT sum(prompt_tokens + completion_tokens) AS tokens, sum(cost_usd) AS cost FROM ("
            "SELECT prompt_tokens, completion_tokens, cost_usd FROM steps WHERE b.period = 'run' AND run_id = %(run)s "
            "UNION ALL SELECT prompt_tokens, completion_tokens, cost_usd FROM spend WHERE b.period = 'day' "
            "AND agent_id = b.agent_id AND day = (now() AT TIME ZONE 'UTC')::date "
            "UNION ALL SELECT prompt_tokens, completion_tokens, cost_usd FROM spend WHERE b.period = 'day' "
            "AND b.agent_id IS NULL AND day = (now() AT TIME ZONE 'UTC')::date) used) spent "
            "WHERE b.agent_id IS NULL OR b.agent_id = %(agent)s ORDER BY b.period DESC, b.agent_id NULLS LAST",
            {"agent": agent_id, "run": run_id},
        )
        return budget.exceeded(
            (
                Budget(row["id"], row["agent_id"], row["period"], row["max_tokens"], row["max_cost_usd"]),
                Spent(row["tokens"], row["cost"]),
            )
            for row in rows
        )

    async def _place(self, cursor: str | None) -> Place | None:
        if cursor is None:
            return None
        at = await self.get(cursor)
        return at.created_at, at.id


def _unknown(budget_id: str) -> NotFound:
    return NotFound(f"Budget not found with id '{budget_id}'; `o budgets ls` lists them")
