"""Tools: the base tools every organisation has, and those people add."""

from collections.abc import Sequence

from o import ids
from o.domain.base_tools import BASE_TOOLS
from o.errors import InvalidArgument, NotFound
from o.store.records import ToolRecord
from o.store.repositories.base import Repository, as_json


class Tools(Repository):
    """The tools of one organisation."""

    async def ensure_base(self) -> None:
        """Insert the base tools that are missing, and bring changed ones up to date."""
        await self._execute_many(
            "INSERT INTO tools (id, org_id, name, tool_type, description, json_schema, effect, "
            "idempotent, enable_parallel_execution, return_char_limit, tags) VALUES (%(id)s, %(org)s, %(name)s, "
            "%(type)s, %(description)s, %(schema)s, %(effect)s, %(idempotent)s, %(parallel)s, %(limit)s, %(tags)s) "
            "ON CONFLICT (org_id, name) DO UPDATE SET json_schema = excluded.json_schema, "
            "description = excluded.description, effect = excluded.effect, "
            "idempotent = excluded.idempotent "
            "WHERE (tools.json_schema, tools.effect, tools.idempotent) IS DISTINCT FROM "
            "(excluded.json_schema, excluded.effect, excluded.idempotent) AND tools.tool_type = excluded.tool_type",
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
