"""`o aliases`."""

from typing import Annotated

import typer

from o.cli.client import Api
from o.cli.output import Json, emit, say, table
from o.settings import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Other names for models, and fallback lists.")

Handle = Annotated[str, typer.Argument(help="The alias, as provider/model.")]


@app.command("ls")
def list_aliases(json: Json = False) -> None:
    """List the aliases and what they mean."""
    with Api(Settings.load()) as api:
        found = api.get("/v1/aliases/")
    if json:
        emit(found)
    else:
        table(("alias", "models, tried in this order"), [(one["handle"], ", ".join(one["targets"])) for one in found])


@app.command("set")
def set_alias(
    handle: Handle,
    targets: Annotated[list[str], typer.Argument(help="The models it means; the next is tried when one fails.")],
    json: Json = False,
) -> None:
    """Let a handle mean one or more models. It may be its own first target: then the others are its fallbacks."""
    with Api(Settings.load()) as api:
        made = api.request("PUT", "/v1/aliases/", json={"handle": handle, "targets": targets})
    if json:
        emit(made)
    else:
        say(f"{made['handle']} means {', then '.join(made['targets'])}")


@app.command("rm")
def remove(handle: Handle, json: Json = False) -> None:
    """Take an alias away: the handle means what it says again."""
    with Api(Settings.load()) as api:
        api.request("DELETE", "/v1/aliases/", params={"handle": handle})
    if json:
        emit({"handle": handle, "removed": True})
    else:
        say(f"{handle} is no alias any more")
