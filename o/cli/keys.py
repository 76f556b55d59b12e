"""`o keys`: works on the database itself, so that the first key can be made before anybody needs one."""

import asyncio
import logging
from dataclasses import asdict
from typing import Annotated

import typer

from o.cli.local import Local
from o.cli.output import Json, emit, say, table
from o.store.records import KeyRecord
from o.store.session import Store

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, list and revoke API keys.")


@app.command()
def create(name: Annotated[str, typer.Argument(help="What the key is for.")], json: Json = False) -> None:
    """Make a key and print it once; only its hash is kept."""
    key_id, key = asyncio.run(_create(name))
    if json:
        emit({"id": key_id, "name": name, "key": key})
        return
    say(key)
    say(
        f"{key_id} ({name}): keep the key now, it is not shown again. Clients send it as `Authorization: Bearer …`.",
        "dim",
    )


@app.command("ls")
def list_keys(json: Json = False) -> None:
    """List the keys, revoked ones too."""
    found = asyncio.run(_list())
    if json:
        emit([asdict(key) for key in found])
        return
    table(
        ("id", "name", "begins", "created", "last used", "state"),
        [
            (
                key.id,
                key.name,
                key.hint,
                _day(key.created_at),
                _day(key.last_used_at),
                "revoked" if key.revoked_at else "",
            )
            for key in found
        ],
    )


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="Id of the key.")], json: Json = False) -> None:
    """Make a key useless from now on."""
    asyncio.run(_revoke(key_id))
    if json:
        emit({"id": key_id, "revoked": True})
    else:
        say(f"{key_id} is revoked")


def _day(when: object) -> str:
    return str(when)[:16] if when else ""


async def _create(name: str) -> tuple[str, str]:
    async with _store() as store, store.transaction() as tx:
        return await tx.keys.create(name)


async def _list() -> list[KeyRecord]:
    async with _store() as store, store.transaction() as tx:
        return await tx.keys.list()


async def _revoke(key_id: str) -> None:
    async with _store() as store, store.transaction() as tx:
        await tx.keys.revoke(key_id)


def _store() -> Store:
    # The pool logs each failed try; the error that follows says it once.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    return Store(Local.load().reachable_database(), size=1)
