"""Running a tool: the row first, then the effect, then its return, each under the attempt's number."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from temporalio import activity

from activities.cancellation import Cancellations
from activities.custom_tools import CustomTools, Owner, Ran
from activities.policy import failing, heartbeating, held
from o.contracts.turn import ToolInput
from o.domain.agent import NOT_OURS
from o.domain.blocks import EditRefused
from o.domain.call_repair import parse_arguments
from o.domain.json import JsonObject
from o.domain.messages import ToolReturn
from o.domain.tool_returns import failure, limited
from o.errors import NotFound
from o.keyring import Keyring
from o.mcp.tools import McpTools
from o.store import block_edits, calls
from o.store.agent_secrets import opened
from o.store.records import ToolRecord
from o.store.repositories.blocks import Author
from o.store.session import Store, Transaction
from o.store.tool_requests import request_of


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool that O runs itself may use: whose call it is, and the store under its organisation."""

    org_id: str
    agent_id: str
    store: Store
    conversation_id: str = ""
    run_id: str = ""
    step_id: str = ""
    call_id: str = ""


# A tool in O's own code: arguments in, text out. A ValueError is for the model to read.
NativeTool = Callable[[ToolContext, JsonObject], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Everything that runs tools: O's own by name, people's own in the sandbox, those of MCP servers.

    Attributes:
        deadline: seconds a call of a tool in O's own code or of an MCP server may take.
    """

    native: Mapping[str, NativeTool]
    custom: CustomTools | None = None
    mcp: McpTools | None = None
    deadline: float = 180.0

    async def call_own(self, context: ToolContext, tool: str, arguments: JsonObject, call_id: str) -> ToolReturn:
        """Call a tool in O's own code; what it refuses, and that it takes too long, is the return's."""
        native = self.native.get(tool)
        if native is None:
            return failure(call_id, tool, "nothing here can run this tool")
        try:
            async with asyncio.timeout(self.deadline):
                return ToolReturn(call_id, await native(context, arguments), "success", tool)
        except TimeoutError:
            return failure(call_id, tool, f"it took longer than {self.deadline:g} seconds and was ended")
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            return failure(call_id, tool, str(error))

    async def call_server(self, org_id: str, tool: ToolRecord, arguments: JsonObject, call_id: str) -> ToolReturn:
        """Call a tool of an MCP server; whatever goes wrong is the return's."""
        if self.mcp is None:
            return failure(call_id, tool.name, "this worker calls no MCP servers")
        result = await self.mcp.call(org_id, tool, arguments, deadline=self.deadline)
        return ToolReturn(call_id, result.content, result.status, tool.name, images=result.images)


class ToolActivities:
    """Tool calls. A tool that is not repeatable runs at most once; the row says whether it began."""

    def __init__(self, store: Store, toolbox: Toolbox, keyring: Keyring | None, cancellations: Cancellations) -> None:
        self._store = store
        self._toolbox = toolbox
        self._keyring = keyring
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
                stored = await _stored(tx, begun)
                secrets = await self._secrets(tx, begun, stored)
            async with heartbeating():
                async with self._cancellations.stoppable(what.at.run_id):
                    ran = await self._call(what, begun, stored, secrets)
                await held(lambda: self._finish(what, begun, ran))

    async def _call(
        self, what: ToolInput, calling: calls.Calling, stored: ToolRecord | None, secrets: Mapping[str, str]
    ) -> Ran:
        call, at = calling.call, what.at
        try:
            arguments = parse_arguments(call)
        except ValueError as error:
            return Ran(failure(call.id, call.name, str(error)))
        if stored is None:
            context = ToolContext(
                *(at.org_id, at.agent_id, self._store),
                *(at.conversation_id, at.run_id, calling.step_id, call.id),
            )
            return Ran(await self._toolbox.call_own(context, call.name, arguments, call.id))
        if stored.tool_type == "external_mcp":
            return Ran(await self._toolbox.call_server(at.org_id, stored, arguments, call.id))
        if stored.source_code is None or self._toolbox.custom is None:
            return Ran(failure(call.id, call.name, "this tool has no source that could be run here"))
        owner = Owner(at.org_id, calling.agent, at.run_id, secrets)
        return await self._toolbox.custom.run(request_of(stored, arguments), owner, call.id)

    async def _finish(self, what: ToolInput, calling: calls.Calling, ran: Ran) -> None:
        """Store the return, and the tool's edits of memory with it: both or neither."""
        at, returned = what.at, ran.returned
        author = Author(at.agent_id, at.run_id, calling.step_id, calling.call.id)
        if ran.edits:
            try:
                async with self._store.transaction(at.org_id) as tx:
                    await block_edits.keep(tx, at.agent_id, ran.edits, author)
                    await self._store_return(tx, what, calling, returned)
                return
            except EditRefused as refusal:
                words = f"it ran, but its edits of memory were not kept: {refusal}. It returned: {returned.content}"
                returned = replace(failure(calling.call.id, calling.call.name, words), stdout=returned.stdout)
        async with self._store.transaction(at.org_id) as tx:
            await self._store_return(tx, what, calling, returned)

    async def _store_return(
        self, tx: Transaction, what: ToolInput, calling: calls.Calling, returned: ToolReturn
    ) -> None:
        cut = limited(returned, calling.return_limit)
        await tx.steps.finish_call(what.at.run_id, what.at.index, cut, attempt=calling.attempt)

    async def _secrets(self, tx: Transaction, calling: calls.Calling, stored: ToolRecord | None) -> Mapping[str, str]:
        if stored is None or stored.tool_type != "custom" or self._keyring is None:
            return {}
        return opened(self._keyring, await tx.agents.secrets(calling.agent.id))


async def _stored(tx: Transaction, calling: calls.Calling) -> ToolRecord | None:
    """The row of a tool that is not O's own; None for those that are."""
    tool = next((tool for tool in calling.agent.tools if tool.spec.name == calling.call.name), None)
    if tool is None or tool.tool_type not in NOT_OURS:
        return None
    try:
        record = await tx.tools.get(tool.id)
    except NotFound:
        return None
    return record if record.source_code is not None or record.tool_type == "external_mcp" else None
