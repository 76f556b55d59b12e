"""The one way to an MCP server of an organisation: its row, its breaker, its secrets, then a conversation."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from o.errors import McpFailure, McpPaused, McpSignInNeeded, McpTimeout, McpUnreachable, ProjectError
from o.keyring import Keyring
from o.mcp.access import access_to
from o.mcp.base import Conversation, Dialer
from o.mcp.tokens import TokenKeeper
from o.store.mcp_records import McpServerRecord
from o.store.session import Store

Answer = TypeVar("Answer")


class Line:
    """Holds conversations and notes on the server's row how they went, so that all workers share one breaker."""

    def __init__(self, store: Store, dialer: Dialer, keyring: Keyring | None) -> None:
        self._store, self._dialer, self._keyring = store, dialer, keyring
        self._tokens = TokenKeeper(store, dialer.guard, keyring)

    async def converse(self, org_id: str, server_id: str, work: Callable[[Conversation], Awaitable[Answer]]) -> Answer:
        """Have a conversation with a server, unless it is left alone for a while.

        Raises:
            NotFound: there is no such server. McpFailure, KeyUnusable, SandboxUnavailable: as they say.
        """
        async with self._store.transaction(org_id) as tx:
            server = await tx.mcp_servers.get(server_id)
            await tx.mcp_servers.admit(server, now=tx.now())
        try:
            answer = await self._tried(server, work)
        except McpPaused:
            raise
        except ProjectError as error:
            async with self._store.transaction(org_id) as tx:
                # What only a person can mend is not mended by waiting.
                counts = isinstance(error, McpTimeout | McpUnreachable) and not isinstance(error, McpSignInNeeded)
                await tx.mcp_servers.failed(server_id, error.message, now=tx.now(), counts=counts)
            raise
        async with self._store.transaction(org_id) as tx:
            await tx.mcp_servers.succeeded(server_id)
        return answer

    async def _tried(self, server: McpServerRecord, work: Callable[[Conversation], Awaitable[Answer]]) -> Answer:
        token = await self._tokens.token(server)
        try:
            return await self._dialer.converse(access_to(server, self._keyring, token=token), work)
        except McpSignInNeeded:
            # A token may be taken back before its time. The server refused before it did anything.
            if token is None:
                raise
            fresh = await self._tokens.token(server, refused=token)
            if fresh is None:
                raise
            return await self._dialer.converse(access_to(server, self._keyring, token=fresh), work)


def failure_words(error: ProjectError) -> str:
    """What a model is told when there was no answer."""
    if isinstance(error, McpFailure):
        return f"Error: {error.message}."
    return f"Error: the tool could not be reached: {error.message}."
