"""`o mcp`."""

import os
from typing import Annotated, Any

import orjson
import typer

from o.cli.client import Api, Refused
from o.cli.output import Json, emit, say, short, table, warn
from o.errors import InvalidArgument, NotFound
from o.settings import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Servers of tools (MCP): add, sign in, refresh.")

Named = Annotated[str, typer.Argument(metavar="SERVER", help="Id or name of the server.")]

# A server is waited for on the other side: for its greeting and its listing.
_PATIENCE = 60.0


@app.command("ls")
def list_servers(json: Json = False) -> None:
    """List the servers, and how each was when it was last asked."""
    with Api(Settings.load()) as api:
        found = api.get("/v1/mcp-servers/")
    if json:
        emit(found)
        return
    table(
        ("id", "name", "type", "where", "last listing", ""),
        [
            (
                one["id"],
                one["server_name"],
                one["mcp_server_type"],
                one.get("server_url") or " ".join([one["command"], *one["args"]]),
                (one["last_synced_at"] or "never")[:16],
                _state(one),
            )
            for one in found
        ],
    )


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the server; its tools are tagged mcp:NAME.")],
    command: Annotated[
        list[str] | None, typer.Argument(help="A program to run in the sandbox, with its arguments, after --.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of a server that is reached over HTTP.")] = None,
    sse: Annotated[bool, typer.Option("--sse", help="It speaks the older transport, HTTP with SSE.")] = False,
    token_env: Annotated[str | None, typer.Option(help="Environment variable that holds its token.")] = None,
    auth_header: Annotated[str | None, typer.Option(help="Header for the token, if not Authorization.")] = None,
    env: Annotated[list[str] | None, typer.Option(help="Name of a variable of this shell to give the program.")] = None,
    network: Annotated[list[str] | None, typer.Option(help="A host that the program may reach.")] = None,
    json: Json = False,
) -> None:
    """Add a server and list its tools. Secrets are read from variables and are not shown again."""
    config: dict[str, Any]
    if (url is None) == (not command):
        raise InvalidArgument("say where the server is: --url URL, or -- COMMAND ARGUMENT…")
    if url is None:
        assert command
        given = {variable: _variable(variable) for variable in env or []}
        config = {"mcp_server_type": "stdio", "command": command[0], "args": command[1:], "env": given or None}
        config["allowed_hosts"] = network or None
    else:
        token = None if token_env is None else _variable(token_env)
        config = {"mcp_server_type": "sse" if sse else "streamable_http", "server_url": url}
        config |= {"auth_header": auth_header, "auth_token": token}
    with Api(Settings.load()) as api:
        made = api.post("/v1/mcp-servers/", {"server_name": name, "config": config}, timeout=_PATIENCE)
        tools = api.get(f"/v1/mcp-servers/{made['id']}/tools")
    if json:
        emit(made)
        return
    say(f"{made['id']} ({made['server_name']}) is added with {len(tools)} tools")
    if made["last_error"]:
        warn(f"Notice: {made['last_error']}")


@app.command()
def tools(server: Named, json: Json = False) -> None:
    """List a server's tools, and what it says of them otherwise than was agreed to."""
    with Api(Settings.load()) as api:
        found = api.get(f"/v1/mcp-servers/{_find(api, server)['id']}/tools")
    if json:
        emit(found)
        return
    table(
        ("id", "name", "state", "description"),
        [(one["id"], one["name"], _tool_state(one), short(one["description"] or "", 60)) for one in found],
    )
    for one in found:
        for aspect, now in ((one["mcp"]["drift"] or {}).get("now") or {}).items():
            was = (one["description"] or "") if aspect == "description" else "(see --json)"
            warn(f"{one['name']}: its {aspect} was: {short(was)}")
            warn(f"{one['name']}: its {aspect} is now: {short(now if isinstance(now, str) else _compact(now))}")


@app.command()
def refresh(server: Named, json: Json = False) -> None:
    """List a server's tools anew and accept what it says now."""
    with Api(Settings.load(), timeout=_PATIENCE) as api:
        done = api.request("PATCH", f"/v1/mcp-servers/{_find(api, server)['id']}/refresh")
    if json:
        emit(done)
        return
    for what in ("added", "updated", "deleted"):
        if done[what]:
            say(f"{what}: {', '.join(done[what])}")
    if not any(done.values()):
        say("nothing has changed")


@app.command()
def connect(server: Named) -> None:
    """Connect to a server; if it wants a sign-in, show where to sign in and wait for it."""
    with Api(Settings.load()) as api:
        path = f"/v1/mcp-servers/connect/{_find(api, server)['id']}"
        with api.stream(path, None) as lines:
            for line in lines:
                if line.startswith("data: "):
                    _tell(orjson.loads(line.removeprefix("data: ")))


@app.command("rm")
def remove(
    server: Named,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Remove a server with its secrets and its tools; agents lose them."""
    with Api(Settings.load()) as api:
        found = _find(api, server)
        if not yes:
            typer.confirm(f"Remove {found['server_name']} ({found['id']}) and its tools?", abort=True, err=True)
        api.delete(f"/v1/mcp-servers/{found['id']}")
    if json:
        emit({"id": found["id"], "removed": True})
    else:
        say(f"{found['id']} is removed")


def _tell(event: dict[str, Any]) -> None:
    match event["event"]:
        case "authorization_url":
            say("Open this address in a browser and sign in:")
            say(event["url"])
        case "waiting_for_auth":
            say("Waiting for the sign-in (ten minutes at most; Ctrl-C stops waiting) …")
        case "success":
            say(f"connected: {len(event['tools'])} tools")
        case "error":
            raise Refused(str(event["message"]))


def _find(api: Api, server: str) -> dict[str, Any]:
    """The server of this id or name. Raises NotFound."""
    for one in api.get("/v1/mcp-servers/"):
        if server in (one["id"], one["server_name"]):
            found: dict[str, Any] = one
            return found
    raise NotFound(f"no MCP server is called {server!r}: `o mcp ls` lists them")


def _variable(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise InvalidArgument(f"the variable {name} is not set")
    return value


def _state(server: dict[str, Any]) -> str:
    if server["paused_until"]:
        return f"left alone until {server['paused_until'][:19]}: {server['last_error']}"
    return server["last_error"] or "ok"


def _tool_state(tool: dict[str, Any]) -> str:
    about = tool["mcp"]
    if about["problem"]:
        return f"unusable: {about['problem']}"
    if about["drift"]:
        return f"CHANGED ({', '.join(about['drift']['changed'])}): not called until refreshed"
    return "ok"


def _compact(value: object) -> str:
    return orjson.dumps(value).decode()
