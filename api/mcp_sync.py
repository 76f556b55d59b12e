"""Listings of MCP servers on the api's side: a worker makes them, the row says how they went."""

import logging
from typing import NoReturn

from api.deps import Caller
from o.contracts.mcp import McpSynced
from o.errors import McpTimeout, McpUnreachable, NotFound, Unavailable

_log = logging.getLogger(__name__)


async def synced(caller: Caller, server_id: str, *, accept: bool) -> McpSynced:
    """Have a server's tools listed. That it fails, or that nobody is there to do it, is an answer, no error."""
    try:
        return await caller.parts.engine.sync_mcp_server(caller.org_id, server_id, accept=accept)
    except NotFound:
        return McpSynced(code=NotFound.code)
    except Unavailable as error:
        _log.warning("the tools of %s were not listed: %s", server_id, error.message)
        async with caller.transaction() as tx:
            await tx.mcp_servers.failed(server_id, error.message, now=tx.now(), counts=False)
        return McpSynced(code=Unavailable.code)


async def raise_failure(caller: Caller, server_id: str, code: str) -> NoReturn:
    """Raise what a listing ended with, in the words on the server's row.

    Raises:
        NotFound, Unavailable, McpTimeout: by the code. McpUnreachable: any other.
    """
    async with caller.transaction() as tx:
        words = (await tx.mcp_servers.get(server_id)).last_error or "the MCP server cannot be used"
    if code == McpTimeout.code:
        raise McpTimeout(words)
    if code == Unavailable.code:
        raise Unavailable(words)
    raise McpUnreachable(words)
