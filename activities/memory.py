"""Memory edits by the agent's own tools: the edit, its version and the call's return in one transaction."""

from temporalio import activity

from activities.policy import failing
from o.contracts.turn import ToolInput
from o.domain.call_repair import parse_arguments
from o.domain.messages import ToolReturn
from o.domain.tool_returns import limited
from o.store import calls, memory_calls
from o.store.repositories.blocks import Author
from o.store.session import Store, Transaction


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
                returned = limited(await self._carry_out(tx, what, begun), begun.return_limit)
                await tx.steps.finish_call(what.at.run_id, what.at.index, returned, attempt=begun.attempt)

    async def _carry_out(self, tx: Transaction, what: ToolInput, calling: calls.Calling) -> ToolReturn:
        call, agent_id = calling.call, what.at.agent_id
        try:
            arguments = parse_arguments(call)
        except ValueError as error:
            return ToolReturn(call.id, f"Error: {error}", "error", call.name)
        author = Author(agent_id, what.at.run_id, calling.step_id, call.id)
        return await memory_calls.carry_out(tx, agent_id, call.name, arguments, call.id, author)
