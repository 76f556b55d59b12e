"""Blocks and their append-only versions: every edit is a row, under compare-and-set on the version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from o.errors import Conflict, NotFound
from o.store.records import BlockRecord
from o.store.repositories.base import Repository, as_json


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes an edit: a user or agent id, and the step and tool call it was made in, if any."""

    actor: str
    run_id: str | None = None
    step_id: str | None = None
    call_id: str | None = None


# Every write of a block is followed by its version, in the same statement.
_RECORD_VERSION = sql.SQL(
    'INSERT INTO block_versions (org_id, block_id, version, value, description, "limit", read_only, '
    "actor, run_id, step_id, call_id) "
    'SELECT org_id, id, version, value, description, "limit", read_only, '
    "%(by_actor)s, %(by_run)s, %(by_step)s, %(by_call)s FROM written"
)


def _edit(author: Author) -> dict[str, str | None]:
    return {
        "by_actor": author.actor,
        "by_run": author.run_id,
        "by_step": author.step_id,
        "by_call": author.call_id,
    }


class Blocks(Repository):
    """The memory blocks of one organisation."""

    async def add(self, values: Mapping[str, Any], author: Author) -> None:
        """Insert a block and its first version; `values` are columns of `blocks` without `org_id`."""
        columns = {"org_id": self._org_id, "created_by_id": author.actor, **values}
        if "metadata_" in columns:
            columns["metadata_"] = as_json(columns["metadata_"])
        await self._execute(
            sql.SQL("WITH written AS (INSERT INTO blocks ({}) VALUES ({}) RETURNING *) {}").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.SQL(", ").join(map(sql.Placeholder, columns)),
                _RECORD_VERSION,
            ),
            {**columns, **_edit(author)},
        )

    async def get(self, block_id: str) -> BlockRecord:
        """Raises NotFound."""
        record = await self._record(BlockRecord, "SELECT * FROM blocks WHERE id = %(id)s", {"id": block_id})
        if record is None:
            raise NotFound(f"Block not found with id '{block_id}'")
        return record

    async def lock(self, block_id: str) -> BlockRecord:
        """The block, locked until the transaction ends. Raises NotFound."""
        await self._execute("SELECT 1 FROM blocks WHERE id = %(id)s FOR UPDATE", {"id": block_id})
        return await self.get(block_id)

    async def of_agent(self, agent_id: str, label: str) -> BlockRecord:
        """The agent's block of this label, locked until the transaction ends. Raises NotFound."""
        record = await self._record(
            BlockRecord,
            "SELECT b.* FROM blocks b JOIN agents_blocks ab ON ab.block_id = b.id "
            "WHERE ab.agent_id = %(agent)s AND ab.label = %(label)s FOR NO KEY UPDATE OF b",
            {"agent": agent_id, "label": label},
        )
        if record is None:
            raise NotFound(f"Agent '{agent_id}' has no block with the label '{label}'")
        return record

    async def all_of_agent(self, agent_id: str) -> list[BlockRecord]:
        """The agent's blocks, locked until the transaction ends."""
        # Locked in the order of their ids: agents that share blocks would else wait for each other.
        return await self._records(
            BlockRecord,
            "SELECT b.* FROM blocks b JOIN agents_blocks ab ON ab.block_id = b.id "
            "WHERE ab.agent_id = %(agent)s ORDER BY b.id FOR NO KEY UPDATE OF b",
            {"agent": agent_id},
        )

    async def label_taken(self, block_id: str, label: str, *, besides: str) -> bool:
        """Whether an agent that holds the block, besides one, has another block of this label."""
        rows = await self._rows(
            "SELECT 1 FROM agents_blocks own JOIN agents_blocks other ON other.agent_id = own.agent_id "
            "WHERE own.block_id = %(block)s AND own.agent_id <> %(besides)s AND other.block_id <> own.block_id "
            "AND other.label = %(label)s LIMIT 1",
            {"block": block_id, "label": label, "besides": besides},
        )
        return bool(rows)

    async def update(self, block_id: str, changes: Mapping[str, Any], author: Author, *, version: int) -> None:
        """Set columns of a block whose version is still `version`, and record the new version.

        Raises:
            Conflict: somebody else changed the block since it was read.
        """
        columns = {**changes, "last_updated_by_id": author.actor}
        if "metadata_" in columns:
            columns["metadata_"] = as_json(columns["metadata_"])
        assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
        touched = await self._execute(
            sql.SQL(
                "WITH written AS (UPDATE blocks SET {}, version = version + 1, updated_at = now() "
                "WHERE id = %(block_id)s AND version = %(expected)s RETURNING *) {}"
            ).format(sql.SQL(", ").join(assignments), _RECORD_VERSION),
            {**columns, "block_id": block_id, "expected": version, **_edit(author)},
        )
        if not touched:
            raise Conflict(f"Block '{block_id}' was changed by somebody else; read it again and repeat the edit")
        if "label" in changes:
            await self._execute(
                "UPDATE agents_blocks SET label = %(label)s WHERE block_id = %(id)s",
                {"label": changes["label"], "id": block_id},
            )

    async def delete(self, block_id: str) -> None:
        """Delete a block with its versions; agents lose it. Raises NotFound."""
        if not await self._execute("DELETE FROM blocks WHERE id = %(id)s", {"id": block_id}):
            raise NotFound(f"Block not found with id '{block_id}'")

    async def holders(self, block_ids: Sequence[str]) -> list[str]:
        """Ids of the agents that hold any of these blocks."""
        rows = await self._rows(
            "SELECT DISTINCT agent_id FROM agents_blocks WHERE block_id = ANY(%(ids)s) ORDER BY agent_id",
            {"ids": list(block_ids)},
        )
        return [row["agent_id"] for row in rows]
