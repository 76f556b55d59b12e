"""MCP servers: their rows, their circuit breaker, the tools they brought, and sign-ins that are under way."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg import sql

from o.domain.json import JsonObject
from o.errors import Conflict, McpPaused, NotFound
from o.store.mcp_records import McpServerRecord, McpSignInRecord
from o.store.records import ToolRecord
from o.store.repositories.base import Repository, as_json

# Failures in a row after which a server is left alone, and for how long: doubled with each further one.
MOST_FAILURES = 5
_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(minutes=10)
# Who is let through to a paused server has this long to find out whether it is back, before another one may.
_PROBE = timedelta(seconds=60)

SIGN_IN_LASTS = timedelta(minutes=10)


def secrets_context(server_id: str) -> str:
    """What a server's secrets are bound to when they are encrypted."""
    return f"mcp_servers/{server_id}/secrets"


def oauth_context(server_id: str) -> str:
    """What the tokens of a sign-in are bound to when they are encrypted."""
    return f"mcp_servers/{server_id}/oauth"


def sign_in_context(sign_in_id: str) -> str:
    """What a sign-in under way is bound to when it is encrypted."""
    return f"mcp_sign_ins/{sign_in_id}/data"


class McpServers(Repository):
    """The MCP servers of one organisation."""

    async def add(self, values: Mapping[str, Any]) -> McpServerRecord:
        """Insert a server; `values` are columns of `mcp_servers` without `org_id`. Raises Conflict (the name)."""
        columns = _encoded({"org_id": self._org_id, **values})
        record = await self._record(
            McpServerRecord,
            sql.SQL(
                "INSERT INTO mcp_servers ({}) VALUES ({}) ON CONFLICT (org_id, server_name) DO NOTHING RETURNING *"
            ).format(
                sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(", ").join(map(sql.Placeholder, columns))
            ),
            columns,
        )
        if record is None:
            raise _taken(values["server_name"])
        return record

    async def get(self, server_id: str) -> McpServerRecord:
        """Raises NotFound."""
        record = await self._record(McpServerRecord, "SELECT * FROM mcp_servers WHERE id = %(id)s", {"id": server_id})
        if record is None:
            raise NotFound(f"MCP server not found with id '{server_id}'")
        return record

    async def lock(self, server_id: str) -> McpServerRecord:
        """The row, locked until the transaction ends. Raises NotFound."""
        await self._execute("SELECT 1 FROM mcp_servers WHERE id = %(id)s FOR UPDATE", {"id": server_id})
        return await self.get(server_id)

    async def by_name(self, server_name: str) -> McpServerRecord:
        """Raises NotFound."""
        record = await self._record(
            McpServerRecord, "SELECT * FROM mcp_servers WHERE server_name = %(name)s", {"name": server_name}
        )
        if record is None:
            raise NotFound(f"MCP server not found with name '{server_name}'")
        return record

    async def list(self) -> list[McpServerRecord]:
        """All servers, oldest first."""
        return await self._records(McpServerRecord, "SELECT * FROM mcp_servers ORDER BY created_at, id", {})

    async def update(self, server_id: str, changes: Mapping[str, Any]) -> McpServerRecord:
        """Set columns of a server. Raises NotFound, Conflict (the name)."""
        if "server_name" in changes:
            row = await self._row(
                "SELECT 1 FROM mcp_servers WHERE server_name = %(name)s AND id <> %(id)s",
                {"name": changes["server_name"], "id": server_id},
            )
            if row is not None:
                raise _taken(changes["server_name"])
        columns = _encoded(changes)
        assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
        await self._execute(
            sql.SQL("UPDATE mcp_servers SET {} WHERE id = %(server_id)s").format(
                sql.SQL(", ").join([*assignments, sql.SQL("updated_at = now()")])
            ),
            {**columns, "server_id": server_id},
        )
        return await self.get(server_id)

    async def delete(self, server_id: str) -> None:
        """Delete a server, its secrets and its tools. Raises NotFound."""
        if not await self._execute("DELETE FROM mcp_servers WHERE id = %(id)s", {"id": server_id}):
            raise NotFound(f"MCP server not found with id '{server_id}'")

    async def admit(self, server: McpServerRecord, *, now: datetime) -> None:
        """Let a call through to the server. Of those who come when a pause is over, one is: it finds out for all.

        Raises:
            McpPaused: the server is left alone; `retry_after` says for how long.
        """
        if server.open_until is None:
            return
        let_through = server.open_until <= now and await self._execute(
            "UPDATE mcp_servers SET open_until = %(until)s WHERE id = %(id)s AND open_until <= %(now)s",
            {"id": server.id, "now": now, "until": now + _PROBE},
        )
        if not let_through:
            left = max((server.open_until - now).total_seconds(), 1.0)
            raise McpPaused(
                f"the MCP server '{server.server_name}' failed {server.failures} times in a row "
                f"and is left alone for another {left:.0f} s",
                retry_after=left,
            )

    async def succeeded(self, server_id: str) -> None:
        """Note that the server answered: whatever failed before counts no more."""
        await self._execute(
            "UPDATE mcp_servers SET failures = 0, open_until = NULL, last_error = NULL WHERE id = %(id)s "
            "AND (failures > 0 OR open_until IS NOT NULL OR last_error IS NOT NULL)",
            {"id": server_id},
        )

    async def failed(self, server_id: str, error: str, *, now: datetime, counts: bool = True) -> None:
        """Note how the server failed; after `MOST_FAILURES` in a row it is left alone for a while.

        Args:
            counts: False for what only a person can mend: a pause would not help.
        """
        row = await self._row(
            "UPDATE mcp_servers SET failures = failures + %(one)s, last_error = %(error)s WHERE id = %(id)s "
            "RETURNING failures",
            {"id": server_id, "error": error, "one": int(counts)},
        )
        if row is not None and counts and (beyond := row["failures"] - MOST_FAILURES) >= 0:
            pause = min(_PAUSE * 2 ** min(beyond, 10), _LONGEST_PAUSE)
            await self._execute(
                "UPDATE mcp_servers SET open_until = %(until)s WHERE id = %(id)s",
                {"id": server_id, "until": now + pause},
            )

    async def tools(self, server_id: str) -> Sequence[ToolRecord]:
        """The tools a server brought, by name."""
        return await self._records(
            ToolRecord, "SELECT * FROM tools WHERE mcp_server_id = %(id)s ORDER BY name", {"id": server_id}
        )

    async def tool(self, server_id: str, tool_id: str) -> ToolRecord:
        """One tool of a server. Raises NotFound."""
        record = await self._record(
            ToolRecord,
            "SELECT * FROM tools WHERE id = %(tool)s AND mcp_server_id = %(id)s",
            {"id": server_id, "tool": tool_id},
        )
        if record is None:
            raise NotFound(f"Tool not found with id '{tool_id}' on MCP server '{server_id}'")
        return record

    async def drifted(self) -> Sequence[ToolRecord]:
        """All tools that a server describes otherwise than they are pinned, by name."""
        return await self._records(
            ToolRecord,
            "SELECT * FROM tools WHERE tool_type = 'external_mcp' AND mcp->'drift' <> 'null'::jsonb ORDER BY name",
            {},
        )

    async def names_of_tools(self) -> set[str]:
        """The names of all tools of the organisation."""
        return {row["name"] for row in await self._rows("SELECT name FROM tools", {})}

    async def add_tool(self, server: McpServerRecord, values: Mapping[str, Any]) -> bool:
        """Insert a tool of a server; False if a tool of that name came into being meanwhile."""
        return bool(
            await self._execute(
                "INSERT INTO tools (id, org_id, name, tool_type, source_type, description, json_schema, effect, "
                "mcp_server_id, mcp, tags) VALUES (%(id)s, %(org)s, %(name)s, 'external_mcp', 'json', %(description)s, "
                "%(schema)s, 'external', %(server)s, %(mcp)s, %(tags)s) ON CONFLICT (org_id, name) DO NOTHING",
                {
                    "id": values["id"],
                    "org": self._org_id,
                    "name": values["name"],
                    "description": values["description"],
                    "schema": as_json(values["json_schema"]),
                    "server": server.id,
                    "mcp": as_json(values["mcp"]),
                    "tags": [f"mcp:{server.server_name}"],
                },
            )
        )

    async def repin_tool(self, tool_id: str, values: Mapping[str, Any]) -> None:
        """Take what the server says of a tool now; effect, approval and limits stay as people set them."""
        await self._execute(
            "UPDATE tools SET description = %(description)s, json_schema = %(schema)s, mcp = %(mcp)s, "
            "updated_at = now() WHERE id = %(id)s",
            {
                "id": tool_id,
                "description": values["description"],
                "schema": as_json(values["json_schema"]),
                "mcp": as_json(values["mcp"]),
            },
        )

    async def mark_drift(self, tool_id: str, drift: JsonObject | None) -> None:
        """Note that the server describes a tool otherwise than pinned, or (None) that it does so no longer."""
        await self._execute(
            "UPDATE tools SET mcp = jsonb_set(mcp, '{drift}', %(drift)s), updated_at = now() "
            "WHERE id = %(id)s AND mcp->'drift' IS DISTINCT FROM %(drift)s",
            {"id": tool_id, "drift": as_json(drift)},
        )

    async def retag(self, server_id: str, before: str, after: str) -> None:
        """Let the tools of a renamed server carry its new name."""
        await self._execute(
            "UPDATE tools SET tags = array_replace(tags, %(before)s, %(after)s) WHERE mcp_server_id = %(id)s",
            {"id": server_id, "before": f"mcp:{before}", "after": f"mcp:{after}"},
        )

    async def delete_tools(self, tool_ids: Sequence[str]) -> None:
        """Delete tools; agents lose them."""
        await self._execute("DELETE FROM tools WHERE id = ANY(%(ids)s)", {"ids": list(tool_ids)})


