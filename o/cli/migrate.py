"""`o migrate`."""

from typing import Annotated

import typer

from o.cli.local import DataDir, Local
from o.cli.output import Json, emit, say
from o.store import migrate as schema


def migrate(
    to: Annotated[str, typer.Option(help="Revision to go to; an older one takes the schema back.")] = "head",
    down: Annotated[bool, typer.Option("--down", help="Go back to the revision of --to.")] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Bring the database schema up to date (or, with --down, back to a revision)."""
    if down and to == "head":
        raise typer.BadParameter("name the revision to go back to", param_hint="--to")
    url = Local.load(data_dir=data_dir).reachable_database()
    before = schema.current(url)
    if down:
        schema.downgrade(url, to)
    else:
        schema.upgrade(url, to)
    after = schema.current(url)
    if json:
        emit({"before": before, "after": after})
    elif before == after:
        say(f"the schema is at {after or 'its beginning'}: nothing to do")
    else:
        say(f"the schema went from {before or 'nothing'} to {after or 'nothing'}")
