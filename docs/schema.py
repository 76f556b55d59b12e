"""Writes `docs/schema.md`, the page on the database schema, from the tables: `make docs`."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Column, Index, Table
from sqlalchemy.dialects import postgresql

from o.store import base, tables

PAGE = Path(__file__).with_name("schema.md")

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]

_INTRO = """\
# The database schema

This page is generated from the tables in `o/store/tables` by `make docs`; change the tables, not the page.

Every table except `organizations` has an `org_id`, and row-level security shows a transaction only the rows of its own
organisation ([ADR 0007](adr/0007-transactions-and-tenancy.md)). Ids are text: a prefix and a UUID of version 4.
Times are with time zone. What the tables are for in the life of a turn is told in [the architecture](architecture.md).
"""


def page() -> str:
    """The whole page, as the tables are now."""
    modules = [
        importlib.import_module(f"{tables.__name__}.{found.name}") for found in pkgutil.iter_modules(tables.__path__)
    ]
    classes = [
        (module, [kind for kind in vars(module).values() if _is_table(kind) and kind.__module__ == module.__name__])
        for module in modules
    ]
    parts = [_INTRO, *_diagram([kind.__table__ for _, kinds in classes for kind in kinds])]
    for module, kinds in classes:
        parts.append(f"## {module.__name__.rpartition('.')[2].capitalize()}\n\n{(module.__doc__ or '').strip()}\n")
        parts += [_section(kind.__table__, kind.__dict__.get("__doc__")) for kind in kinds]
    return "\n".join(parts)


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, base.Table) and hasattr(kind, "__table__")


def _diagram(found: list[Table]) -> Iterator[str]:
    """How the tables refer to each other; every table's reference to its organisation is left out."""
    yield "```mermaid\nerDiagram"
    for table in found:
        for column in table.columns:
            for reference in column.foreign_keys:
                if column.name != "org_id":
                    yield f"  {reference.column.table.name} ||--o{{ {table.name} : {column.name}"
    yield "```\n"


def _section(table: Table, said: str | None) -> str:
    lines = [f"### `{table.name}`\n"]
    if said:
        lines.append(" ".join(said.split()) + "\n")
    lines += ["| column | type | null | default | refers to |", "|---|---|---|---|---|"]
    lines += [_row(column) for column in table.columns]
    lines.append(f"\nPrimary key: {', '.join(f'`{column.name}`' for column in table.primary_key)}")
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    lines += ["", *(f"- {_index(index)}" for index in indexes)] if indexes else []
    return "\n".join([*lines, ""])


def _row(column: Column[object]) -> str:
    default = getattr(column.server_default, "arg", None)
    refers = ", ".join(
        f"`{reference.target_fullname}` ({(reference.ondelete or 'no action').lower()})"
        for reference in column.foreign_keys
    )
    cells = (
        f"`{column.name}`",
        column.type.compile(dialect=_DIALECT).lower(),
        "yes" if column.nullable else "",
        "" if default is None else f"`{str(default) or 'empty'}`",
        refers,
    )
    return f"| {' | '.join(cells)} |"


def _index(index: Index) -> str:
    columns = ", ".join(f"`{getattr(expression, 'name', expression)}`" for expression in index.expressions)
    options = index.dialect_options["postgresql"]
    kind = f"unique {options['using'] or 'index'}" if index.unique else f"{options['using'] or 'index'}"
    where = f" where `{options['where']}`" if options["where"] is not None else ""
    return f"{kind} on {columns}{where}"


if __name__ == "__main__":
    PAGE.write_text(page())
