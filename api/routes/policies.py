"""Policies: which tool calls may run, which a person is asked about, which may not."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.deps import Asking, JsonRoute
from api.errors import documented
from api.responses import Json
from api.routes.params import AgentQuery, Limit, Order
from api.schemas.approvals import CreatePolicy, Policy, UpdatePolicy, check_whose, print_policy
from o.errors import InvalidArgument
from o.ids import pattern
from o.store.repositories.policies import PolicyFilter

router = APIRouter(prefix="/v1/policies", tags=["policies"], route_class=JsonRoute)

PolicyPath = Annotated[str, Path(pattern=pattern("policy"), description="Id of the policy.")]
PolicyCursor = Annotated[str | None, Query(pattern=pattern("policy"), description="Id of the policy to go on from.")]

# Every step of every agent is held against those that concern it.
_MOST_POLICIES = 500


@router.get("/", operation_id="list_policies", response_model=list[Policy], responses=documented(404))
async def list_policies(
    caller: Asking,
    agent_id: AgentQuery = None,
    before: PolicyCursor = None,
    after: PolicyCursor = None,
    limit: Limit = 100,
    order: Order = "desc",
) -> Json:
    """The policies there are, or those that name one agent."""
    async with caller.transaction() as tx:
        found = await tx.policies.list(PolicyFilter(agent_id, after, before, limit, order))
    return Json([print_policy(policy) for policy in found])


@router.post("/", operation_id="create_policy", response_model=Policy, responses=documented(404))
async def create_policy(body: CreatePolicy, caller: Asking) -> Json:
    """Make a policy; it holds from the next reply of a model on."""
    async with caller.transaction() as tx:
        if body.agent_id is not None:
            await tx.agents.get(body.agent_id)
        if await tx.policies.count() >= _MOST_POLICIES:
            raise InvalidArgument(f"there are {_MOST_POLICIES} policies, which is the most; remove one first")
        policy = await tx.policies.add({**body.columns(), "created_by_id": caller.user_id})
    return Json(print_policy(policy))


@router.get("/{policy_id}", operation_id="retrieve_policy", response_model=Policy, responses=documented(404))
async def retrieve_policy(policy_id: PolicyPath, caller: Asking) -> Json:
    """One policy."""
    async with caller.transaction() as tx:
        return Json(print_policy(await tx.policies.get(policy_id)))


@router.patch("/{policy_id}", operation_id="update_policy", response_model=Policy, responses=documented(404))
async def update_policy(policy_id: PolicyPath, body: UpdatePolicy, caller: Asking) -> Json:
    """Change a policy: what is not given stays, null takes away."""
    async with caller.transaction() as tx:
        if body.agent_id is not None:
            await tx.agents.get(body.agent_id)
        try:
            policy = await tx.policies.update(policy_id, body.columns())
            check_whose(policy.agent_id, policy.tag)
        except ValueError as error:
            raise InvalidArgument(str(error)) from None
    return Json(print_policy(policy))


@router.delete("/{policy_id}", operation_id="delete_policy", responses=documented(404))
async def delete_policy(policy_id: PolicyPath, caller: Asking) -> Json:
    """Remove a policy."""
    async with caller.transaction() as tx:
        await tx.policies.delete(policy_id)
    return Json(None)
