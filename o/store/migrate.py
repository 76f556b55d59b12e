"""The schema's version: bring a database up to date, take it back, or say where it is."""

from collections.abc import Callable
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Engine, make_url

import migrations
from o.errors import Unavailable


def _url(database_url: str) -> URL:
    """The same address for SQLAlchemy, on the driver we have."""
    return make_url(database_url).set(drivername="postgresql+psycopg")


def _config(database_url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(str(migrations.__file__)).parent))
    config.attributes["url"] = _url(database_url)
    return config


def upgrade(database_url: str, revision: str = "head") -> None:
    """Apply what is missing, in one transaction. Safe to call from several processes at once.

    Raises:
        Unavailable: the database cannot be reached, or refuses what the migrations need.
    """
    _run(lambda: command.upgrade(_config(database_url), revision))


def downgrade(database_url: str, revision: str) -> None:
    """Take the schema back to `revision` (`base` removes it all). Raises Unavailable."""
    _run(lambda: command.downgrade(_config(database_url), revision))


def current(database_url: str) -> str | None:
    """The revision the database is at; None before the first migration. Raises Unavailable."""
    found: list[str | None] = []

    def read() -> None:
        engine = engine_for(_url(database_url))
        with engine.connect() as connection:
            found.append(MigrationContext.configure(connection).get_current_revision())

    _run(read)
    return found[0]


def head() -> str | None:
    """The newest revision this code knows."""
    return ScriptDirectory.from_config(_config("postgresql://")).get_current_head()


def engine_for(url: URL) -> Engine:
    """An engine for one short job: no pool."""
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)


def _run(work: Callable[[], None]) -> None:
    try:
        work()
    except sqlalchemy.exc.OperationalError as error:
        raise Unavailable(f"the database does not answer or refuses: {error.orig}") from error
    except sqlalchemy.exc.ProgrammingError as error:
        raise Unavailable(f"the database refuses a migration: {error.orig}") from error
