"""The memory blocks an agent holds."""

from typing import Literal

from fastapi import APIRouter

from api.agent_reads import print_one
from api.deps import Asking, JsonRoute
from api.errors import documented
from api.paging import page
from api.responses import Json
from api.routes.params import AgentPath, BlockPath, Cursor, LabelPath, Limit, Order
from api.schemas.agent_state import RELATIONS
from api.schemas.agents import AgentState, Memory
from api.schemas.blocks import Block, UpdateBlock, print_block
from o.errors import Forbidden, NotFound
from o.store.prompts import recompile
from o.store.records import BlockRecord
from o.store.repositories.blocks import Author
from o.store.session import Transaction

router = APIRouter(tags=["agents"], route_class=JsonRoute)


@router.get(
    "/v1/agents/{agent_id}/core-memory",
    operation_id="retrieve_agent_memory",
    response_model=Memory,
    responses=documented(404),
    deprecated=True,
)
async def retrieve_agent_memory(agent_id: AgentPath, caller: Asking) -> Json:
    """All memory blocks of an agent, in the older form."""
    async with caller.transaction() as tx:
        state = await print_one(caller, tx, agent_id, {"agent.blocks"})
    return Json(state["memory"])


@router.get(
    "/v1/agents/{agent_id}/core-memory/blocks",
    operation_id="list_core_memory_blocks",
    response_model=list[Block],
    responses=documented(404),
)
async def list_core_memory_blocks(
    agent_id: AgentPath,
    caller: Asking,
    before: Cursor = None,
    after: Cursor = None,
    limit: Limit = 100,
    order: Order = "desc",
    order_by: Literal["created_at"] = "created_at",
) -> Json:
    """The memory blocks of an agent, by id."""
    async with caller.transaction() as tx:
        _, attached = await tx.agents.get_attached(agent_id, blocks=True, tools=False)
    ordered = sorted(map(print_block, attached.blocks), key=lambda block: str(block["id"]), reverse=order == "desc")
    return Json(page(ordered, before=before, after=after, limit=limit, kind="Block"))


@router.get(
    "/v1/agents/{agent_id}/core-memory/blocks/{block_label:path}",
    operation_id="retrieve_core_memory_block",
    response_model=Block,
    responses=documented(404),
)
async def retrieve_core_memory_block(agent_id: AgentPath, block_label: LabelPath, caller: Asking) -> Json:
    """The agent's memory block of this label."""
    async with caller.transaction() as tx:
        return Json(print_block(await _block(tx, agent_id, block_label)))


@router.patch(
    "/v1/agents/{agent_id}/core-memory/blocks/attach/{block_id}",
    operation_id="attach_core_memory_block",
    response_model=AgentState,
    responses=documented(404, 409),
)
async def attach_core_memory_block(agent_id: AgentPath, block_id: BlockPath, caller: Asking) -> Json:
    """Give an agent a block that exists; it may be shared by any number of agents."""
    async with caller.transaction() as tx:
        await tx.agents.get(agent_id)
        await tx.agents.attach_block(agent_id, block_id)
        await recompile(tx, [agent_id])
        return Json(await print_one(caller, tx, agent_id, RELATIONS))


@router.patch(
    "/v1/agents/{agent_id}/core-memory/blocks/detach/{block_id}",
    operation_id="detach_core_memory_block",
    response_model=AgentState,
    responses=documented(404),
)
async def detach_core_memory_block(agent_id: AgentPath, block_id: BlockPath, caller: Asking) -> Json:
    """Take a block from an agent. The block stays."""
    async with caller.transaction() as tx:
        await tx.agents.get(agent_id)
        await tx.agents.detach_block(agent_id, block_id)
        await recompile(tx, [agent_id])
        return Json(await print_one(caller, tx, agent_id, RELATIONS))


# After attach and detach, which a label with a slash in it would swallow.
@router.patch(
    "/v1/agents/{agent_id}/core-memory/blocks/{block_label:path}",
    operation_id="modify_core_memory_block",
    response_model=Block,
    responses=documented(404, 409),
)
async def modify_core_memory_block(
    agent_id: AgentPath, block_label: LabelPath, body: UpdateBlock, caller: Asking
) -> Json:
    """Change the agent's block of this label, read-only or not; every agent that holds it sees the change."""
    async with caller.transaction() as tx:
        block = await _block(tx, agent_id, block_label)
        changes = body.columns()
        if caller.scope and (block.read_only or changes.keys() - {"value"}):
            raise Forbidden("the key of a tool call changes the value of blocks that are not read-only, nothing else")
        if changes:
            await tx.blocks.update(block.id, changes, Author(caller.user_id), version=block.version)
            await recompile(tx, await tx.blocks.holders([block.id]))
            block = await tx.blocks.get(block.id)
        return Json(print_block(block))


async def _block(tx: Transaction, agent_id: str, label: str) -> BlockRecord:
    """The agent's block of this label, locked. Raises NotFound, which says whether it is the agent that is missing."""
    try:
        return await tx.blocks.of_agent(agent_id, label)
    except NotFound:
        await tx.agents.get(agent_id)
        raise
