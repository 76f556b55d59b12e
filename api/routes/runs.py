"""Runs: what was asked for, how far it is, what it led to."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.deps import Asking, JsonRoute
from api.errors import documented
from api.responses import Json
from api.routes.messages import MARKER_HEADER, printed_messages
from api.routes.params import AgentQuery, Cursor, Limit, MessageCursor, Order, RunPath
from api.schemas.common import Shape
from api.schemas.messages import FollowRun, WireMessage
from api.schemas.runs import Run, Step, print_run, print_step, print_usage
from api.streaming import View, stream
from api.turns import wanted
from o.domain.json import JsonObject
from o.domain.request import TurnOptions
from o.domain.stop import StopReason
from o.errors import Conflict, InvalidArgument
from o.store.repositories.runs import RunFilter
from o.store.repositories.steps import StepFilter

router = APIRouter(tags=["runs"], route_class=JsonRoute)

_STATUSES = ("created", "running", "completed", "failed", "cancelled")


class UsageCounts(Shape):
    """Tokens of a run."""

    completion_tokens: int
    prompt_tokens: int
    total_tokens: int


class RunMetrics(Shape):
    """How long a run took and what it used."""

    id: str
    num_steps: int
    run_ns: int | None = None


@router.get("/v1/runs/", operation_id="list_runs", response_model=list[Run], responses=documented(404))
async def list_runs(
    caller: Asking,
    agent_id: AgentQuery = None,
    agent_ids: Annotated[list[str] | None, Query(max_length=200)] = None,
    statuses: Annotated[list[str] | None, Query(max_length=20)] = None,
    active: bool = False,
    background: bool | None = None,
    stop_reason: StopReason | None = None,
    conversation_id: Cursor = None,
    before: Cursor = None,
    after: Cursor = None,
    limit: Limit = 100,
    order: Order = "desc",
    order_by: Literal["created_at"] = "created_at",
    ascending: Annotated[bool | None, Query(deprecated=True)] = None,
) -> Json:
    """Runs that match every given filter."""
    if unknown := [status for status in statuses or () if status not in _STATUSES]:
        raise InvalidArgument(f"statuses: '{unknown[0][:80]}' is none of {', '.join(_STATUSES)}")
    what = RunFilter(
        agent_ids=tuple([agent_id] if agent_id else agent_ids or ()),
        statuses=tuple(statuses or ()),
        active=active,
        background=background,
        stop_reason=stop_reason,
        conversation_id=conversation_id,
        after=after,
        before=before,
        limit=limit,
        order="asc" if ascending else order,
    )
    async with caller.transaction() as tx:
        return Json([print_run(run) for run in await tx.runs.list(what)])


@router.get("/v1/runs/{run_id}", operation_id="retrieve_run", response_model=Run, responses=documented(404))
async def retrieve_run(run_id: RunPath, caller: Asking) -> Json:
    """One run."""
    async with caller.transaction() as tx:
        return Json(print_run(await tx.runs.get(run_id)))


@router.delete("/v1/runs/{run_id}", operation_id="delete_run", responses=documented(404, 409))
async def delete_run(run_id: RunPath, caller: Asking) -> Json:
    """Forget a run that has ended; its messages stay."""
    async with caller.transaction() as tx:
        run = await tx.runs.get(run_id)
        if run.completed_at is None:
            raise Conflict(f"Run '{run_id}' has not ended; cancel it first")
        pending = await tx.approvals.pending(run.conversation_id)
        if pending is not None and pending.run_id == run_id:
            raise Conflict(f"Run '{run_id}' waits for a person: answer its approval, or cancel it, first")
        await tx.runs.delete(run_id)
    return Json(None)


@router.get(
    "/v1/runs/{run_id}/messages",
    operation_id="list_messages_for_run",
    response_model=list[WireMessage],
    responses=documented(404),
)
async def list_messages_for_run(
    run_id: RunPath,
    caller: Asking,
    before: MessageCursor = None,
    after: MessageCursor = None,
    limit: Limit = 100,
    order: Order = "asc",
    order_by: Literal["created_at"] = "created_at",
) -> Json:
    """The messages of a run, its input first."""
    async with caller.transaction() as tx:
        run = await tx.runs.get(run_id)
        _, agent_type = await tx.agents.own_thread(run.agent_id)
        found = await tx.messages.list(run_id=run_id, after=after, before=before, limit=limit, order=order)
    options = TurnOptions.model_validate(run.request)
    printed = printed_messages(agent_type, found, use_assistant_message=options.use_assistant_message)
    return Json(wanted(printed, options.include_return_message_types))


@router.get(
    "/v1/runs/{run_id}/usage",
    operation_id="retrieve_usage_for_run",
    response_model=UsageCounts,
    responses=documented(404),
)
async def retrieve_usage_for_run(run_id: RunPath, caller: Asking) -> Json:
    """The tokens of a run, summed over its steps."""
    async with caller.transaction() as tx:
        await tx.runs.get(run_id)
        return Json(print_usage(await tx.steps.of_run(run_id)))


@router.get(
    "/v1/runs/{run_id}/metrics",
    operation_id="retrieve_metrics_for_run",
    response_model=RunMetrics,
    responses=documented(404),
)
async def retrieve_metrics_for_run(run_id: RunPath, caller: Asking) -> Json:
    """How long a run took, how many steps it had, which tools it used."""
    async with caller.transaction() as tx:
        run = await tx.runs.get(run_id)
        steps = await tx.steps.of_run(run_id)
        called = {call.name for step in steps for call in await tx.steps.calls(run_id, step.index)}
        tools = (await tx.agents.attached([run.agent_id], blocks=False, tools=True))[run.agent_id].tools
    metrics: JsonObject = {
        "id": run.id,
        "agent_id": run.agent_id,
        "project_id": None,
        "run_start_ns": int(run.created_at.timestamp() * 1e9),
        "run_ns": run.total_duration_ns,
        "num_steps": len(steps),
        "tools_used": [tool.id for tool in tools if tool.name in called],
        "template_id": None,
        "base_template_id": None,
    }
    return Json(metrics)


@router.get(
    "/v1/runs/{run_id}/steps", operation_id="list_steps_for_run", response_model=list[Step], responses=documented(404)
)
async def list_steps_for_run(
    run_id: RunPath,
    caller: Asking,
    before: Cursor = None,
    after: Cursor = None,
    limit: Limit = 100,
    order: Order = "desc",
    order_by: Literal["created_at"] = "created_at",
) -> Json:
    """The steps of a run."""
    async with caller.transaction() as tx:
        await tx.runs.get(run_id)
        steps = await tx.steps.list(StepFilter(run_id=run_id, before=before, after=after, limit=limit, order=order))
    return Json([print_step(step) for step in steps])


@router.post(
    "/v1/runs/{run_id}/stream",
    operation_id="retrieve_stream_for_run",
    responses={
        **documented(404),
        200: {
            "description": "The events of the run.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        410: {"description": "The events of this run are no longer kept."},
    },
)
async def retrieve_stream_for_run(
    run_id: RunPath, request: Request, caller: Asking, body: FollowRun | None = None
) -> Response:
    """Replay the events of a background run after a `seq_id`, and follow it to its end."""
    body = body or FollowRun()
    async with caller.transaction() as tx:
        run = await tx.runs.get(run_id)
        kept = run.completed_at is None or bool(await tx.events.after(run_id, run.last_seq - 1, limit=1))
    if not run.background:
        raise InvalidArgument(f"Run '{run_id}' was not started in the background, so its events cannot be replayed")
    if not kept:
        return Json({"detail": f"the events of run '{run_id}' are no longer kept"}, 410)
    options = TurnOptions.model_validate(run.request)
    view = View(
        tokens=options.stream_tokens,
        pings=body.include_pings is not False,
        numbered=True,
        starting_after=body.starting_after,
        markers=MARKER_HEADER in request.headers,
        types=options.include_return_message_types,
    )
    return stream(caller, run_id, view)
