"""What all tables share: constraint names, the tenant column and the few column shapes they are made of."""

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, MetaData, String, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

# Every constraint has a name we know, so that a migration can drop it again on any server.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(SQLModel):
    """Root of all tables. They declare the schema; rows are read and written with psycopg (ADR 0006)."""

    metadata = MetaData(naming_convention=NAMING)


class Owned(Table):
    """A row of one organisation: row-level security compares `org_id` with the transaction's own."""

    org_id: str = Field(foreign_key="organizations.id", ondelete="CASCADE", sa_type=Text)


def key() -> Any:
    """The text primary key (or a part of it)."""
    return Field(primary_key=True, sa_type=Text)


def words(default: str | None = None, *, nullable: bool = False) -> Any:
    """Text of any length; `default` is the value the database fills in."""
    return Field(sa_column=Column(Text, nullable=nullable, server_default=default))


def refers(target: str, *, nullable: bool = False, primary_key: bool = False, on_delete: str = "CASCADE") -> Any:
    """A foreign key to `table.column`."""
    reference = ForeignKey(target, ondelete=on_delete)
    return Field(sa_column=Column(Text, reference, nullable=nullable, primary_key=primary_key))


def document(default: str | None = None, *, nullable: bool = False) -> Any:
    """A jsonb column; `default` is its JSON text."""
    return Field(sa_column=Column(JSONB, nullable=nullable, server_default=default))


def strings() -> Any:
    """An array of text, empty by default."""
    return Field(sa_column=Column(ARRAY(String), nullable=False, server_default="{}"))


def instant(*, nullable: bool = False, now: bool = False) -> Any:
    """A timestamp with time zone; `now` lets the database fill it in."""
    default = func.now() if now else None
    return Field(sa_column=Column(DateTime(timezone=True), nullable=nullable, server_default=default))


def count(default: int | None = 0, *, nullable: bool = False, primary_key: bool = False) -> Any:
    """A 64-bit integer."""
    server_default = None if default is None else text(str(default))
    return Field(
        sa_column=Column(BigInteger, nullable=nullable, primary_key=primary_key, server_default=server_default)
    )


def flag(default: bool = False) -> Any:
    return Field(sa_column_kwargs={"server_default": text(str(default).lower())})
