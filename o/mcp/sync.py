"""Brings the tools of an MCP server into line with what it offers, as far as a person has agreed to."""

from dataclasses import dataclass

from o import ids
from o.domain.json import JsonObject
from o.domain.mcp_pins import Known, Offered, compare, drift, flaw, name_for_models
from o.domain.tool_source import BadSource, from_args_schema
from o.mcp.base import Conversation, Listing
from o.mcp.line import Line
from o.store.session import Store, Transaction

# What a schema raises whose parts are not of the kinds they should be: a server may send anything.
_MALFORMED = (TypeError, ValueError, AttributeError, KeyError, IndexError, RecursionError)


@dataclass(frozen=True, slots=True)
class Synced:
    """How many tools came, changed and went; `drifted` differ from what was agreed to and are not called."""

    added: int = 0
    updated: int = 0
    deleted: int = 0
    drifted: int = 0
    skipped: int = 0


class Sync:
    """Listings of servers, turned into rows of tools."""

    def __init__(self, store: Store, line: Line) -> None:
        self._store, self._line = store, line

    async def run(self, org_id: str, server_id: str, *, accept: bool) -> Synced:
        """List a server's tools and store them. New ones are pinned as they are.

        Args:
            accept: whether a person has asked for it: then changed tools are taken and missing ones deleted. Else
                they are marked, and not called until somebody accepts them.

        Raises:
            NotFound, McpFailure: as `Line.converse`.
        """

        async def listed(conversation: Conversation) -> Listing:
            return await conversation.tools()

        listing = await self._line.converse(org_id, server_id, listed)
        async with self._store.transaction(org_id) as tx:
            return await _stored(tx, server_id, listing, accept=accept)


async def _stored(tx: Transaction, server_id: str, listing: Listing, *, accept: bool) -> Synced:
    server = await tx.mcp_servers.lock(server_id)
    known = [Known(tool.id, tool.name, tool.mcp or {}) for tool in await tx.mcp_servers.tools(server_id)]
    found = compare(known, listing.tools)
    # Of a listing that was cut nobody knows what is missing in it.
    gone = () if listing.cut else found.gone
    if accept:
        for old, new in found.changed:
            await tx.mcp_servers.repin_tool(old.id, tool_values(old.name, new))
        await tx.mcp_servers.delete_tools([tool.id for tool in gone])
    else:
        for old, new in found.changed:
            await tx.mcp_servers.mark_drift(old.id, drift(old.mcp, new))
        for tool in gone:
            await tx.mcp_servers.mark_drift(tool.id, drift(tool.mcp, None))
    for tool in found.same:
        await tx.mcp_servers.mark_drift(tool.id, None)
    taken, skipped = await tx.mcp_servers.names_of_tools(), []
    for offered in found.added:
        name = name_for_models(server.server_name, offered.name, taken)
        added = name is not None and await tx.mcp_servers.add_tool(
            server, {"id": ids.new("tool"), "name": name, **tool_values(name, offered)}
        )
        if name is None or not added:
            skipped.append(offered.name)
        else:
            taken.add(name)
    await tx.mcp_servers.update(server_id, {"last_synced_at": tx.now(), "last_error": _notice(listing, skipped)})
    return Synced(
        added=len(found.added) - len(skipped),
        updated=len(found.changed) if accept else 0,
        deleted=len(gone) if accept else 0,
        drifted=0 if accept else len(found.changed) + len(gone),
        skipped=len(skipped),
    )


def tool_values(name: str, offered: Offered) -> JsonObject:
    """The columns of a tool that come from its server. One that no model can be told of is kept, with the reason."""
    problem = flaw(offered)
    parameters: JsonObject = {"type": "object", "properties": {}}
    if problem is None:
        try:
            parameters = from_args_schema(offered.schema)
        except BadSource as error:
            problem = f"its schema cannot be used: {error.message}"
        except _MALFORMED:
            problem = "its schema is no JSON schema"
    told = offered if problem is None else Offered(offered.name, offered.description[:1000], {}, {})
    pinned = {**told.pinned(problem), "pin": offered.pin}
    return {
        "description": told.description,
        "json_schema": {"name": name, "description": told.description, "parameters": parameters},
        "mcp": pinned,
    }


def _notice(listing: Listing, skipped: list[str]) -> str | None:
    """What a person should know of a listing that worked."""
    notices = []
    if listing.cut:
        notices.append(f"it offers more tools than the {len(listing.tools)} that are taken")
    if skipped:
        names = ", ".join(skipped[:10]) + (", …" if len(skipped) > 10 else "")
        notices.append(f"not taken, since their names are taken or too long: {names}")
    return "; ".join(notices) or None
