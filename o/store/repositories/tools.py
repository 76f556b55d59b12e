"""Tools: the base tools every organisation has, and those people add."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import sql

from o import ids
from o.domain.base_tools import BASE_TOOLS
from o.errors import Conflict, InvalidArgument, NotFound
from o.store.records import ToolRecord
from o.store.repositories.base import Place, Repository, as_json, record_of

_JSON_COLUMNS = frozenset(
    {"json_schema", "args_json_schema", "pip_requirements", "npm_requirements", "sandbox", "mcp", "metadata_"}
)

# What a search looks at: names come apart at their underscores.
_DOCUMENT = sql.SQL(
    "to_tsvector('english', regexp_replace(name, '[_.-]+', ' ', 'g') || ' ' || coalesce(description, '') || ' ' "
    "|| array_to_string(tags, ' '))"
)
# Any of the words, not all: a tool that meets more of them comes first.
_WORDS = sql.SQL("replace(plainto_tsquery('english', %(query)s)::text, ' & ', ' | ')::tsquery")
_NAMED = sql.SQL("position(lower(%(query)s) IN lower(name)) > 0")


@dataclass(frozen=True, slots=True)
class ToolFilter:
    """What to list: None means any. Cursors are tool ids in listing order.

    Attributes:
        search: a part of the name.
        base: True for the tools O brings only, False for all others only.
    """

    name: str | None = None
    names: tuple[str, ...] | None = None
    tool_ids: tuple[str, ...] | None = None
    search: str | None = None
    tags: tuple[str, ...] | None = None
    tool_types: tuple[str, ...] | None = None
    exclude_tool_types: tuple[str, ...] = ()
    base: bool | None = None
    after: str | None = None
    before: str | None = None
    limit: int = 50
    order: Literal["asc", "desc"] = "desc"


class Tools(Repository):
    """The tools of one organisation."""

    async def ensure_base(self) -> None:
        """Insert the base tools that are missing, and bring changed ones up to date."""
        await self._execute_many(
            "INSERT INTO tools (id, org_id, name, tool_type, description, json_schema, effect, "
            "idempotent, enable_parallel_execution, return_char_limit, tags) VALUES (%(id)s, %(org)s, %(name)s, "
            "%(type)s, %(description)s, %(schema)s, %(effect)s, %(idempotent)s, %(parallel)s, %(limit)s, %(tags)s) "
            "ON CONFLICT (org_id, name) DO UPDATE SET tool_type = excluded.tool_type, "
            "json_schema = excluded.json_schema, description = excluded.description, effect = excluded.effect, "
            "idempotent = excluded.idempotent "
            "WHERE (tools.tool_type, tools.json_schema, tools.effect, tools.idempotent) IS DISTINCT FROM "
            "(excluded.tool_type, excluded.json_schema, excluded.effect, excluded.idempotent) "
            "AND starts_with(tools.tool_type, 'letta_')",
            [
                {
                    "id": ids.new("tool"),
                    "org": self._org_id,
                    "name": tool.spec.name,
                    "type": tool.tool_type,
                    "description": tool.spec.description,
                    "schema": as_json(
                        {
                            "name": tool.spec.name,
                            "description": tool.spec.description,
                            "parameters": tool.spec.parameters,
                        }
                    ),
                    "effect": tool.effect,
                    "idempotent": tool.idempotent,
                    "parallel": tool.parallel,
                    "limit": tool.return_char_limit,
                    "tags": [tool.tool_type],
                }
                for tool in BASE_TOOLS
            ],
        )

    async def by_names(self, names: Sequence[str]) -> list[ToolRecord]:
        """The tools of these names, in this order. Raises InvalidArgument naming the first unknown one."""
        found = await self._records(
            ToolRecord, "SELECT * FROM tools WHERE name = ANY(%(names)s)", {"names": list(names)}
        )
        known = {tool.name: tool for tool in found}
        for name in names:
            if name not in known:
                raise InvalidArgument(f"tools: there is no tool named '{name}'")
        return [known[name] for name in names]

    async def by_ids(self, tool_ids: Sequence[str]) -> list[ToolRecord]:
        """The tools of these ids, in this order. Raises InvalidArgument naming the first unknown one."""
        found = await self._records(ToolRecord, "SELECT * FROM tools WHERE id = ANY(%(ids)s)", {"ids": list(tool_ids)})
        known = {tool.id: tool for tool in found}
        for tool_id in tool_ids:
            if tool_id not in known:
                raise InvalidArgument(f"tool_ids: there is no tool with the id '{tool_id}'")
        return [known[tool_id] for tool_id in tool_ids]

    async def get(self, tool_id: str) -> ToolRecord:
        """Raises NotFound."""
        record = await self._record(ToolRecord, "SELECT * FROM tools WHERE id = %(id)s", {"id": tool_id})
        if record is None:
            raise NotFound(f"Tool not found with id '{tool_id}'")
        return record

    async def restore_base(self) -> None:
        """Insert the base tools that are missing; where none is, nothing is written."""
        names = [tool.spec.name for tool in BASE_TOOLS]
        row = await self._row("SELECT count(*) AS n FROM tools WHERE name = ANY(%(names)s)", {"names": names})
        if row is None or row["n"] < len(names):
            await self.ensure_base()

    async def list(self, what: ToolFilter) -> list[ToolRecord]:
        """Tools that match, by their time of creation. Raises NotFound (a cursor)."""
        conditions, params = _conditions(what)
        return await self._page(
            ToolRecord,
            "tools",
            conditions,
            params,
            after=await self._place(what.after),
            before=await self._place(what.before),
            order=what.order,
            limit=what.limit,
        )

    async def count(self, what: ToolFilter) -> int:
        """How many tools match, whatever the page."""
        conditions, params = _conditions(what)
        row = await self._row(sql.SQL("SELECT count(*) AS n FROM tools WHERE {}").format(_all(conditions)), params)
        return int(row["n"]) if row else 0

    async def search(self, query: str, what: ToolFilter) -> Sequence[tuple[ToolRecord, bool]]:
        """Tools whose name, description or tags have words of `query`, the best first.

        Each with whether words of it were found; else the query is a part of its name.
        """
        conditions, params = _conditions(what)
        matches = sql.SQL("({doc} @@ {words} OR {named})").format(doc=_DOCUMENT, words=_WORDS, named=_NAMED)
        rows = await self._rows(
            sql.SQL(
                "SELECT *, {doc} @@ {words} AS by_words FROM tools WHERE {where} "
                "ORDER BY ts_rank({doc}, {words}) + ({named})::int DESC, name LIMIT %(limit)s"
            ).format(doc=_DOCUMENT, words=_WORDS, named=_NAMED, where=_all([*conditions, matches])),
            {**params, "query": query, "limit": what.limit},
        )
        return [(record_of(ToolRecord, row), bool(row["by_words"])) for row in rows]

    async def put(self, values: Mapping[str, Any]) -> ToolRecord:
        """Insert a tool, or change the one of this name and type to these values; what they leave out stays.

        Args:
            values: columns of `tools` without `id` and `org_id`; `name`, `tool_type` and `json_schema` among them.

        Raises:
            Conflict: the name is that of a tool of another type.
        """
        columns = _encoded({"id": ids.new("tool"), "org_id": self._org_id, **values})
        kept = {"id", "org_id", "name", "tool_type", "created_by_id"}
        changes = [sql.SQL("{c} = excluded.{c}").format(c=sql.Identifier(name)) for name in columns if name not in kept]
        record = await self._record(
            ToolRecord,
            sql.SQL(
                "INSERT INTO tools ({names}) VALUES ({values}) ON CONFLICT (org_id, name) DO UPDATE SET {changes} "
                "WHERE tools.tool_type = excluded.tool_type RETURNING *"
            ).format(
                names=sql.SQL(", ").join(map(sql.Identifier, columns)),
                values=sql.SQL(", ").join(map(sql.Placeholder, columns)),
                changes=sql.SQL(", ").join([*changes, sql.SQL("updated_at = now()")]),
            ),
            columns,
        )
        if record is None:
            raise Conflict(f"there is a tool of another kind named '{values['name']}'; take another name")
        return record

    async def update(self, tool_id: str, changes: Mapping[str, Any]) -> ToolRecord:
        """Set columns of a tool. Raises NotFound; Conflict (the name is taken)."""
        if "name" in changes and await self._taken(changes["name"], tool_id):
            raise Conflict(f"there is another tool named '{changes['name']}'; take another name")
        columns = _encoded(changes)
        assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
        await self._execute(
            sql.SQL("UPDATE tools SET {} WHERE id = %(tool_id)s").format(
                sql.SQL(", ").join([*assignments, sql.SQL("updated_at = now()")])
            ),
            {**columns, "tool_id": tool_id},
        )
        return await self.get(tool_id)

    async def lock(self, tool_id: str) -> ToolRecord:
        """The row, locked until the transaction ends. Raises NotFound."""
        await self._execute("SELECT 1 FROM tools WHERE id = %(id)s FOR UPDATE", {"id": tool_id})
        return await self.get(tool_id)

    async def delete(self, tool_id: str) -> None:
        """Delete a tool; agents that have it lose it. Raises NotFound."""
        if not await self._execute("DELETE FROM tools WHERE id = %(id)s", {"id": tool_id}):
            raise NotFound(f"Tool not found with id '{tool_id}'")

    async def attach(self, agent_id: str, tool_id: str) -> None:
        """Give an agent a tool; attaching it again changes nothing. Raises NotFound (the tool)."""
        await self.get(tool_id)  # a foreign key alone would let through the tools of others
        await self._execute(
            "INSERT INTO agents_tools (org_id, agent_id, tool_id, created_at) "
            "VALUES (%(org)s, %(agent)s, %(tool)s, clock_timestamp()) ON CONFLICT DO NOTHING",
            {"org": self._org_id, "agent": agent_id, "tool": tool_id},
        )

    async def detach(self, agent_id: str, tool_id: str) -> None:
        """Take a tool from an agent; one that it does not have is not taken. Raises NotFound (the tool)."""
        await self.get(tool_id)
        await self._execute(
            "DELETE FROM agents_tools WHERE agent_id = %(agent)s AND tool_id = %(tool)s",
            {"agent": agent_id, "tool": tool_id},
        )

    async def of_agent(self, agent_id: str, name: str) -> ToolRecord:
        """The agent's tool of this name. Raises NotFound."""
        record = await self._record(
            ToolRecord,
            "SELECT t.* FROM tools t JOIN agents_tools a ON a.tool_id = t.id "
            "WHERE a.agent_id = %(agent)s AND t.name = %(name)s",
            {"agent": agent_id, "name": name},
        )
        if record is None:
            raise NotFound(f"Tool '{name[:100]}' is not attached to agent '{agent_id}'")
        return record

    async def _taken(self, name: str, by_other_than: str) -> bool:
        taken = "SELECT 1 FROM tools WHERE name = %(name)s AND id <> %(id)s"
        return await self._row(taken, {"name": name, "id": by_other_than}) is not None

    async def _place(self, cursor: str | None) -> Place | None:
        if cursor is None:
            return None
        at = await self.get(cursor)
        return at.created_at, at.id


