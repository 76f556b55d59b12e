"""`o tools test`."""

import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from o.cli.client import Api
from o.cli.definition_file import load
from o.cli.output import Json, emit, say
from o.cli.tool_output import arguments_of, print_return
from o.domain.tool_functions import function_of
from o.errors import InvalidArgument
from o.settings import Settings


def run_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A Python file, in the DSL or not.")],
    tool: Annotated[str | None, typer.Option(help="Which of its tools; the last one if it is not said.")] = None,
    args: Annotated[
        list[str] | None, typer.Option("--args", help="Arguments: a JSON object, or name=value; may be repeated.")
    ] = None,
    pairs: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Arguments.")] = None,
    secret: Annotated[
        list[str] | None, typer.Option(help="Name of a variable of the environment that it sees; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Run a tool of a file once, in the sandbox; exit code 1 if it fails. Nothing is stored."""
    arguments = arguments_of([*(args or []), *(pairs or [])])
    body = {**_definition(file, tool), "args": arguments, "env_vars": _variables(secret or [])}
    with Api(Settings.load()) as api:
        began = time.monotonic()
        returned = api.post("/v1/tools/run", body, timeout=None)
        seconds = time.monotonic() - began
    if json:
        emit({**returned, "seconds": round(seconds, 3)})
    else:
        print_return(returned)
        say(f"{body['name']}: {returned['status']}, {seconds:.2f} s", "dim")
    if returned["status"] != "success":
        raise typer.Exit(1)


def _definition(file: Path, name: str | None) -> dict[str, Any]:
    """What is run: of a file in the DSL the tool alone, as it would be stored; any other file whole, not loaded."""
    try:
        source = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{file}: cannot be read as UTF-8 text") from error
    if "o.dsl" not in source:
        return {"source_code": source, "name": function_of(source, name).name}
    tools = {tool.tool_name: tool for tool in load(file).tools}
    if not tools:
        raise InvalidArgument(f"{file}: defines no tool: decorate a function with @tool")
    if name is not None and name not in tools:
        raise InvalidArgument(f"{file}: defines no tool '{name}' (it defines: {', '.join(tools)})")
    wanted = tools[name or list(tools)[-1]]
    return {
        "source_code": wanted.source,
        "name": wanted.tool_name,
        "pip_requirements": wanted.settings["pip_requirements"],
        "sandbox": wanted.settings["sandbox"],
    }


def _variables(names: list[str]) -> dict[str, str]:
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise InvalidArgument(f"--secret: {', '.join(missing)} is not set in the environment")
    return {name: os.environ[name] for name in names}
