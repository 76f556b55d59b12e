"""Running a tool: the row first, then the effect, then its return, each under the attempt's number."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from temporalio import activity

from activities.cancellation import Cancellations
from activities.policy import failing, heartbeating
from o.contracts.turn import ToolInput
from o.domain.call_repair import parse_arguments
from o.domain.json import JsonObject
from o.domain.messages import ToolReturn
from o.store import calls
from o.store.session import Store


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool that O runs itself may use: the agent it works for, and the store under its organisation."""

    org_id: str
    agent_id: str
    store: Store


# A tool in O's own code: arguments in, text out. A ValueError is for the model to read.
NativeTool = Callable[[ToolContext, JsonObject], Awaitable[str]]


class ToolActivities:
    """Tool calls. A tool that is not repeatable runs at most once; the row says whether it began."""

    def __init__(self, store: Store, tools: Mapping[str, NativeTool], cancellations: Cancellations) -> None:
        self._store = store
        self._tools = tools
        self._cancellations = cancellations

    @activity.defn(name="tool.run")
    async def run(self, what: ToolInput) -> None:
        """Run one tool call and store what it returned; what the tool raises becomes an error for the model.

        Raises:
            ApplicationError: typed; a cancelled call is not tried again.
        """
        with failing(for_good=False):
            async with self._store.transaction(what.at.org_id) as tx:
                begun = await calls.begin_call(tx, what.at, what.call)
            if isinstance(begun, ToolReturn):
                return
            async with heartbeating(), self._cancellations.stoppable(what.at.run_id):
                returned = await self._call(what, begun)
            async with self._store.transaction(what.at.org_id) as tx:
                await tx.steps.finish_call(what.at.run_id, what.at.index, returned, attempt=begun.attempt)

    async def _call(self, what: ToolInput, calling: calls.Calling) -> ToolReturn:
        call = calling.call
        tool = self._tools.get(call.name)
        if tool is None:
            text = f"Error: the tool {call.name} has no sandbox to run in here, so it was not run."
            return ToolReturn(call.id, text, "error", call.name)
        context = ToolContext(what.at.org_id, what.at.agent_id, self._store)
        try:
            text = await tool(context, parse_arguments(call))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            return ToolReturn(call.id, f"Error executing function {call.name}: {error}", "error", call.name)
        limits = {tool.spec.name: tool.return_char_limit for tool in calling.agent.tools}
        return _limited(ToolReturn(call.id, text, "success", call.name), limits.get(call.name, 50_000))


def _limited(returned: ToolReturn, limit: int) -> ToolReturn:
    if len(returned.content) <= limit:
        return returned
    note = f"… [cut after {limit} of {len(returned.content)} characters]"
    return replace(returned, content=returned.content[:limit] + note)
