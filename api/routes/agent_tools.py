"""The tools of one agent: listed, attached, detached, watched by a person, tried by hand."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request

from api.agent_reads import print_one
from api.deps import Asking, Caller, JsonRoute
from api.errors import documented
from api.paging import page
from api.responses import Json
from api.routes.params import AgentPath, Cursor, Limit, Order
from api.routes.tools import ToolPath
from api.schemas.agent_state import RELATIONS
from api.schemas.agents import AgentState
from api.schemas.tools import ExecutionResult, RunAttached, SetApproval, Tool, print_tool
from api.tool_requests import print_execution
from api.tool_runs import run_by_hand
from o.domain.json import JsonObject
from o.errors import InvalidArgument
from o.store.prompts import recompile
from o.store.session import Transaction
from o.store.tool_requests import request_of

router = APIRouter(prefix="/v1/agents/{agent_id}/tools", tags=["agents"], route_class=JsonRoute)

ToolNamePath = Annotated[str, Path(min_length=1, max_length=200, description="Name of the tool.")]

_APPROVAL = "requires_approval"


@router.get("", operation_id="list_tools_for_agent", response_model=list[Tool], responses=documented(404))
async def list_tools_for_agent(
    agent_id: AgentPath,
    caller: Asking,
    before: Cursor = None,
    after: Cursor = None,
    limit: Limit = 10,
    order: Order = "desc",
    order_by: Literal["created_at"] = "created_at",
) -> Json:
    """The tools of an agent, by their time of creation."""
    async with caller.transaction() as tx:
        _, attached = await tx.agents.get_attached(agent_id, blocks=False, tools=True)
    ordered = sorted(attached.tools, key=lambda tool: (tool.created_at, tool.id), reverse=order == "desc")
    return Json(page(list(map(print_tool, ordered)), before=before, after=after, limit=limit, kind="Tool"))


@router.patch(
    "/attach/{tool_id}",
    operation_id="attach_tool_to_agent",
    response_model=AgentState | None,
    responses=documented(404),
)
async def attach_tool_to_agent(agent_id: AgentPath, tool_id: ToolPath, caller: Asking) -> Json:
    """Give an agent a tool; again changes nothing. One that asks for approval by default gets its rule."""
    async with caller.transaction() as tx:
        await tx.agents.lock(agent_id)
        agent = await tx.agents.get(agent_id)
        tool = await tx.tools.get(tool_id)
        await tx.tools.attach(agent_id, tool_id)
        if tool.default_requires_approval:
            await _set_rules(tx, caller, agent_id, _with_approval(agent.tool_rules, tool.name))
        await recompile(tx, [agent_id])
        return await _state(caller, tx, agent_id)


@router.patch(
    "/detach/{tool_id}",
    operation_id="detach_tool_from_agent",
    response_model=AgentState | None,
    responses=documented(404),
)
async def detach_tool_from_agent(agent_id: AgentPath, tool_id: ToolPath, caller: Asking) -> Json:
    """Take a tool from an agent; again changes nothing. The tool stays, and so do the agent's rules."""
    async with caller.transaction() as tx:
        await tx.agents.get(agent_id)
        await tx.tools.detach(agent_id, tool_id)
        await recompile(tx, [agent_id])
        return await _state(caller, tx, agent_id)


@router.patch(
    "/approval/{tool_name}",
    operation_id="modify_approval_for_tool",
    response_model=AgentState | None,
    responses=documented(404),
)
async def modify_approval_for_tool(
    agent_id: AgentPath,
    tool_name: ToolNamePath,
    caller: Asking,
    body: SetApproval | None = None,
    requires_approval: Annotated[bool | None, Query(deprecated=True)] = None,
) -> Json:
    """Let a person decide about each call of one of the agent's tools, or no longer."""
    wanted = body.requires_approval if body and body.requires_approval is not None else requires_approval
    if wanted is None:
        raise InvalidArgument("requires_approval: say true or false, in the body")
    async with caller.transaction() as tx:
        await tx.agents.lock(agent_id)
        rules = (await tx.agents.get(agent_id)).tool_rules
        if wanted:
            await tx.tools.of_agent(agent_id, tool_name)  # a rule for a misspelt name would guard nothing
            rules = _with_approval(rules, tool_name)
        else:
            rules = [rule for rule in rules if not _guards(rule, tool_name)]
        await _set_rules(tx, caller, agent_id, rules)
        await recompile(tx, [agent_id])
        return await _state(caller, tx, agent_id)


@router.post(
    "/{tool_name}/run", operation_id="run_tool_for_agent", response_model=ExecutionResult, responses=documented(404)
)
async def run_tool_for_agent(
    agent_id: AgentPath, tool_name: ToolNamePath, caller: Asking, request: Request, body: RunAttached | None = None
) -> Json:
    """Run one of an agent's tools by hand, with the agent's secrets and memory; its history does not show it."""
    async with caller.transaction() as tx:
        await tx.agents.get(agent_id)
        tool = await tx.tools.of_agent(agent_id, tool_name)
    asked = request_of(tool, body.args if body else {}, agent_id=agent_id)
    return Json(print_execution(await run_by_hand(caller, request, asked)))


async def _state(caller: Caller, tx: Transaction, agent_id: str) -> Json:
    """What the 1.x client library wants of these routes is null."""
    return Json(None if caller.sdk else await print_one(caller, tx, agent_id, RELATIONS))


async def _set_rules(tx: Transaction, caller: Caller, agent_id: str, rules: list[JsonObject]) -> None:
    await tx.agents.update(agent_id, {"tool_rules": rules}, actor=caller.user_id)


def _guards(rule: JsonObject, tool_name: str) -> bool:
    return (rule["type"], rule["tool_name"]) == (_APPROVAL, tool_name)


def _with_approval(rules: list[JsonObject], tool_name: str) -> list[JsonObject]:
    if any(_guards(rule, tool_name) for rule in rules):
        return rules
    return [*rules, {"tool_name": tool_name, "type": _APPROVAL, "prompt_template": None}]
