"""Spend: what each agent used of each model, day by day, and what it cost."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from psycopg.sql import SQL, Identifier

from o.domain.model import Usage
from o.store.provider_records import SpendRecord
from o.store.repositories.base import Repository

Grouping = Literal["day", "agent", "model"]

_COLUMNS: dict[Grouping, str] = {"day": "day", "agent": "agent_id", "model": "model"}


@dataclass(frozen=True, slots=True)
class SpendFilter:
    """Which spend to sum: days from `start` to `end`, both included; of one agent or (None) of all."""

    start: date
    end: date
    agent_id: str | None = None
    group_by: Grouping = "day"
    limit: int = 100
    offset: int = 0


class Spend(Repository):
    """The spend of one organisation."""

    async def record(self, agent_id: str, model: str, usage: Usage, cost: Decimal | None) -> None:
        """Add one model request to today's sums; `cost` in USD, None where nobody knows the price."""
        await self._execute(
            "INSERT INTO spend AS s (org_id, agent_id, day, model, requests, unpriced_requests, prompt_tokens, "
            "completion_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens, cost_usd) "
            "VALUES (%(org)s, %(agent)s, (now() AT TIME ZONE 'UTC')::date, %(model)s, 1, %(unpriced)s, %(prompt)s, "
            "%(completion)s, %(cached)s, %(written)s, %(reasoning)s, %(cost)s) "
            "ON CONFLICT (org_id, agent_id, day, model) DO UPDATE SET requests = s.requests + 1, "
            "unpriced_requests = s.unpriced_requests + excluded.unpriced_requests, "
            "prompt_tokens = s.prompt_tokens + excluded.prompt_tokens, "
            "completion_tokens = s.completion_tokens + excluded.completion_tokens, "
            "cached_input_tokens = s.cached_input_tokens + excluded.cached_input_tokens, "
            "cache_write_tokens = s.cache_write_tokens + excluded.cache_write_tokens, "
            "reasoning_tokens = s.reasoning_tokens + excluded.reasoning_tokens, "
            "cost_usd = CASE WHEN excluded.cost_usd IS NULL THEN s.cost_usd "
            "ELSE coalesce(s.cost_usd, 0) + excluded.cost_usd END",
            {
                "org": self._org_id,
                "agent": agent_id,
                "model": model,
                "unpriced": int(cost is None),
                "prompt": usage.prompt_tokens,
                "completion": usage.completion_tokens,
                "cached": usage.cached_input_tokens,
                "written": usage.cache_write_tokens,
                "reasoning": usage.reasoning_tokens,
                "cost": cost,
            },
        )

    async def list(self, what: SpendFilter) -> list[SpendRecord]:
        """The sums of each day, newest first; or of each agent or model, the dearest first, then the busiest."""
        column = _COLUMNS[what.group_by]
        order = SQL("day DESC") if column == "day" else SQL("cost_usd DESC NULLS LAST, tokens DESC, {}")
        query = SQL(
            "SELECT {day} AS day, {agent} AS agent_id, {model} AS model, requests, unpriced_requests, prompt_tokens, "
            "completion_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens, cost_usd FROM ("
            "SELECT {column}, sum(requests)::bigint AS requests, sum(unpriced_requests)::bigint AS unpriced_requests, "
            "sum(prompt_tokens)::bigint AS prompt_tokens, sum(completion_tokens)::bigint AS completion_tokens, "
            "sum(cached_input_tokens)::bigint AS cached_input_tokens, "
            "sum(cache_write_tokens)::bigint AS cache_write_tokens, sum(reasoning_tokens)::bigint AS reasoning_tokens, "
            "sum(prompt_tokens + completion_tokens) AS tokens, sum(cost_usd) AS cost_usd "
            "FROM spend WHERE day BETWEEN %(start)s AND %(end)s "
            "AND (%(agent)s::text IS NULL OR agent_id = %(agent)s) GROUP BY {column}) summed "
            "ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s"
        ).format(
            column=Identifier(column),
            order=order.format(Identifier(column)),
            **{
                name: Identifier(of) if of == column else SQL("NULL")
                for name, of in (("day", "day"), ("agent", "agent_id"), ("model", "model"))
            },
        )
        return await self._records(
            SpendRecord,
            query,
            {
                "start": what.start,
                "end": what.end,
                "agent": what.agent_id,
                "limit": what.limit,
                "offset": what.offset,
            },
        )

    async def of_run(self, run_id: str) -> SpendRecord:
        """The sums of a run, over those of its steps that a model answered; zeros if there is none."""
        record = await self._record(
            SpendRecord,
            "SELECT NULL AS day, min(agent_id) AS agent_id, NULL AS model, count(*) AS requests, "
            "count(*) FILTER (WHERE cost_usd IS NULL) AS unpriced_requests, "
            "coalesce(sum(prompt_tokens), 0)::bigint AS prompt_tokens, "
            "coalesce(sum(completion_tokens), 0)::bigint AS completion_tokens, "
            "coalesce(sum(cached_input_tokens), 0)::bigint AS cached_input_tokens, "
            "coalesce(sum(cache_write_tokens), 0)::bigint AS cache_write_tokens, "
            "coalesce(sum(reasoning_tokens), 0)::bigint AS reasoning_tokens, sum(cost_usd) AS cost_usd "
            "FROM steps WHERE run_id = %(run)s AND model IS NOT NULL",
            {"run": run_id},
        )
        assert record is not None  # an aggregate always has its row
        return record
