"""What all repositories are: SQL over one open transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, LiteralString, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Composed, Identifier, Placeholder
from psycopg.types.json import Jsonb

Record = TypeVar("Record")
Query = LiteralString | SQL | Composed

# Where a row stands in a listing: its time of creation, and its id where two share that.
Place = tuple[datetime, str]


class Repository:
    """Root of the repositories; every statement runs under the transaction's organisation."""

    def __init__(self, connection: AsyncConnection[DictRow], org_id: str) -> None:
        self._connection = connection
        self._org_id = org_id

    async def _rows(self, query: Query, params: Mapping[str, Any]) -> list[DictRow]:
        cursor = await self._connection.execute(query, params)
        return await cursor.fetchall()

    async def _row(self, query: Query, params: Mapping[str, Any]) -> DictRow | None:
        cursor = await self._connection.execute(query, params)
        return await cursor.fetchone()

    async def _records(self, record: type[Record], query: Query, params: Mapping[str, Any]) -> list[Record]:
        return [record_of(record, row) for row in await self._rows(query, params)]

    async def _record(self, record: type[Record], query: Query, params: Mapping[str, Any]) -> Record | None:
        row = await self._row(query, params)
        return None if row is None else record_of(record, row)

    async def _page(
        self,
        record: type[Record],
        table: LiteralString,
        conditions: Sequence[SQL | Composed],
        params: Mapping[str, Any],
        *,
        after: Place | None,
        before: Place | None,
        order: Literal["asc", "desc"],
        limit: int,
    ) -> list[Record]:
        """Rows by time of creation that meet all conditions; the cursors are rows' places in listing order."""
        wanted, values, descending = [SQL("true"), *conditions], {**params, "limit": limit}, order == "desc"
        for name, place, past in (("after", after, True), ("before", before, False)):
            if place is not None:
                wanted.append(
                    SQL("(created_at, id) {op} ({at}, {id})").format(
                        op=SQL("<") if descending == past else SQL(">"),
                        at=Placeholder(f"{name}_at"),
                        id=Placeholder(f"{name}_id"),
                    )
                )
                values[f"{name}_at"], values[f"{name}_id"] = place
        query = SQL("SELECT * FROM {} WHERE {} ORDER BY created_at {d}, id {d} LIMIT %(limit)s").format(
            Identifier(table), SQL(" AND ").join(wanted), d=SQL("DESC") if descending else SQL("ASC")
        )
        return await self._records(record, query, values)

    async def _execute(self, query: Query, params: Mapping[str, Any] | Sequence[Any]) -> int:
        """Run a statement; returns the number of rows it touched."""
        return (await self._connection.execute(query, params)).rowcount

    async def _execute_many(self, query: Query, params: Sequence[Mapping[str, Any]]) -> None:
        async with self._connection.cursor() as cursor:
            await cursor.executemany(query, params)


def as_json(value: object) -> Jsonb:
    """A value for a jsonb parameter."""
    return Jsonb(value)


def record_of(record: type[Record], row: Mapping[str, Any]) -> Record:
    """A row as a record. A column that the record does not know is of a newer version's schema, and is passed over."""
    dataclass: Any = record
    return record(**{name: row[name] for name in dataclass.__dataclass_fields__})
