"""Agents: made, listed, read, changed, deleted."""

import logging
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api import agent_writes
from api.agent_reads import print_agents, print_one
from api.deps import Asking, JsonRoute
from api.errors import documented
from api.responses import Json
from api.routes.params import AgentPath, Cursor, Limit, Order, Words
from api.schemas.agent_state import asked_for
from api.schemas.agents import AgentState, CreateAgent, Include, UpdateAgent
from o.domain.stop import StopReason
from o.errors import Unavailable
from o.store import queue
from o.store.repositories.agents import AgentFilter

_log = logging.getLogger(__name__)

router = APIRouter(tags=["agents"], route_class=JsonRoute)

Included = Annotated[list[Include] | None, Query(description="Relations to fill in; all others are empty.")]
OldIncluded = Annotated[list[str] | None, Query(deprecated=True, max_length=20)]


# A model may be asked for a vector on the way, to see how long its vectors are.
_WRITTEN = documented(402, 404, 409, 429, 504)


@router.get("/v1/agents/count", operation_id="count_agents", response_model=int, responses=documented())
async def count_agents(caller: Asking) -> Json:
    """How many agents there are, hidden ones not counted."""
    async with caller.transaction() as tx:
        return Json(await tx.agents.count())


@router.get(
    "/v1/agents/{agent_id}", operation_id="retrieve_agent", response_model=AgentState, responses=documented(404)
)
async def retrieve_agent(
    agent_id: AgentPath, caller: Asking, include: Included = None, include_relationships: OldIncluded = None
) -> Json:
    """One agent."""
    wanted = asked_for(include, include_relationships, sdk=caller.sdk)
    async with caller.transaction() as tx:
        return Json(await print_one(caller, tx, agent_id, wanted))


@router.get("/v1/agents/", operation_id="list_agents", response_model=list[AgentState], responses=documented())
async def list_agents(
    caller: Asking,
    name: Words = None,
    query_text: Words = None,
    tags: Annotated[list[str] | None, Query(max_length=200)] = None,
    match_all_tags: bool = False,
    before: Cursor = None,
    after: Cursor = None,
    limit: Limit = 50,
    order: Order = "desc",
    order_by: Literal["created_at", "updated_at", "last_run_completion"] = "created_at",
    last_stop_reason: StopReason | None = None,
    identity_id: Cursor = None,
    identifier_keys: Annotated[list[str] | None, Query(max_length=200)] = None,
    project_id: Words = None,
    created_by_id: Cursor = None,
    template_id: Cursor = None,
    base_template_id: Cursor = None,
    show_hidden_agents: bool = False,
    ascending: Annotated[bool | None, Query(deprecated=True)] = None,
    include: Included = None,
    include_relationships: OldIncluded = None,
) -> Json:
    """Agents that match every given filter. An unknown cursor is ignored."""
    if identity_id or identifier_keys or template_id or base_template_id:
        return Json([])  # agents have neither identities nor templates yet
    what = AgentFilter(
        name=name,
        query_text=query_text,
        tags=tuple(tags or ()),
        match_all_tags=match_all_tags,
        last_stop_reason=last_stop_reason,
        project_id=project_id,
        created_by_id=created_by_id,
        show_hidden=show_hidden_agents,
        after=after,
        before=before,
        limit=limit,
        order="asc" if ascending else order,
        order_by=order_by,
    )
    wanted = asked_for(include, include_relationships, sdk=caller.sdk)
    async with caller.transaction() as tx:
        return Json(await print_agents(caller, tx, await tx.agents.list(what), wanted))


@router.post("/v1/agents/", operation_id="create_agent", response_model=AgentState, responses=_WRITTEN)
async def create_agent(body: CreateAgent, caller: Asking) -> Json:
    """Make an agent."""
    return Json(await agent_writes.create(caller, body))


@router.patch(
    "/v1/agents/{agent_id}",
    operation_id="modify_agent",
    response_model=AgentState,
    responses=_WRITTEN,
)
async def modify_agent(agent_id: AgentPath, body: UpdateAgent, caller: Asking) -> Json:
    """Change an agent: null leaves a field as it is, a list replaces the whole list."""
    return Json(await agent_writes.update(caller, agent_id, body))


@router.delete("/v1/agents/{agent_id}", operation_id="delete_agent", responses=documented(404))
async def delete_agent(agent_id: AgentPath, caller: Asking) -> Json:
    """Delete an agent with its messages and runs; its blocks stay. What it is doing is stopped."""
    async with caller.transaction() as tx:
        running = [queue.step_ref(run) for run in await tx.runs.active_of(agent_id)]
        await tx.agents.delete(agent_id)
    for step in running:
        try:
            await caller.parts.engine.cancel(step)
        except Unavailable:
            # Its next effect finds no rows and ends by itself.
            _log.warning("the engine does not answer; a step of the deleted agent %s ends later", agent_id)
    return Json({"message": f"Agent id={agent_id} successfully deleted"})
