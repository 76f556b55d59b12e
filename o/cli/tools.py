"""`o tools`."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from o.cli.agents import find as find_agent
from o.cli.client import Api
from o.cli.output import Json, emit, say, short, table
from o.cli.sandbox import sandbox
from o.cli.tool_output import arguments_of, print_return, value_of
from o.cli.tool_test import run_file
from o.errors import InvalidArgument, NotFound
from o.settings import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, make, show, remove and run tools.")

Named = Annotated[str, typer.Argument(metavar="TOOL", help="Id or name of the tool.")]
# How many tools `ls` shows; the API pages beyond that.
_MOST = 1000

_TYPESCRIPT = {".ts", ".mts"}
# What a stored tool's run takes from it.
_OF_THE_TOOL = ("source_code", "source_type", "json_schema", "pip_requirements", "npm_requirements", "sandbox")


def find(api: Api, tool: str) -> dict[str, Any]:
    """The tool of this id or name. Raises NotFound."""
    if re.fullmatch(r"tool-[0-9a-f-]{36}", tool):
        by_id: dict[str, Any] = api.get(f"/v1/tools/{tool}")
        return by_id
    named: list[dict[str, Any]] = api.get("/v1/tools/", name=tool)
    if not named:
        raise NotFound(f"no tool is called {tool!r}: `o tools ls` lists them")
    return named[0]


@app.command("ls")
def list_tools(
    custom: Annotated[bool, typer.Option("--custom", help="Only your own.")] = False,
    search: Annotated[str | None, typer.Option(help="Words to look for in names, descriptions and tags.")] = None,
    json: Json = False,
) -> None:
    """List tools, or search them."""
    types = ["custom"] if custom else None
    with Api(Settings.load()) as api:
        if search is None:
            found = api.get("/v1/tools/", limit=_MOST, order="asc", tool_types=types)
        else:
            body = {"query": search, "tool_types": types, "limit": 100}
            found = [result["tool"] for result in api.post("/v1/tools/search", body)]
    if json:
        emit(found)
        return
    table(
        ("id", "name", "type", "effect", "approval", "description"),
        [
            (
                tool["id"],
                tool["name"],
                tool["tool_type"],
                tool["effect"],
                "asks" if tool["default_requires_approval"] else "",
                short(tool["description"] or "", 80),
            )
            for tool in found
        ],
    )


@app.command()
def show(tool: Named, json: Json = False) -> None:
    """Show a tool: what a model is told of it, what it may do, and its source."""
    with Api(Settings.load()) as api:
        found = find(api, tool)
    if json:
        emit(found)
        return
    limits = [f"{name}={value}" for name, value in found["sandbox"].items() if value and name != "network"]
    requirements = [*(found["pip_requirements"] or ()), *(found["npm_requirements"] or ())]
    parameters = (found["json_schema"] or {}).get("parameters", {})
    required = parameters.get("required", [])
    table(
        ("", ""),
        [
            ("id", found["id"]),
            ("name", found["name"]),
            ("type", found["tool_type"]),
            ("effect", found["effect"] + (", idempotent" if found["idempotent"] else "")),
            ("approval", "asks" if found["default_requires_approval"] else "runs"),
            ("network", ", ".join(found["sandbox"].get("network", [])) or "none"),
            ("limits", ", ".join(limits)),
            ("libraries", ", ".join(each["name"] for each in requirements)),
            ("tags", ", ".join(found["tags"])),
            ("description", short(found["description"] or "")),
        ],
    )
    for name, schema in parameters.get("properties", {}).items():
        needed = "" if name in required else ", optional"
        say(f"  {name} ({schema.get('type', 'any')}{needed}): {short(schema.get('description', ''))}")
    if found["source_code"]:
        say("")
        say(found["source_code"])


@app.command()
def create(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A Python or TypeScript file.")],
    schema: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Its JSON schema; TypeScript needs one.")
    ] = None,
    requires_approval: Annotated[bool | None, typer.Option(help="Whether a person decides about each call.")] = None,
    effect: Annotated[str | None, typer.Option(help="pure, reads, writes or external.")] = None,
    network: Annotated[list[str] | None, typer.Option(help="A host it may reach; may be repeated.")] = None,
    pip: Annotated[list[str] | None, typer.Option(help="A library, as NAME or NAME==VERSION; may be repeated.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be repeated.")] = None,
    json: Json = False,
) -> None:
    """Make a tool of the last function in a file; one of its name that is there is changed."""
    body: dict[str, Any] = {
        "source_code": _text(file),
        "source_type": "typescript" if file.suffix in _TYPESCRIPT else "python",
        "json_schema": None if schema is None else _document(schema),
        "default_requires_approval": requires_approval,
        "effect": effect,
        "sandbox": {"network": network} if network else None,
        "pip_requirements": [_requirement(each) for each in pip] if pip else None,
        "tags": tag or None,
    }
    with Api(Settings.load()) as api:
        made = api.post("/v1/tools/", {field: value for field, value in body.items() if value is not None})
    if json:
        emit(made)
    else:
        say(f"{made['id']} ({made['name']})")


@app.command("rm")
def remove(
    tool: Named,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Remove a tool; agents that have it lose it."""
    with Api(Settings.load()) as api:
        found = find(api, tool)
        if not yes:
            typer.confirm(f"Remove {found['name']} ({found['id']})?", abort=True, err=True)
        api.delete(f"/v1/tools/{found['id']}")
    if json:
        emit({"id": found["id"], "removed": True})
    else:
        say(f"{found['id']} is removed")


@app.command()
def run(
    tool: Named,
    args: Annotated[
        list[str] | None, typer.Option("--args", help="Arguments: a JSON object, or name=value; may be repeated.")
    ] = None,
    pairs: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Arguments.")] = None,
    agent: Annotated[str | None, typer.Option(help="Run it as this agent's, with its secrets and memory.")] = None,
    json: Json = False,
) -> None:
    """Run a tool once and print what it returns; exit code 1 if it fails."""
    arguments = arguments_of([*(args or []), *(pairs or [])])
    with Api(Settings.load()) as api:
        found = find(api, tool)
        if agent is not None:
            path = f"/v1/agents/{find_agent(api, agent)['id']}/tools/{found['name']}/run"
            answer = api.post(path, {"args": arguments}, timeout=None)
            returned = {**answer, "tool_return": answer["func_return"] or ""}
        elif found["source_code"] is None:
            raise InvalidArgument(f"{found['name']} has no source of its own: say for which agent it runs (--agent)")
        else:
            own = {field: found[field] for field in _OF_THE_TOOL if found[field] is not None}
            body = {**own, "name": found["name"], "args": arguments}
            answer = returned = api.post("/v1/tools/run", body, timeout=None)
    if json:
        emit(answer)
    else:
        print_return(returned)
    if answer["status"] != "success":
        raise typer.Exit(1)


app.command("test")(run_file)
app.command("sandbox")(sandbox)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{file}: cannot be read as UTF-8 text") from error


def _document(file: Path) -> dict[str, Any]:
    found = value_of(_text(file))
    if not isinstance(found, dict):
        raise InvalidArgument(f"{file}: holds no JSON object")
    return found


def _requirement(text: str) -> dict[str, str]:
    name, sign, version = text.partition("==")
    return {"name": name, "version": version} if sign else {"name": name}
