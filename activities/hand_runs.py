"""Tools that people run by hand, outside any turn: the same code, sandbox and limits, but no row of a step."""

from collections.abc import Mapping
from dataclasses import replace

from activities.custom_tools import Owner
from activities.tools import Toolbox, ToolContext
from o.domain.agent import AGENT_TOOLS, Agent
from o.domain.base_tools import MEMORY_TOOLS
from o.domain.blocks import EditRefused
from o.domain.messages import ToolReturn
from o.domain.tool_returns import failure, limited
from o.domain.tool_run import ToolRunRequest
from o.errors import InvalidArgument
from o.keyring import Keyring
from o.store import block_edits, memory_calls
from o.store.agent_secrets import opened
from o.store.repositories.blocks import Author
from o.store.session import Store

# What a tool call is called that no model made.
_CALL = "null"


class HandRuns:
    """Runs a tool for a person: for nobody, or as one of an agent's own."""

    def __init__(self, store: Store, toolbox: Toolbox, keyring: Keyring | None) -> None:
        self._store = store
        self._toolbox = toolbox
        self._keyring = keyring

    async def run(self, org_id: str, asked: ToolRunRequest) -> ToolReturn:
        """Run it; what goes wrong in it is the return's, status error.

        Raises:
            NotFound: its agent or its tool is gone. InvalidArgument: it cannot run outside a turn.
        """
        agent, secrets = await self._agent(org_id, asked)
        author = Author(agent.id if agent else org_id)
        if asked.tool_type == "custom":
            returned = await self._custom(asked, Owner(org_id, agent, secrets=secrets), author)
        elif asked.tool_type == "external_mcp":
            returned = await self._mcp(org_id, asked)
        elif agent is None:
            raise InvalidArgument(f"{asked.function} works on an agent's memory: run it as a tool of an agent")
        else:
            returned = await self._native(agent, asked, author)
        return limited(returned, asked.return_char_limit)

    async def _agent(self, org_id: str, asked: ToolRunRequest) -> tuple[Agent | None, Mapping[str, str]]:
        if asked.agent_id is None:
            return None, {}
        async with self._store.transaction(org_id) as tx:
            agent = await tx.agents.whole(asked.agent_id)
            if asked.tool_type != "custom" or self._keyring is None:
                return agent, {}
            secrets = await tx.agents.secrets(agent.id)
        return agent, opened(self._keyring, secrets)

    async def _custom(self, asked: ToolRunRequest, owner: Owner, author: Author) -> ToolReturn:
        if self._toolbox.custom is None:
            return failure(_CALL, asked.function, "this worker has no sandbox to run it in")
        ran = await self._toolbox.custom.run(asked, owner, _CALL)
        if not ran.edits or owner.agent is None:
            return ran.returned
        try:
            async with self._store.transaction(owner.org_id) as tx:
                await block_edits.keep(tx, owner.agent.id, ran.edits, author)
        except EditRefused as refusal:
            words = f"it ran, but its edits of memory were not kept: {refusal}"
            return replace(failure(_CALL, asked.function, words), stdout=ran.returned.stdout)
        return ran.returned

    async def _mcp(self, org_id: str, asked: ToolRunRequest) -> ToolReturn:
        if asked.tool_id is None:
            raise InvalidArgument("a tool of an MCP server is run by its id")
        async with self._store.transaction(org_id) as tx:
            tool = await tx.tools.get(asked.tool_id)
        return await self._toolbox.call_server(org_id, tool, asked.arguments, _CALL)

    async def _native(self, agent: Agent, asked: ToolRunRequest, author: Author) -> ToolReturn:
        name = asked.function
        if name in AGENT_TOOLS:
            raise InvalidArgument(f"{name}: send the other agent a message yourself; only an agent's turn can wait")
        if name in MEMORY_TOOLS:
            async with self._store.transaction(agent.org_id) as tx:
                return await memory_calls.carry_out(tx, agent.id, name, asked.arguments, _CALL, author)
        context = ToolContext(agent.org_id, agent.id, self._store)
        return await self._toolbox.call_own(context, name, asked.arguments, _CALL)
