"""Calls of MCP tools: held against what was pinned, made once, and answered in words whatever happens."""

import logging

from o.domain.json import JsonObject
from o.domain.mcp_pins import Offered, drift
from o.errors import McpPaused, McpSignInNeeded, McpTimeout, ProjectError
from o.mcp.base import Conversation, Failure, McpResult
from o.mcp.line import Line, failure_words
from o.store.records import ToolRecord
from o.store.session import Store

_log = logging.getLogger(__name__)

_ACCEPT = "Whoever runs this platform can look at the change and accept it (`o mcp tools`, `o mcp refresh`)."


class McpTools:
    """Calls the tools that MCP servers brought."""

    def __init__(self, store: Store, line: Line) -> None:
        self._store, self._line = store, line

    async def call(self, org_id: str, tool: ToolRecord, arguments: JsonObject, *, deadline: float) -> McpResult:
        """Call a tool once. What goes wrong is a result with status error, for the model to read.

        Args:
            deadline: seconds the call itself may take; connecting and listing have theirs.
        """
        pinned, server_id = tool.mcp, tool.mcp_server_id
        if pinned is None or server_id is None:
            return _refused(f"Error: the tool {tool.name} belongs to no MCP server any more.")
        if problem := pinned.get("problem"):
            return _refused(f"Error: the tool {tool.name} cannot be used: {problem}.")
        if pinned.get("drift") is not None:
            return _refused(f"Error: the MCP server changed the tool {tool.name}, so it is not called. {_ACCEPT}")

        async def called(conversation: Conversation) -> McpResult | Offered | None:
            now = await conversation.tool(str(pinned["name"]))
            if now is None or now.pin != pinned["pin"]:
                return now
            return await conversation.call(now.name, arguments, deadline=deadline)

        try:
            answer = await self._line.converse(org_id, server_id, called)
        except ProjectError as error:
            return McpResult(failure_words(error), "error", failure=_failure(error))
        if isinstance(answer, McpResult):
            return answer
        changed = drift(pinned, answer)
        async with self._store.transaction(org_id) as tx:
            await tx.mcp_servers.mark_drift(tool.id, changed)
        _log.warning("an MCP server changed the tool %s (%s): not called", tool.id, ", ".join(changed["changed"]))
        what = "has no tool" if answer is None else "changed the tool"
        return _refused(f"Error: the MCP server {what} {tool.name}, so it is not called. {_ACCEPT}")


def _refused(words: str) -> McpResult:
    return McpResult(words, "error", failure="refused")


def _failure(error: ProjectError) -> Failure:
    if isinstance(error, McpTimeout):
        return "timeout"
    if isinstance(error, McpPaused):
        return "paused"
    return "sign_in_needed" if isinstance(error, McpSignInNeeded) else "unreachable"
