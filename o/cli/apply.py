"""`o apply FILE`: makes agents, tools and memory as a file describes them."""

import json as jsonlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from o.cli.apply_plan import Change, agent_change, block_changes, mine, tool_change
from o.cli.client import Api
from o.cli.definition_file import load
from o.cli.output import Json, emit, say, short, warn
from o.domain.definitions import AgentDefinition
from o.dsl import Collected
from o.errors import InvalidArgument, NotFound, ProjectError
from o.settings import Settings

_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "unchanged": ("=", "dim")}
_AT_ONCE = 50


def apply(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A Python file that uses o.dsl.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and leave it at that.")] = False,
    model: Annotated[
        str | None, typer.Option(help="Handle for agents whose file names none (O_DEFAULT_MODEL).")
    ] = None,
    project: Annotated[
        str,
        typer.Option(help="Whose agents they are: those of other projects, and those made by hand, are left alone."),
    ] = "default",
    json: Json = False,
) -> None:
    """Create or update what a file defines, after showing what would change.

    Tools are known by name, agents by name and project, memory blocks by agent and label. What an agent wrote into its
    memory stays, unless the block says keep=False. An agent's tools, rules and tags become what the file says; blocks,
    secrets and agents that it does not name stay.
    """
    defined = load(file)
    settings = Settings.load()
    with Api(settings) as api:
        applying = _Applying(api, settings, model, project)
        changes = applying.plan(defined)
        pending = [change for change in changes if change.action != "unchanged"]
        if not json:
            _print(changes)
        if pending and not dry_run:
            if not yes:
                typer.confirm(f"Make {_counted(pending)}?", abort=True, err=True)
            applying.carry_out(defined, changes)
    if json:
        emit({"project": project, "applied": not dry_run, "changes": list(map(_document, changes))})
    elif pending:
        say("This is what would change." if dry_run else f"Done: {_counted(pending)}.")
    else:
        say("Nothing to do.")


class _Applying:
    """One run of the command against one API."""

    def __init__(self, api: Api, settings: Settings, model: str | None, project: str) -> None:
        self._api = api
        self._settings = settings
        self._model = model
        self._project = project
        self._ids: dict[str, str] = {}  # of agents that are there, by name

    def plan(self, defined: Collected) -> list[Change]:
        """What would change, in the order in which it has to be done."""
        if not defined.tools and not defined.agents:
            raise InvalidArgument("the file defines nothing: use @tool and define_agent of o.dsl")
        own = {tool.tool_name for tool in defined.tools}
        wanted = own | {name for agent in defined.agents for name in agent.tools}
        present = self._tools(sorted(wanted))
        if missing := wanted - own - present.keys():
            raise NotFound(f"there is no tool '{min(missing)}': `o tools ls` lists those there are")
        changes = [tool_change(tool, present.get(tool.tool_name)) for tool in defined.tools]
        for agent in defined.agents:
            changes += self._agent(agent, defined)
        return changes

    def carry_out(self, defined: Collected, changes: list[Change]) -> None:
        """Do what was planned. What fails ends the command; applying the file again goes on from there."""
        blocks = {f"{agent.name}/{block.label}": agent.name for agent in defined.agents for block in agent.blocks}
        for change in changes:
            if change.action == "unchanged":
                continue
            change = replace(change, body=self._with_ids(change.body, defined))
            try:
                if change.kind == "tool":
                    self._api.request("PUT", "/v1/tools/", json=change.body)
                elif change.kind == "agent":
                    self._put_agent(change)
                else:
                    self._put_block(change, blocks[change.name])
            except ProjectError as error:
                warn(f"{change.kind} '{change.name}' could not be made so:")
                raise error

    def _agent(self, wanted: AgentDefinition, defined: Collected) -> list[Change]:
        found = self._api.get("/v1/agents/", name=wanted.name, limit=1000)
        present = mine(found, self._project)
        if present is not None:
            self._ids[wanted.name] = present["id"]
        elif found:
            warn(f"another agent is called '{wanted.name}' and is none of project '{self._project}': it is left alone")
        wanted = replace(
            wanted,
            system=None if wanted.system is None else self._filled(wanted.system, defined),
            blocks=tuple(replace(each, value=self._filled(each.value, defined)) for each in wanted.blocks),
        )
        change = agent_change(
            wanted,
            present,
            model=self._model,
            default_model=self._settings.default_model,
            default_embedding=self._settings.default_embedding,
            secrets=_secrets(wanted),
            project=self._project,
        )
        if present is None:
            return [change]
        return [change, *block_changes(wanted, present)]

    def _put_agent(self, change: Change) -> None:
        if change.action == "create":
            self._ids[change.name] = self._api.post("/v1/agents/", change.body)["id"]
            return
        body = dict(change.body)
        if "tools" in body:
            agent = self._api.get(f"/v1/agents/{self._ids[change.name]}")
            kept = [tool["id"] for tool in agent["tools"] if tool["tool_type"] == "letta_files_core"]
            found = self._tools(body.pop("tools"))
            body["tool_ids"] = [tool["id"] for tool in found.values()] + kept
        self._api.request("PATCH", f"/v1/agents/{self._ids[change.name]}", json=body)

    def _put_block(self, change: Change, agent: str) -> None:
        path = f"/v1/agents/{self._ids[agent]}/core-memory/blocks"
        if change.action == "update":
            label = quote(change.name.removeprefix(f"{agent}/"))
            self._api.request("PATCH", f"{path}/{label}", json=change.body)
            return
        made = self._api.post("/v1/blocks/", change.body)
        self._api.request("PATCH", f"{path}/attach/{made['id']}")

    def _with_ids(self, body: dict[str, Any], defined: Collected) -> dict[str, Any]:
        """What is sent, with the ids of agents in the place of what stands for them."""
        found: dict[str, Any] = jsonlib.loads(self._filled(jsonlib.dumps(body, ensure_ascii=False), defined))
        return found

    def _filled(self, text: str, defined: Collected) -> str:
        for agent in defined.agents:
            if agent.name in self._ids:
                text = text.replace(agent.placeholder, self._ids[agent.name])
        return text

    def _tools(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """The tools of these names that there are."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            found += self._api.get("/v1/tools/", names=some, limit=_AT_ONCE)
        return {tool["name"]: tool for tool in found}


def _secrets(wanted: AgentDefinition) -> dict[str, str]:
    missing = [name for name in wanted.secrets if name not in os.environ]
    if missing:
        raise InvalidArgument(f"agent '{wanted.name}' needs {', '.join(missing)}: set it in the environment")
    return {name: os.environ[name] for name in wanted.secrets}


def _print(changes: list[Change]) -> None:
    for change in changes:
        sign, style = _SIGNS[change.action]
        say(f"{sign} {change.kind} {change.name}", style)
        for name, (before, after) in change.fields.items():
            if name == "source_code":
                say(f"    source_code: {_lines(before)} → {_lines(after)}")
            else:
                say(f"    {name}: {short(str(before), 60)} → {short(str(after), 60)}")


def _lines(source: object) -> str:
    return f"{len(str(source or '').splitlines())} lines"


def _document(change: Change) -> dict[str, Any]:
    fields = {name: {"before": before, "after": after} for name, (before, after) in change.fields.items()}
    return {"kind": change.kind, "name": change.name, "action": change.action, "fields": fields}


def _counted(changes: list[Change]) -> str:
    return "1 change" if len(changes) == 1 else f"{len(changes)} changes"
