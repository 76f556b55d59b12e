"""What workers do with MCP servers for the api, which speaks to none itself. Each may run twice."""

import asyncio
import importlib
from typing import Protocol

from temporalio import activity

from activities.policy import failing, heartbeating
from o.contracts.mcp import McpSignedIn, McpSignInInput, McpSynced, McpSyncInput
from o.errors import McpTimeout, NotFound, ProjectError
from o.guard.policy import Guard
from o.keyring import Keyring
from o.mcp.sync import Sync
from o.store.session import Store

# Seconds in which all servers that have a part in a sign-in must have answered: less than the activity may take.
_PATIENCE = 30.0


class _SignIns(Protocol):
    async def begin(self, org_id: str, sign_in_id: str) -> None: ...

    async def finish(self, org_id: str, sign_in_id: str) -> None: ...


class McpActivities:
    """Listings of servers, and sign-ins at them."""

    def __init__(self, store: Store, sync: Sync, guard: Guard, keyring: Keyring | None) -> None:
        self._store, self._sync, self._guard, self._keyring = store, sync, guard, keyring

    @activity.defn(name="mcp.sync")
    async def sync(self, asked: McpSyncInput) -> McpSynced:
        """List a server's tools and bring the rows into line. What the server does wrong is the answer, no error.

        Raises:
            ApplicationError: not_found.
        """
        with failing(for_good=False):
            async with heartbeating():
                try:
                    done = await self._sync.run(asked.org_id, asked.server_id, accept=asked.accept)
                except NotFound:
                    raise
                except ProjectError as error:
                    return McpSynced(code=error.code)
            return McpSynced(
                added=done.added,
                updated=done.updated,
                deleted=done.deleted,
                drifted=done.drifted,
                skipped=done.skipped,
            )

    @activity.defn(name="mcp.begin_sign_in")
    async def begin_sign_in(self, asked: McpSignInInput) -> McpSignedIn:
        """Find out where a person has to go to sign in; the row has it then."""
        with failing(for_good=False):
            async with heartbeating():
                try:
                    async with asyncio.timeout(_PATIENCE):
                        await (await self._sign_ins()).begin(asked.org_id, asked.sign_in_id)
                except TimeoutError:
                    late = McpTimeout("the MCP server, or who signs in for it, took too long")
                    return McpSignedIn(code=late.code, message=late.message)
                except ProjectError as error:
                    return McpSignedIn(code=error.code, message=error.message)
            return McpSignedIn()

    @activity.defn(name="mcp.finish_sign_in")
    async def finish_sign_in(self, asked: McpSignInInput) -> McpSignedIn:
        """Turn the code of a sign-in into tokens; the server's row has them then."""
        with failing(for_good=False):
            async with heartbeating():
                try:
                    await (await self._sign_ins()).finish(asked.org_id, asked.sign_in_id)
                except ProjectError as error:
                    return McpSignedIn(code=error.code, message=error.message)
            return McpSignedIn()

    async def _sign_ins(self) -> _SignIns:
        # The SDK's parts for OAuth take as much memory as its client, and few ever sign in.
        module = await asyncio.to_thread(importlib.import_module, "o.mcp.sign_in")
        made: _SignIns = module.SignIns(self._store, self._guard, self._keyring)
        return made
