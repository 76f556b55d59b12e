"""Memory blocks by their own id, whoever holds them."""

from fastapi import APIRouter

from api.deps import Asking, JsonRoute
from api.errors import documented
from api.responses import Json
from api.routes.params import BlockPath
from api.schemas.blocks import Block, CreateBlock, UpdateBlock, print_block
from o import ids
from o.errors import Conflict
from o.store.prompts import recompile
from o.store.repositories.blocks import Author

router = APIRouter(prefix="/v1/blocks", tags=["blocks"], route_class=JsonRoute)


@router.post("/", operation_id="create_block", response_model=Block, responses=documented())
async def create_block(body: CreateBlock, caller: Asking) -> Json:
    """Make a block that no agent holds yet: any number of agents can be given it."""
    block_id = ids.new("block")
    async with caller.transaction() as tx:
        await tx.blocks.add({"id": block_id, **body.columns()}, Author(caller.user_id))
        return Json(print_block(await tx.blocks.get(block_id)))


@router.get("/{block_id}", operation_id="retrieve_block", response_model=Block, responses=documented(404))
async def retrieve_block(block_id: BlockPath, caller: Asking) -> Json:
    """One block."""
    async with caller.transaction() as tx:
        return Json(print_block(await tx.blocks.get(block_id)))


@router.patch("/{block_id}", operation_id="modify_block", response_model=Block, responses=documented(404, 409))
async def modify_block(block_id: BlockPath, body: UpdateBlock, caller: Asking) -> Json:
    """Change a block, read-only or not; every agent that holds it sees the change. Null leaves a field as it is.

    409 a new label is that of another block of an agent that holds this one.
    """
    changes = body.columns()
    async with caller.transaction() as tx:
        block = await tx.blocks.lock(block_id)
        if "label" in changes and await tx.blocks.label_taken(block_id, changes["label"], besides=""):
            raise Conflict(f"label: an agent that holds this block has another one labelled '{changes['label']}'")
        if changes:
            await tx.blocks.update(block_id, changes, Author(caller.user_id), version=block.version)
            await recompile(tx, await tx.blocks.holders([block_id]))
            block = await tx.blocks.get(block_id)
        return Json(print_block(block))


@router.delete("/{block_id}", operation_id="delete_block", response_model=None, responses=documented(404))
async def delete_block(block_id: BlockPath, caller: Asking) -> Json:
    """Delete a block with its history; agents that hold it lose it."""
    async with caller.transaction() as tx:
        await tx.blocks.lock(block_id)
        holders = await tx.blocks.holders([block_id])
        await tx.blocks.delete(block_id)
        await recompile(tx, holders)
    return Json(None)
