"""What all repositories are: SQL over one open transaction."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Composed
from psycopg.types.json import Jsonb

Record = TypeVar("Record")
Query = LiteralString | SQL | Composed


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
        async with self._connection.cursor(row_factory=class_row(record)) as cursor:
            await cursor.execute(query, params)
            return await cursor.fetchall()

    async def _record(self, record: type[Record], query: Query, params: Mapping[str, Any]) -> Record | None:
        async with self._connection.cursor(row_factory=class_row(record)) as cursor:
            await cursor.execute(query, params)
            return await cursor.fetchone()

    async def _execute(self, query: Query, params: Mapping[str, Any] | Sequence[Any]) -> int:
        """Run a statement; returns the number of rows it touched."""
        return (await self._connection.execute(query, params)).rowcount

    async def _execute_many(self, query: Query, params: Sequence[Mapping[str, Any]]) -> None:
        async with self._connection.cursor() as cursor:
            await cursor.executemany(query, params)


def as_json(value: object) -> Jsonb:
    """A value for a jsonb parameter."""
    return Jsonb(value)
