"""A mark on the embedded database that its schema is the one of this code.

Loading the migration library costs a second or more of every start; the mark lets a start without new migrations skip
it. It names the migration files by their digest and the revision they led to, so a changed file, an upgrade or a
downgrade makes it stale.
"""

import hashlib
import importlib.util
from pathlib import Path

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import tuple_row

_MARK = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"


def digest() -> str:
    """The digest of the migrations this code brings."""
    spec = importlib.util.find_spec("migrations")
    found = hashlib.sha256()
    for place in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(place).rglob("*.py")):
            found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


async def is_current(url: str) -> bool:
    """Whether the database carries the mark of this code's migrations and is at their revision."""
    async with await AsyncConnection.connect(url, autocommit=True, row_factory=tuple_row) as connection:
        cursor = await connection.execute(_MARK)
        row = await cursor.fetchone()
        return row is not None and row[0] is not None and row[0] == await _wanted(connection)


async def mark(url: str) -> None:
    """Note that the migrations were applied."""
    async with await AsyncConnection.connect(url, autocommit=True, row_factory=tuple_row) as connection:
        wanted = await _wanted(connection)
        name = sql.Identifier(connection.info.dbname)
        await connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(wanted)))


async def _wanted(connection: AsyncConnection[tuple[object, ...]]) -> str | None:
    try:
        cursor = await connection.execute(
            "SELECT string_agg(version_num, ',' ORDER BY version_num) FROM alembic_version"
        )
    except psycopg.errors.UndefinedTable:
        return None
    row = await cursor.fetchone()
    return f"{digest()} at {row[0]}" if row else None
