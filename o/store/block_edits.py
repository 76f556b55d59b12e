"""Edits of an agent's memory that a tool made while it ran: kept all together, or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass

from o.domain.blocks import Block, EditRefused, rewrite
from o.store.prompts import recompile
from o.store.repositories.blocks import Author
from o.store.session import Transaction


@dataclass(frozen=True, slots=True)
class BlockEdit:
    """A new value for a block, made from the `version` the tool was shown."""

    label: str
    version: int
    value: str


def changed(before: Mapping[str, Block], after: Mapping[str, str]) -> tuple[BlockEdit, ...]:
    """The edits that lead from the blocks a tool was shown to the values it left, by label. Others are no edits."""
    return tuple(
        BlockEdit(label, block.version, after[label])
        for label, block in before.items()
        if label in after and after[label] != block.value
    )


async def keep(tx: Transaction, agent_id: str, edits: tuple[BlockEdit, ...], author: Author) -> None:
    """Write edits through the journal.

    Raises:
        EditRefused: a block is read-only, over its limit, gone, or was changed by somebody else meanwhile.
    """
    ids = []
    # All at once, in the order in which the memory tools lock them: agents may share blocks.
    held = {row.label: row for row in await tx.blocks.all_of_agent(agent_id)}
    for edit in edits:
        row = held.get(edit.label)
        if row is None:
            raise EditRefused(f"the block {edit.label} was taken away meanwhile")
        block = Block(row.id, row.label, row.value, row.limit, row.description, row.read_only, row.version)
        if row.version != edit.version:
            raise EditRefused(f"the block {edit.label} was changed by somebody else meanwhile")
        await tx.blocks.update(row.id, {"value": rewrite(block, edit.value)}, author, version=row.version)
        ids.append(row.id)
    await recompile(tx, await tx.blocks.holders(ids))
