"""Budgets: limits on what agents spend."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.deps import Asking, JsonRoute
from api.errors import documented
from api.responses import Json
from api.routes.params import AgentQuery, Limit, Order
from api.schemas.spend import Budget, PutBudget, print_budget
from o.ids import pattern
from o.store.repositories.budgets import BudgetFilter

router = APIRouter(prefix="/v1/budgets", tags=["budgets"], route_class=JsonRoute)

BudgetPath = Annotated[str, Path(pattern=pattern("budget"), description="Id of the budget.")]
BudgetCursor = Annotated[str | None, Query(pattern=pattern("budget"), description="Id of the budget to go on from.")]


@router.get("/", operation_id="list_budgets", response_model=list[Budget], responses=documented(404))
async def list_budgets(
    caller: Asking,
    agent_id: AgentQuery = None,
    before: BudgetCursor = None,
    after: BudgetCursor = None,
    limit: Limit = 100,
    order: Order = "desc",
) -> Json:
    """The budgets there are, or those of one agent."""
    async with caller.transaction() as tx:
        found = await tx.budgets.list(BudgetFilter(agent_id, after, before, limit, order))
    return Json([print_budget(budget) for budget in found])


@router.put("/", operation_id="put_budget", response_model=Budget, responses=documented(404))
async def put_budget(body: PutBudget, caller: Asking) -> Json:
    """Set the budget of an agent, or of the organisation, per run or per day; one that is there is replaced."""
    async with caller.transaction() as tx:
        if body.agent_id is not None:
            await tx.agents.get(body.agent_id)
        budget = await tx.budgets.put(
            body.agent_id, body.period, max_tokens=body.max_tokens, max_cost_usd=body.max_cost_usd
        )
    return Json(print_budget(budget))


@router.delete("/{budget_id}", operation_id="delete_budget", responses=documented(404))
async def delete_budget(budget_id: BudgetPath, caller: Asking) -> Json:
    """Remove a budget: what it held back may go on."""
    async with caller.transaction() as tx:
        await tx.budgets.delete(budget_id)
    return Json(None)
