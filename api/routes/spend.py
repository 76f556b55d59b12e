"""Spend: what agents used of the models, and what it cost."""

import re
from datetime import UTC, date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BeforeValidator

from api.deps import Asking
from api.errors import documented
from api.responses import Json
from api.routes.params import AgentQuery, Limit, RunPath
from api.schemas.spend import Spend, print_spend
from o.errors import InvalidArgument
from o.store.repositories.spend import Grouping, SpendFilter

router = APIRouter(tags=["spend"])

# Days shown when no first day is given, the last one included.
_DAYS = 30


def _as_day(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("must be a day, as YYYY-MM-DD")  # pydantic would take seconds since 1970 as well
    return value


Day = Annotated[date | None, BeforeValidator(_as_day), Query(description="A day in UTC, as YYYY-MM-DD; included.")]


@router.get("/v1/spend", operation_id="list_spend", response_model=list[Spend], responses=documented())
async def list_spend(
    caller: Asking,
    agent_id: AgentQuery = None,
    start_date: Day = None,
    end_date: Day = None,
    group_by: Grouping = "day",
    limit: Limit = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000, description="How many items to leave out.")] = 0,
) -> Json:
    """What model requests used and cost: by day, newest first, or by agent or model, the dearest first.

    Without dates the last 30 days. Agents that were deleted are in it: what they spent is spent.
    """
    end = end_date or caller.parts.store.now().astimezone(UTC).date()
    start = start_date or date.fromordinal(max(1, end.toordinal() - _DAYS + 1))
    if start > end:
        raise InvalidArgument(f"start_date: {start} is after end_date {end}; swap them")
    async with caller.transaction() as tx:
        found = await tx.spend.list(SpendFilter(start, end, agent_id, group_by, limit, offset))
    return Json([print_spend(spend) for spend in found])


@router.get(
    "/v1/runs/{run_id}/spend", operation_id="retrieve_spend_of_run", response_model=Spend, responses=documented(404)
)
async def retrieve_spend_of_run(run_id: RunPath, caller: Asking) -> Json:
    """What a run has used and cost so far, summed over its steps."""
    async with caller.transaction() as tx:
        run = await tx.runs.get(run_id)
        return Json({**print_spend(await tx.spend.of_run(run_id)), "agent_id": run.agent_id})
