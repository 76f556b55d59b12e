"""Policies about tool calls: made, listed, changed, removed. An agent is read together with those about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from psycopg.sql import SQL, Composed, Identifier, Placeholder

from o import ids
from o.errors import NotFound
from o.store.records import PolicyRecord
from o.store.repositories.base import Place, Repository, as_json


@dataclass(frozen=True, slots=True)
class PolicyFilter:
    """What to list: None means any. Cursors are policy ids in listing order."""

    agent_id: str | None = None
    after: str | None = None
    before: str | None = None
    limit: int = 100
    order: Literal["asc", "desc"] = "desc"


class Policies(Repository):
    """The policies of one organisation."""

    async def add(self, values: Mapping[str, Any]) -> PolicyRecord:
        """Insert a policy; `values` are columns of `tool_policies` without its id and organisation."""
        columns = {"id": ids.new("policy"), "org_id": self._org_id, **_encoded(values)}
        record = await self._record(
            PolicyRecord,
            SQL("INSERT INTO tool_policies ({}) VALUES ({}) RETURNING *").format(
                SQL(", ").join(map(Identifier, columns)), SQL(", ").join(map(Placeholder, columns))
            ),
            columns,
        )
        assert record is not None  # RETURNING of an insert always has its row
        return record

    async def count(self) -> int:
        """How many there are."""
        row = await self._row("SELECT count(*) AS n FROM tool_policies", {})
        return int(row["n"]) if row else 0

    async def get(self, policy_id: str) -> PolicyRecord:
        """Raises NotFound."""
        record = await self._record(PolicyRecord, "SELECT * FROM tool_policies WHERE id = %(id)s", {"id": policy_id})
        if record is None:
            raise _unknown(policy_id)
        return record

    async def list(self, what: PolicyFilter) -> list[PolicyRecord]:
        """Policies in listing order. Raises NotFound for a cursor that names no policy."""
        conditions: list[SQL | Composed] = [] if what.agent_id is None else [SQL("agent_id = %(agent)s")]
        return await self._page(
            PolicyRecord,
            "tool_policies",
            conditions,
            {"agent": what.agent_id},
            after=await self._place(what.after),
            before=await self._place(what.before),
            order=what.order,
            limit=what.limit,
        )

    async def update(self, policy_id: str, changes: Mapping[str, Any]) -> PolicyRecord:
        """Set columns of one policy. Raises NotFound."""
        if not changes:
            return await self.get(policy_id)
        assignments = [SQL("{} = {}").format(Identifier(name), Placeholder(name)) for name in changes]
        record = await self._record(
            PolicyRecord,
            SQL("UPDATE tool_policies SET {} WHERE id = %(policy_id)s RETURNING *").format(SQL(", ").join(assignments)),
            {"policy_id": policy_id, **_encoded(changes)},
        )
        if record is None:
            raise _unknown(policy_id)
        return record

    async def delete(self, policy_id: str) -> None:
        """Raises NotFound."""
        if not await self._execute("DELETE FROM tool_policies WHERE id = %(id)s", {"id": policy_id}):
            raise _unknown(policy_id)

    async def _place(self, cursor: str | None) -> Place | None:
        if cursor is None:
            return None
        at = await self.get(cursor)
        return at.created_at, at.id


def _encoded(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: as_json(value) if name == "arguments" else value for name, value in columns.items()}


def _unknown(policy_id: str) -> NotFound:
    return NotFound(f"Policy not found with id '{policy_id}'; `o approvals policies ls` lists them")
