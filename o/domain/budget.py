"""Budgets: how much may be spent per run or day, and whether that much has been."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Period = Literal["run", "day"]


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on what is spent in each run, or on each day (UTC).

    Attributes:
        agent_id: whose spend counts; None: that of all agents of the organisation, or each single run of any of them.
        max_tokens: of prompts and replies together, ≥ 1; None: any number.
        max_cost_usd: > 0; None: any sum.
    """

    id: str
    agent_id: str | None
    period: Period
    max_tokens: int | None
    max_cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What counts against a budget so far. A request whose price nobody knows adds nothing to `cost_usd`."""

    tokens: int = 0
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A budget of which nothing is left, and what was spent."""

    budget: Budget
    spent: Spent

    @property
    def message(self) -> str:
        """What a person needs to know: which budget, its limits, what was spent, and the way on."""
        budget, limits = self.budget, []
        if budget.max_tokens is not None:
            limits.append(f"{self.spent.tokens} of {budget.max_tokens} tokens")
        if budget.max_cost_usd is not None:
            limits.append(f"{_dollars(self.spent.cost_usd)} of {_dollars(budget.max_cost_usd)} USD")
        whose = "the organisation" if budget.agent_id is None else budget.agent_id
        when = "in this run" if budget.period == "run" else "today (UTC)"
        return (
            f"the budget {budget.id} of {whose} per {budget.period} is used up: {', '.join(limits)} {when}; "
            "raise it with `o budgets set` or PUT /v1/budgets/, or remove it with `o budgets rm`"
        )


def exceeded(budgets: Iterable[tuple[Budget, Spent]]) -> Exceeded | None:
    """The first budget of which nothing is left: the limit itself may be spent, and no request begins beyond it."""
    for budget, spent in budgets:
        no_tokens = budget.max_tokens is not None and spent.tokens >= budget.max_tokens
        no_money = budget.max_cost_usd is not None and spent.cost_usd >= budget.max_cost_usd
        if no_tokens or no_money:
            return Exceeded(budget, spent)
    return None


def _dollars(amount: Decimal) -> str:
    """A sum as people write it: no exponent, no zeros at the end."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