def _encoded(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: as_json(value) if name in _JSON_COLUMNS and value is not None else value
        for name, value in columns.items()
    }


def _all(conditions: Sequence[sql.SQL | sql.Composed]) -> sql.Composed:
    return sql.SQL(" AND ").join([sql.SQL("true"), *conditions])


def _conditions(what: ToolFilter) -> tuple[list[sql.SQL | sql.Composed], dict[str, Any]]:
    conditions: list[sql.SQL | sql.Composed] = []
    params: dict[str, Any] = {}

    def add(condition: sql.SQL, **values: Any) -> None:
        conditions.append(condition)
        params.update(values)

    if what.name is not None:
        add(sql.SQL("name = %(name)s"), name=what.name)
    if what.names is not None:
        add(sql.SQL("name = ANY(%(names)s)"), names=[*what.names])
    if what.tool_ids is not None:
        add(sql.SQL("id = ANY(%(ids)s)"), ids=[*what.tool_ids])
    if what.search:
        add(sql.SQL("position(lower(%(search)s) IN lower(name)) > 0"), search=what.search)
    if what.tags is not None:
        add(sql.SQL("tags && %(tags)s"), tags=[*what.tags])
    if what.tool_types is not None:
        add(sql.SQL("tool_type = ANY(%(types)s)"), types=[*what.tool_types])
    if what.exclude_tool_types:
        add(sql.SQL("tool_type <> ALL(%(not_types)s)"), not_types=[*what.exclude_tool_types])
    if what.base is not None:
        add(sql.SQL("starts_with(tool_type, 'letta_') = %(base)s"), base=what.base)
    return conditions, params
