"""Runs the migrations: one transaction, one at a time, under an advisory lock."""

import importlib
import pkgutil

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

import o.store.tables
from o.store.base import Table

for module in pkgutil.iter_modules(o.store.tables.__path__):
    importlib.import_module(f"{o.store.tables.__name__}.{module.name}")

# Any number that nobody else uses: two processes that migrate at once take turns.
_LOCK = 6_283_185

engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Table.metadata, compare_server_default=False)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        context.run_migrations()
