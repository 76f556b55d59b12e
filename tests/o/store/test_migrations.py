"""The schema: up, down, up again; in step with the tables; and every table fenced off by organisation."""

import importlib
import multiprocessing
import pkgutil
from concurrent.futures import ProcessPoolExecutor

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import NullPool, create_engine, make_url

import o.store.tables
from o.errors import Unavailable
from o.store import migrate
from o.store.base import Table
from tests.support.servers import Postgres

for module in pkgutil.iter_modules(o.store.tables.__path__):
    importlib.import_module(f"{o.store.tables.__name__}.{module.name}")


def tables_of(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows}


def test_down_takes_everything_and_up_brings_it_back(database_url: str) -> None:
    before = tables_of(database_url)
    assert migrate.current(database_url) == migrate.head()
    migrate.downgrade(database_url, "base")
    assert tables_of(database_url) == {"alembic_version"}
    assert migrate.current(database_url) is None
    migrate.upgrade(database_url)
    assert tables_of(database_url) == before


def test_migrations_and_tables_say_the_same(database_url: str) -> None:
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


def test_every_table_has_row_level_security_and_an_owner_column(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        unfenced = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
            "AND NOT relrowsecurity AND relname <> 'alembic_version'"
        ).fetchall()
        assert unfenced == []
    owned = {name for name, table in Table.metadata.tables.items() if "org_id" in table.columns}
    # The last two are everybody's; only functions reach them, since they have no policy and nobody is granted them.
    assert owned == set(Table.metadata.tables) - {"organizations", "model_grants", "model_waits"}


def test_two_migrations_at_once_take_turns(postgres: Postgres) -> None:
    url = postgres.create("twice")
    try:
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as both:
            list(both.map(migrate.upgrade, [url, url]))
        assert migrate.current(url) == migrate.head()
    finally:
        postgres.drop("twice")


def test_an_unreachable_database_is_said_so() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        migrate.upgrade("postgresql://nobody@127.0.0.1:1/none")
