"""Spend and budgets on the wire."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field, StrictInt, model_validator

from api.responses import timestamp
from api.schemas.common import AgentId, Body, Shape
from o.domain.budget import Period
from o.domain.json import JsonObject
from o.store.provider_records import BudgetRecord, SpendRecord

# Far above any bill, far below what a double or a bigint holds exactly.
_MOST_TOKENS = 10**15
_MOST_USD = 1_000_000_000

_COST = "USD. Requests to models without a known price are not in it: see `unpriced_requests`; null if all are such."


class Spend(Shape):
    """What model requests used, summed over a day, an agent or a model: that field is set, the other two are null.

    `prompt_tokens` includes `cached_input_tokens` and `cache_write_tokens`, `completion_tokens` includes
    `reasoning_tokens`.
    """

    day: str | None = None
    agent_id: str | None = None
    model: str | None = None
    requests: int
    unpriced_requests: int = Field(description="Requests to models whose price is not known.")
    prompt_tokens: int
    completion_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    total_tokens: int
    cost_usd: float | None = Field(default=None, description=_COST)


class Budget(Shape):
    """A limit on spend, asked before every model request: a run for which nothing is left stops between two steps."""

    id: str
    agent_id: str | None = None
    period: Period
    max_tokens: int | None = None
    max_cost_usd: float | None = None
    created_at: str


class PutBudget(Body):
    """A budget to set; it replaces the one of the same agent and period."""

    agent_id: AgentId | None = Field(
        default=None,
        description="Whose spend counts. Null: all agents together (`day`), or each run of any agent (`run`).",
    )
    period: Period = Field(description="`run`: for each run. `day`: for each day, in UTC.")
    max_tokens: Annotated[StrictInt, Field(ge=1, le=_MOST_TOKENS)] | None = Field(
        default=None, description="Most tokens of prompts and replies together."
    )
    max_cost_usd: Annotated[Decimal, Field(gt=0, le=_MOST_USD, decimal_places=6)] | None = Field(
        default=None, description="Most USD. Requests to models without a known price count as 0."
    )

    @model_validator(mode="after")
    def _limits_something(self) -> "PutBudget":
        if self.max_tokens is None and self.max_cost_usd is None:
            raise ValueError("max_tokens or max_cost_usd: set at least one; DELETE removes a budget")
        return self


def print_spend(spend: SpendRecord) -> JsonObject:
    """Spend as the wire has it."""
    return {
        "day": None if spend.day is None else spend.day.isoformat(),
        "agent_id": spend.agent_id,
        "model": spend.model,
        "requests": spend.requests,
        "unpriced_requests": spend.unpriced_requests,
        "prompt_tokens": spend.prompt_tokens,
        "completion_tokens": spend.completion_tokens,
        "cached_input_tokens": spend.cached_input_tokens,
        "cache_write_tokens": spend.cache_write_tokens,
        "reasoning_tokens": spend.reasoning_tokens,
        "total_tokens": spend.prompt_tokens + spend.completion_tokens,
        "cost_usd": None if spend.cost_usd is None else float(spend.cost_usd),
    }


def print_budget(budget: BudgetRecord) -> JsonObject:
    """A budget as the wire has it."""
    return {
        "id": budget.id,
        "agent_id": budget.agent_id,
        "period": budget.period,
        "max_tokens": budget.max_tokens,
        "max_cost_usd": None if budget.max_cost_usd is None else float(budget.max_cost_usd),
        "created_at": timestamp(budget.created_at),
    }
