"""Steps: single model requests with their tools, across runs."""

from typing import Literal

from fastapi import APIRouter

from api.deps import Asking, JsonRoute
from api.errors import documented
from api.responses import Json
from api.routes.messages import printed_messages
from api.routes.params import AgentQuery, Cursor, Limit, MessageCursor, Order, StepPath, Words
from api.schemas.common import Shape
from api.schemas.messages import WireMessage
from api.schemas.runs import Step, print_step
from o.domain.json import JsonObject
from o.store.repositories.steps import StepFilter

router = APIRouter(tags=["steps"], route_class=JsonRoute)


class StepMetrics(Shape):
    """How long a step took, in nanoseconds."""

    id: str
    step_ns: int | None = None


@router.get("/v1/steps/", operation_id="list_steps", response_model=list[Step], responses=documented(404))
async def list_steps(
    caller: Asking,
    agent_id: AgentQuery = None,
    model: Words = None,
    before: Cursor = None,
    after: Cursor = None,
    limit: Limit = 50,
    order: Order = "desc",
    order_by: Literal["created_at"] = "created_at",
) -> Json:
    """Steps that match every given filter; `model` is a handle."""
    what = StepFilter(agent_id=agent_id, model=model, before=before, after=after, limit=limit, order=order)
    async with caller.transaction() as tx:
        return Json([print_step(step) for step in await tx.steps.list(what)])


@router.get("/v1/steps/{step_id}", operation_id="retrieve_step", response_model=Step, responses=documented(404))
async def retrieve_step(step_id: StepPath, caller: Asking) -> Json:
    """One step."""
    async with caller.transaction() as tx:
        return Json(print_step(await tx.steps.get(step_id)))


@router.get(
    "/v1/steps/{step_id}/metrics",
    operation_id="retrieve_metrics_for_step",
    response_model=StepMetrics,
    responses=documented(404),
)
async def retrieve_metrics_for_step(step_id: StepPath, caller: Asking) -> Json:
    """How long a step took."""
    async with caller.transaction() as tx:
        step = await tx.steps.get(step_id)
    taken = None if step.completed_at is None else step.completed_at - step.created_at
    metrics: JsonObject = {
        "id": step.id,
        "run_id": step.run_id,
        "agent_id": step.agent_id,
        "provider_id": None,
        "step_start_ns": int(step.created_at.timestamp() * 1e9),
        "step_ns": None if taken is None else int(taken.total_seconds() * 1e9),
        "llm_request_start_ns": None,
        "llm_request_ns": None,
        "tool_execution_ns": None,
        "project_id": None,
        "template_id": None,
        "base_template_id": None,
    }
    return Json(metrics)


@router.get(
    "/v1/steps/{step_id}/messages",
    operation_id="list_messages_for_step",
    response_model=list[WireMessage],
    responses=documented(404),
)
async def list_messages_for_step(
    step_id: StepPath,
    caller: Asking,
    before: MessageCursor = None,
    after: MessageCursor = None,
    limit: Limit = 100,
    order: Order = "asc",
    order_by: Literal["created_at"] = "created_at",
) -> Json:
    """The messages one step produced."""
    async with caller.transaction() as tx:
        step = await tx.steps.get(step_id)
        _, agent_type = await tx.agents.own_thread(step.agent_id)
        found = await tx.messages.list(step_id=step_id, after=after, before=before, limit=limit, order=order)
    return Json(printed_messages(agent_type, found))
