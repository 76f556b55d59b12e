"""The `o` command: finds the subcommand, words errors for people, sets the exit code (0 done, 1 failed, 2 misused)."""

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from o.errors import ProjectError

# name: module and attribute (a Typer group or a function), and the line that `o --help` shows.
_COMMANDS = {
    "up": ("o.cli.up:up", "Start everything on this machine; Ctrl-C stops it."),
    "chat": ("o.cli.chat:chat", "Talk to an agent in the terminal."),
    "agents": ("o.cli.agents:app", "List, create, show and remove agents."),
    "apply": ("o.cli.apply:apply", "Make agents, tools and memory as a file describes them."),
    "tools": ("o.cli.tools:app", "List, make, show, remove and run tools."),
    "runs": ("o.cli.runs:app", "List, show and cancel runs."),
    "approvals": ("o.cli.approvals:app", "Show, approve and deny tool calls that wait; policies."),
    "spend": ("o.cli.spend:spend", "Show what agents used and cost."),
    "budgets": ("o.cli.spend:budgets", "List, set and remove budgets."),
    "models": ("o.cli.models:models", "List the models that can be asked."),
    "providers": ("o.cli.providers:app", "Bring providers of models: add, try, rotate keys."),
    "aliases": ("o.cli.aliases:app", "Other names for models, and fallback lists."),
    "mcp": ("o.cli.mcp:app", "Servers of tools (MCP): add, sign in, refresh."),
    "keys": ("o.cli.keys:app", "Make, list and revoke API keys."),
    "config": ("o.cli.config:config", "Show every setting, its value and where it came from."),
    "doctor": ("o.cli.doctor:doctor", "Check every part and name the fix for what is wrong."),
    "server": ("o.cli.processes:server", "Run one API process."),
    "worker": ("o.cli.processes:worker", "Run one worker process."),
    "executor": ("o.cli.processes:executor", "Run the process that runs tools, isolated."),
    "local-model": ("o.cli.processes:local_model", "Run the process of the local models."),
    "migrate": ("o.cli.migrate:migrate", "Bring the database schema up to date."),
    "openapi": ("o.cli.openapi:openapi", "Print the API's OpenAPI document."),
}


class _Group(TyperGroup):
    """Lists commands by their table and imports only the one that is run: `o --help` answers at once."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, summary) in _COMMANDS.items():
            self.add_command(TyperCommand(name=name, help=summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else _load(name), rest


def _load(name: str) -> Any:
    target, summary = _COMMANDS[name]
    module, _, attribute = target.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        found, function = _typer(), found
        found.command(name, help=(function.__doc__ or summary))(cast("Callable[..., Any]", function))
    return typer.main.get_command(found)


def _typer(**attributes: Any) -> typer.Typer:
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **attributes)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"o {importlib.metadata.version('o')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """O runs durable AI agents: every agent step is a Temporal workflow.

    Begin with `o up`, then `o chat` in another terminal. Settings come from the environment: see `o config`.
    """


def _run(args: list[str] | None) -> int:
    """Run a command line; its exit code."""
    app = _typer(cls=_Group, no_args_is_help=True)
    app.callback()(_root)
    try:
        typer.main.get_command(app)(args=args, prog_name="o")
    except ProjectError as error:
        typer.echo(f"o: {error.message}", err=True)
        return 2 if error.code == "bad_settings" else 1
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def main(args: list[str] | None = None) -> None:
    """Run the command line `args` (this process's own if None) and end the process with its exit code."""
    code = _run(args)
    if args is None and "temporalio" in sys.modules:
        # Its native threads may still let go of Python objects while the interpreter shuts down, which aborts about
        # one process in fifteen after all its work is done. Leaving without that shutdown is safe: all is flushed.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
