"""Calls of the memory tools: the edit in the agent's blocks, its journal and the prompts that show them."""

from typing import assert_never

from o import ids
from o.domain.blocks import Block, EditRefused
from o.domain.json import JsonObject
from o.domain.memory_edits import Changed, Detached, Made, MemoryChange, memory_edit
from o.domain.messages import ToolReturn
from o.store.prompts import recompile
from o.store.records import BlockRecord
from o.store.repositories.blocks import Author
from o.store.session import Transaction


async def carry_out(
    tx: Transaction, agent_id: str, tool: str, arguments: JsonObject, call_id: str, author: Author
) -> ToolReturn:
    """Carry out one call whole, or nothing of it. What is wrong with it is the return's, status error."""
    held = {record.label: _block(record) for record in await tx.blocks.all_of_agent(agent_id)}
    try:
        edit = memory_edit(tool, arguments, held)
        await _check_renamings(tx, agent_id, edit.changes)
    except ValueError as error:
        return ToolReturn(call_id, f"Error: {error}", "error", tool)
    shown = {agent_id} if edit.changes else set()
    for change in edit.changes:
        shown.update(await _make(tx, agent_id, change, author))
    await recompile(tx, sorted(shown))
    return ToolReturn(call_id, edit.told, "success", tool)


def _block(record: BlockRecord) -> Block:
    return Block(
        record.id, record.label, record.value, record.limit, record.description, record.read_only, record.version
    )


async def _check_renamings(tx: Transaction, agent_id: str, changes: tuple[MemoryChange, ...]) -> None:
    """Raises EditRefused where a shared block would get a label that another of its holders uses."""
    for change in changes:
        if not isinstance(change, Changed) or change.label is None:
            continue
        if await tx.blocks.label_taken(change.block.id, change.label, besides=agent_id):
            raise EditRefused(f"block {change.block.label} is shared, and another agent has a block '{change.label}'.")


async def _make(tx: Transaction, agent_id: str, change: MemoryChange, author: Author) -> list[str]:
    """Make one change; returns the agents whose memory it changes, besides this one."""
    match change:
        case Made():
            block_id = ids.new("block")
            columns = {"id": block_id, "label": change.label, "value": change.value, "description": change.description}
            await tx.blocks.add(columns, author)
            await tx.agents.attach_block(agent_id, block_id)
            return []
        case Changed(block, value, label, description):
            columns = {"value": value, "label": label, "description": description}
            given = {name: changed for name, changed in columns.items() if changed is not None}
            await tx.blocks.update(block.id, given, author, version=block.version)
            return await tx.blocks.holders([block.id])
        case Detached(block):
            await tx.agents.detach_block(agent_id, block.id)
            return []
        case _:
            assert_never(change)
