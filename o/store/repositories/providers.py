"""Providers that an organisation brought: their rows, and all of them at once for whoever finds a model's way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg import sql

from o.errors import Conflict, NotFound
from o.store.provider_records import ProviderRecord
from o.store.repositories.base import Place, Repository, as_json, record_of

# A draft is deleted by whoever made it, within seconds; one this old was left by a process that died.
_DRAFT_LASTS = timedelta(minutes=5)

_TIMES = ("last_checked_at", "created_at", "updated_at")


def key_context(provider_id: str) -> str:
    """What a provider's key is bound to when it is encrypted: it opens nowhere else."""
    return f"providers/{provider_id}/api_key"


@dataclass(frozen=True, slots=True)
class ProviderFilter:
    """What to list: None means any. Cursors are provider ids in listing order."""

    name: str | None = None
    provider_type: str | None = None
    after: str | None = None
    before: str | None = None
    limit: int = 50
    order: Literal["asc", "desc"] = "desc"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that an organisation says of providers and names of models, as it was at one moment."""

    providers: tuple[ProviderRecord, ...] = ()
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Providers(Repository):
    """The providers of one organisation. Drafts are seen by no other call than those that say so."""

    async def add(self, values: Mapping[str, Any]) -> ProviderRecord:
        """Insert a provider; `values` are columns of `providers` without `org_id`. Raises Conflict (the name)."""
        columns = _encoded({"org_id": self._org_id, **values})
        record = await self._record(
            ProviderRecord,
            sql.SQL(
                "INSERT INTO providers ({}) VALUES ({}) "
                "ON CONFLICT (org_id, name) WHERE NOT draft DO NOTHING RETURNING *"
            ).format(
                sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(", ").join(map(sql.Placeholder, columns))
            ),
            columns,
        )
        if record is None:
            raise Conflict(f"name: there is a provider '{values['name']}' already; change or delete that one")
        return record

    async def add_draft(self, values: Mapping[str, Any], *, now: datetime) -> ProviderRecord:
        """Insert a row that nobody is served by, for trying its key; drafts that were left behind go away."""
        await self._execute("DELETE FROM providers WHERE draft AND created_at < %(at)s", {"at": now - _DRAFT_LASTS})
        return await self.add({**values, "draft": True})

    async def get(self, provider_id: str) -> ProviderRecord:
        """Raises NotFound."""
        record = await self._record(
            ProviderRecord, "SELECT * FROM providers WHERE id = %(id)s AND NOT draft", {"id": provider_id}
        )
        if record is None:
            raise NotFound(f"Provider not found with id '{provider_id}'")
        return record

    async def lock(self, provider_id: str) -> ProviderRecord:
        """The row, locked until the transaction ends. Raises NotFound."""
        await self._execute("SELECT 1 FROM providers WHERE id = %(id)s FOR UPDATE", {"id": provider_id})
        return await self.get(provider_id)

    async def list(self, what: ProviderFilter) -> list[ProviderRecord]:
        """Providers that match, by their time of creation. Raises NotFound (a cursor)."""
        conditions: list[sql.SQL | sql.Composed] = [sql.SQL("NOT draft")]
        params: dict[str, Any] = {}
        for column in ("name", "provider_type"):
            if (value := getattr(what, column)) is not None:
                conditions.append(sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder(column)))
                params[column] = value
        return await self._page(
            ProviderRecord,
            "providers",
            conditions,
            params,
            after=await self._place(what.after),
            before=await self._place(what.before),
            order=what.order,
            limit=what.limit,
        )

    async def update(self, provider_id: str, changes: Mapping[str, Any]) -> ProviderRecord:
        """Set columns of a provider. Raises NotFound."""
        columns = _encoded(changes)
        assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
        await self._execute(
            sql.SQL("UPDATE providers SET {} WHERE id = %(provider_id)s AND NOT draft").format(
                sql.SQL(", ").join([*assignments, sql.SQL("updated_at = now()")])
            ),
            {**columns, "provider_id": provider_id},
        )
        return await self.get(provider_id)

    async def checked(self, provider_id: str, error: str | None, *, at: datetime) -> None:
        """Note how asking a provider went; nothing happens where it is gone meanwhile."""
        await self._execute(
            "UPDATE providers SET last_checked_at = %(at)s, last_error = %(error)s WHERE id = %(id)s",
            {"id": provider_id, "error": error, "at": at},
        )

    async def delete(self, provider_id: str) -> None:
        """Delete a provider or a draft, key and all. Raises NotFound."""
        if not await self._execute("DELETE FROM providers WHERE id = %(id)s", {"id": provider_id}):
            raise NotFound(f"Provider not found with id '{provider_id}'")

    async def snapshot(self, *, draft: str | None = None) -> Snapshot:
        """All providers and aliases, in one query: every turn begins with it. `draft` is the id of one to include."""
        row = await self._row(
            "SELECT (SELECT json_agg(p ORDER BY p.name) FROM providers p WHERE NOT p.draft OR p.id = %(draft)s)"
            " AS providers, (SELECT json_object_agg(a.handle, a.targets) FROM model_aliases a) AS aliases",
            {"draft": draft},
        )
        assert row is not None
        return Snapshot(
            tuple(_timed(found) for found in row["providers"] or ()),
            {handle: tuple(targets) for handle, targets in (row["aliases"] or {}).items()},
        )

    async def _place(self, cursor: str | None) -> Place | None:
        if cursor is None:
            return None
        at = await self.get(cursor)
        return at.created_at, at.id


def _encoded(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: as_json(value) if name == "models" else value for name, value in columns.items()}


def _timed(row: dict[str, Any]) -> ProviderRecord:
    """A row that came as JSON, with its times as times again."""
    times = {name: datetime.fromisoformat(row[name]) for name in _TIMES if row[name] is not None}
    return record_of(ProviderRecord, {**row, **times})