class McpSignIns(Repository):
    """Sign-ins at MCP servers, from the link a person opens to the code that comes back. They last ten minutes."""

    async def add(self, sign_in_id: str, server_id: str, state: str, data: str, *, now: datetime) -> McpSignInRecord:
        """Begin one; those that ran out go away."""
        await self._execute("DELETE FROM mcp_sign_ins WHERE expires_at <= %(now)s", {"now": now})
        record = await self._record(
            McpSignInRecord,
            "INSERT INTO mcp_sign_ins (id, org_id, server_id, state, data, expires_at) "
            "VALUES (%(id)s, %(org)s, %(server)s, %(state)s, %(data)s, %(until)s) RETURNING *",
            {
                "id": sign_in_id,
                "org": self._org_id,
                "server": server_id,
                "state": state,
                "data": data,
                "until": now + SIGN_IN_LASTS,
            },
        )
        assert record is not None
        return record

    async def get(self, sign_in_id: str, *, now: datetime) -> McpSignInRecord:
        """Raises NotFound (no such sign-in, or it ran out)."""
        record = await self._record(
            McpSignInRecord,
            "SELECT * FROM mcp_sign_ins WHERE id = %(id)s AND expires_at > %(now)s",
            {"id": sign_in_id, "now": now},
        )
        if record is None:
            raise NotFound("there is no such sign-in, or it ran out: begin another")
        return record

    async def keep(self, sign_in_id: str, data: str) -> None:
        """Replace what is known of a sign-in."""
        await self._execute(
            "UPDATE mcp_sign_ins SET data = %(data)s WHERE id = %(id)s", {"id": sign_in_id, "data": data}
        )

    async def authorized(self, sign_in_id: str, state: str, data: str, *, now: datetime) -> bool:
        """Take the code that came back; False unless this sign-in waits for it. It can be taken once."""
        return bool(
            await self._execute(
                "UPDATE mcp_sign_ins SET status = 'authorized', data = %(data)s WHERE id = %(id)s "
                "AND state = %(state)s AND status = 'pending' AND expires_at > %(now)s",
                {"id": sign_in_id, "state": state, "data": data, "now": now},
            )
        )

    async def end(self, sign_in_id: str, *, done: bool) -> None:
        """Note how a sign-in ended; what it knew is forgotten."""
        await self._execute(
            "UPDATE mcp_sign_ins SET status = %(status)s, data = NULL WHERE id = %(id)s",
            {"id": sign_in_id, "status": "done" if done else "failed"},
        )


def _encoded(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: as_json(value) if name == "config" else value for name, value in columns.items()}


def _taken(name: str) -> Conflict:
    return Conflict(f"server_name: there is an MCP server '{name}' already; change or delete that one")
