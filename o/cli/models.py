"""`o models`."""

from typing import Annotated, Any

import typer

from o.cli.client import Api
from o.cli.output import Json, emit, table, warn
from o.settings import Settings


def models(
    embedding: Annotated[bool, typer.Option("--embedding", help="List the embedding models instead.")] = False,
    json: Json = False,
) -> None:
    """List the models that can be asked now: what they take and do, and their price in USD per million tokens."""
    with Api(Settings.load()) as api:
        found = api.get("/v1/models/embedding" if embedding else "/v1/models/")
        states = [] if json else api.get("/v1/providers/status")
    if json:
        emit(found)
    elif embedding:
        table(("handle", "dimensions"), [(model["handle"], model["embedding_dim"]) for model in found])
    else:
        table(
            ("handle", "window", "output", "tools", "images", "reasoning", "price in / out"),
            [
                (
                    model["handle"],
                    model["max_context_window"],
                    model["max_output_tokens"],
                    model["tools"],
                    _yes(model["images"]),
                    _yes(model["reasoning"]),
                    _price(model["price"]),
                )
                for model in found
            ],
        )
    for state in states:
        if state["error"]:
            warn(f"{state['name']} is left out: {state['error']['message']}")


def _yes(flag: bool) -> str:
    return "yes" if flag else ""


def _price(price: dict[str, Any] | None) -> str:
    return "" if price is None else f"{price['input']} / {price['output']}"
