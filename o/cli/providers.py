"""`o providers`."""

import os
import re
import sys
from typing import Annotated, Any

import typer

from o.cli.client import Api, Refused
from o.cli.output import Json, emit, say, table, warn
from o.errors import InvalidArgument, NotFound
from o.settings import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Bring providers of models: add, try, rotate keys.")

Named = Annotated[str, typer.Argument(metavar="PROVIDER", help="Id or name of the provider.")]
# A key on the command line would be in the shell's history and in every list of processes.
KeyVariable = Annotated[
    str | None, typer.Option("--api-key-env", help="Environment variable that holds the key; else stdin is read.")
]
# How many providers `ls` shows; the API pages beyond that.
_MOST = 1000


@app.command("ls")
def list_providers(json: Json = False) -> None:
    """List the providers that were added; those of the environment are in `o config`."""
    with Api(Settings.load()) as api:
        found = api.get("/v1/providers/", limit=_MOST, order="asc")
    if json:
        emit(found)
        return
    table(
        ("id", "name", "type", "address", "key", "requests/min", "tokens/min", "last check"),
        [
            (
                one["id"],
                one["name"],
                one["provider_type"],
                one["base_url"],
                one["key_hint"],
                one["requests_per_minute"],
                one["tokens_per_minute"],
                _state(one),
            )
            for one in found
        ],
    )


@app.command()
def status(json: Json = False) -> None:
    """Tell how every provider is, those of the environment too: what it has, or why it says nothing."""
    with Api(Settings.load()) as api:
        found = api.get("/v1/providers/status")
    if json:
        emit(found)
        return
    table(
        ("name", "type", "whose", "models", "embedding models", ""),
        [
            (
                one["name"],
                one["provider_type"],
                "the environment's" if one["provider_category"] == "base" else "yours",
                one["models"],
                one["embedding_models"],
                "ok" if one["error"] is None else one["error"]["message"],
            )
            for one in found
        ],
    )


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the provider: its models are NAME/MODEL.")],
    provider_type: Annotated[
        str, typer.Option("--type", help="What it speaks or is: openai (any server of that wire), anthropic, groq, …")
    ] = "openai",
    base_url: Annotated[str | None, typer.Option(help="Its address, if not the service's own.")] = None,
    api_key_env: KeyVariable = None,
    no_key: Annotated[bool, typer.Option("--no-key", help="It wants no key; nothing is read.")] = False,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="Most requests a minute.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1, help="Most tokens a minute.")] = None,
    json: Json = False,
) -> None:
    """Add a provider and try it. The key is read from stdin or a variable, and is not shown again."""
    body = {
        "name": name,
        "provider_type": provider_type,
        "base_url": base_url,
        "api_key": None if no_key else _key(api_key_env),
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
    }
    with Api(Settings.load()) as api:
        made = api.post("/v1/providers/", {field: value for field, value in body.items() if value is not None})
        if json:
            emit(made)
            return
        say(f"{made['id']} ({made['name']}, {made['provider_type']}) is added")
        _try(api, made)


@app.command()
def check(provider: Named, json: Json = False) -> None:
    """Ask a provider with its key which models it has."""
    with Api(Settings.load()) as api:
        found = _find(api, provider)
        answer = _check(api, found)
    if json:
        emit({"id": found["id"], **answer})
    else:
        _say_models(found, answer)


@app.command()
def rotate(provider: Named, api_key_env: KeyVariable = None, json: Json = False) -> None:
    """Give a provider another key and try it. The key is read from stdin or a variable."""
    key = _key(api_key_env)
    with Api(Settings.load()) as api:
        found = _find(api, provider)
        changed = api.request("PATCH", f"/v1/providers/{found['id']}", json={"api_key": key})
        if json:
            emit(changed)
            return
        say(f"{found['id']} ({found['name']}) has the new key")
        _try(api, changed)


@app.command("rm")
def remove(
    provider: Named,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Remove a provider and its key."""
    with Api(Settings.load()) as api:
        found = _find(api, provider)
        if not yes:
            typer.confirm(f"Remove {found['name']} ({found['id']}) and its key?", abort=True, err=True)
        api.delete(f"/v1/providers/{found['id']}")
    if json:
        emit({"id": found["id"], "removed": True})
    else:
        say(f"{found['id']} is removed")


def _find(api: Api, provider: str) -> dict[str, Any]:
    """The provider of this id or name. Raises NotFound."""
    if re.fullmatch(r"provider-[0-9a-f-]{36}", provider):
        by_id: dict[str, Any] = api.get(f"/v1/providers/{provider}")
        return by_id
    named: list[dict[str, Any]] = api.get("/v1/providers/", name=provider)
    if not named:
        raise NotFound(f"no provider is called {provider!r}: `o providers ls` lists them")
    return named[0]


def _check(api: Api, provider: dict[str, Any]) -> dict[str, Any]:
    """Ask the API to try a provider.

    Raises:
        Refused: it cannot be used, and why.
    """
    path = f"/v1/providers/{provider['id']}"
    try:
        answer: dict[str, Any] = api.request("POST", f"{path}/check")
    except Refused:
        # A key that the provider refuses and one that the API refuses are both a 401: the row knows which it was.
        now = api.get(path)
        if now["last_error"] is None or now["last_checked_at"] == provider["last_checked_at"]:
            raise
        raise Refused(f"{provider['name']}: {now['last_error']}") from None
    return answer


def _try(api: Api, provider: dict[str, Any]) -> None:
    """Say whether a provider that was just changed answers; it stays changed either way."""
    try:
        _say_models(provider, _check(api, provider))
    except Refused as refused:
        warn(f"It does not answer as it should: {refused.message}")


def _say_models(provider: dict[str, Any], answer: dict[str, Any]) -> None:
    say(f"{provider['name']} answers and has {answer['models']} models: `o models` lists them")


def _key(variable: str | None) -> str:
    """The key, from a variable or from stdin. Raises InvalidArgument where there is none."""
    if variable is not None:
        key = os.environ.get(variable, "").strip()
        source = f"the variable {variable} is not set"
    elif sys.stdin.isatty():
        key, source = typer.prompt("API key", hide_input=True, err=True).strip(), "no key was given"
    else:
        key = sys.stdin.readline().strip()
        source = "stdin is empty: pipe the key in, name a variable with --api-key-env, or say --no-key"
    if not key:
        raise InvalidArgument(source)
    return key


def _state(provider: dict[str, Any]) -> str:
    if provider["last_checked_at"] is None:
        return "never"
    return provider["last_error"] or f"fine, {provider['last_checked_at'][:16]}"
