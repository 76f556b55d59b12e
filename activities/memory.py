"""Memory edits by the agent's own tools: the edit, its version and the call's return in one transaction."""

from collections.abc import Callable

from temporalio import activity

from activities.policy import failing
from o.contracts.turn import ToolInput
from o.domain import blocks
from o.domain.call_repair import parse_arguments
from o.domain.json import JsonObject
from o.domain.messages import ToolReturn
from o.errors import NotFound
from o.store import calls
from o.store.prompts import recompile
from o.store.repositories.blocks import Author
from o.store.session import Store, Transaction

Edit = Callable[[blocks.Block, JsonObject], str]


def _insert(block: blocks.Block, arguments: JsonObject) -> str:
    return blocks.insert(block, str(arguments["new_string"]), int(arguments.get("insert_line", -1)))


def _replace(block: blocks.Block, arguments: JsonObject) -> str:
    return blocks.replace(block, str(arguments["old_string"]), str(arguments["new_string"]))


def _append(block: blocks.Block, arguments: JsonObject) -> str:
    return blocks.append(block, str(arguments["content"]))


def _replace_all(block: blocks.Block, arguments: JsonObject) -> str:
    return blocks.replace_all(block, str(arguments["old_content"]), str(arguments["new_content"]))


EDITS: dict[str, Edit] = {
    "memory_insert": _insert,
    "memory_replace": _replace,
    "core_memory_append": _append,
    "core_memory_replace": _replace_all,
}


class MemoryActivities:
    """Edits of memory blocks: exactly once, since edit and return are stored together."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @activity.defn(name="memory.edit")
    async def edit(self, what: ToolInput) -> None:
        """Carry out one memory tool call. What the model did wrong becomes the call's return, status error.

        Raises:
            ApplicationError: typed; the database's absence and a superseded attempt are retryable.
        """
        with failing():
            async with self._store.transaction(what.at.org_id) as tx:
                begun = await calls.begin_call(tx, what.at, what.call)
                if isinstance(begun, ToolReturn):
                    return
                returned = await self._carry_out(tx, what, begun)
                await tx.steps.finish_call(what.at.run_id, what.at.index, returned, attempt=begun.attempt)

    async def _carry_out(self, tx: Transaction, what: ToolInput, calling: calls.Calling) -> ToolReturn:
        call = calling.call
        try:
            arguments = parse_arguments(call)
            _check_texts(arguments)
            row = await tx.blocks.of_agent(what.at.agent_id, str(arguments["label"]))
            block = blocks.Block(row.id, row.label, row.value, row.limit, row.description, row.read_only, row.version)
            value = EDITS[call.name](block, arguments)
        except KeyError as error:
            return ToolReturn(call.id, f"Error: the argument {error} is missing.", "error", call.name)
        except NotFound:
            label, known = arguments["label"], ", ".join(block.label for block in calling.agent.blocks)
            text = f"Error: you have no memory block labelled '{label}'; yours are: {known or 'none'}."
            return ToolReturn(call.id, text, "error", call.name)
        except (blocks.EditRefused, ValueError, TypeError, OverflowError) as error:
            return ToolReturn(call.id, f"Error: {error}", "error", call.name)
        author = Author(what.at.agent_id, what.at.run_id, calling.step_id, call.id)
        await tx.blocks.update(row.id, {"value": value}, author, version=row.version)
        await recompile(tx, await tx.blocks.holders([row.id]))
        return ToolReturn(call.id, value, "success", call.name)


def _check_texts(arguments: JsonObject) -> None:
    """Raises ValueError, for the model to read, where a text holds what no stored text can."""
    for name, value in arguments.items():
        if isinstance(value, str):
            value.encode()  # half a surrogate pair is a UnicodeEncodeError, which is a ValueError
            if "\0" in value:
                raise ValueError(f"the argument {name} contains a NUL character.")
