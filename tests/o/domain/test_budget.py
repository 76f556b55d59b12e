"""Budgets: when one is used up, and what a person is told then."""

from decimal import Decimal

import pytest

from o.domain.budget import Budget, Exceeded, Spent, exceeded
from o.domain.stop import run_status, stop_reason_of
from o.errors import BudgetExceeded

TOKENS = Budget("budget-1", "agent-1", "day", 1000, None)
MONEY = Budget("budget-2", None, "run", None, Decimal("0.5"))
BOTH = Budget("budget-3", "agent-1", "run", 1000, Decimal("0.5"))


@pytest.mark.parametrize(
    ("budget", "spent", "over"),
    [
        (TOKENS, Spent(), False),
        (TOKENS, Spent(999, Decimal(100)), False),
        (TOKENS, Spent(1000), True),
        (TOKENS, Spent(5000), True),
        (MONEY, Spent(10**9, Decimal("0.499999")), False),
        (MONEY, Spent(0, Decimal("0.5")), True),
        (BOTH, Spent(999, Decimal("0.49")), False),
        (BOTH, Spent(1000, Decimal(0)), True),
        (BOTH, Spent(0, Decimal("0.5")), True),
    ],
)
def test_a_budget_is_exceeded_once_nothing_is_left_of_a_limit(budget: Budget, spent: Spent, over: bool) -> None:
    assert exceeded([(budget, spent)]) == (Exceeded(budget, spent) if over else None)


def test_the_first_of_several_is_named() -> None:
    used_up = Spent(1000, Decimal(1))
    found = exceeded([(TOKENS, Spent()), (BOTH, used_up), (MONEY, used_up)])
    assert found is not None and found.budget is BOTH
    assert exceeded([]) is None


def test_the_message_names_budget_limit_use_and_the_way_on() -> None:
    assert Exceeded(TOKENS, Spent(1200)).message == (
        "the budget budget-1 of agent-1 per day is used up: 1200 of 1000 tokens today (UTC); "
        "raise it with `o budgets set` or PUT /v1/budgets/, or remove it with `o budgets rm`"
    )
    both = Exceeded(BOTH, Spent(1200, Decimal("0.5100"))).message
    assert "1200 of 1000 tokens, 0.51 of 0.5 USD in this run" in both
    assert "the organisation per run is used up: 0.0000001 of 100 USD" in (
        Exceeded(Budget("b", None, "run", None, Decimal("1E+2")), Spent(0, Decimal("1E-7"))).message
    )


def test_a_run_that_met_a_budget_stops_for_want_of_credits() -> None:
    error = BudgetExceeded("used up")
    assert not error.retryable
    assert stop_reason_of(error.code) == "insufficient_credits"
    assert run_status("insufficient_credits") == "failed"
