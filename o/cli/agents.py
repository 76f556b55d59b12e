"""`o agents`."""

import re
from typing import Annotated, Any

import typer

from o.cli.client import Api
from o.cli.output import Json, emit, say, short, table
from o.errors import InvalidArgument, NotFound
from o.settings import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, create, show and remove agents.")

Agent = Annotated[str, typer.Argument(help="Id or name of the agent.")]
# How many agents `ls` shows; the API pages beyond that.
_PAGE = 50


def find(api: Api, agent: str | None) -> dict[str, Any]:
    """The agent of this id or name, or the newest one if None.

    Raises:
        NotFound: there is none.
        InvalidArgument: several have the name.
    """
    found: list[dict[str, Any]]
    if agent is None:
        found = api.get("/v1/agents/", limit=1)
        if not found:
            raise NotFound("there is no agent yet: make one with `o agents create NAME`")
    elif re.fullmatch(r"agent-[0-9a-f-]{36}", agent):
        found = [api.get(f"/v1/agents/{agent}")]
    else:
        found = api.get("/v1/agents/", name=agent, limit=2)
        if not found:
            raise NotFound(f"no agent is called {agent!r}: `o agents ls` lists them")
        if len(found) > 1:
            raise InvalidArgument(f"several agents are called {agent!r}: use an id of `o agents ls`")
    return found[0]


@app.command("ls")
def list_agents(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = _PAGE, json: Json = False
) -> None:
    """List agents, the newest first."""
    with Api(Settings.load()) as api:
        agents = api.get("/v1/agents/", limit=limit)
    if json:
        emit(agents)
        return
    table(
        ("id", "name", "model", "created"),
        [(agent["id"], agent["name"], agent["model"], str(agent["created_at"])[:16]) for agent in agents],
    )


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the agent.")],
    model: Annotated[str | None, typer.Option(help="Model handle, as provider/model (O_DEFAULT_MODEL).")] = None,
    persona: Annotated[str, typer.Option(help="Who the agent is.")] = "I am a helpful agent.",
    human: Annotated[str, typer.Option(help="What it knows of the person it talks to.")] = "",
    system: Annotated[str | None, typer.Option(help="System prompt instead of the built-in one.")] = None,
    tool: Annotated[list[str] | None, typer.Option(help="Name of a tool to attach; may be repeated.")] = None,
    json: Json = False,
) -> None:
    """Create an agent with a human and a persona block and the base tools."""
    settings = Settings.load()
    body: dict[str, Any] = {
        "name": name,
        "model": model or settings.default_model,
        "embedding": settings.default_embedding,
        "memory_blocks": [{"label": "human", "value": human}, {"label": "persona", "value": persona}],
        "include_base_tools": True,
    }
    if system is not None:
        body["system"] = system
    if tool:
        body["tools"] = tool
    with Api(settings) as api:
        made = api.post("/v1/agents/", body)
    if json:
        emit(made)
    else:
        say(f"{made['id']} ({made['name']}, {made['model']})")


@app.command()
def show(agent: Agent, json: Json = False) -> None:
    """Show an agent: its model, tools, rules and memory."""
    with Api(Settings.load()) as api:
        found = find(api, agent)
    if json:
        emit(found)
        return
    rules = [f"{rule['type']}({rule['tool_name']})" for rule in found.get("tool_rules") or []]
    table(
        ("", ""),
        [
            ("id", found["id"]),
            ("name", found["name"]),
            ("type", found["agent_type"]),
            ("model", found["model"]),
            ("embedding", found.get("embedding")),
            ("tools", ", ".join(tool["name"] for tool in found["tools"])),
            ("rules", ", ".join(rules)),
            ("created", found["created_at"]),
            ("last stop", found.get("last_stop_reason")),
        ],
    )
    print_blocks(found["blocks"])


def print_blocks(blocks: list[dict[str, Any]]) -> None:
    """Print memory blocks, each under its label."""
    for block in blocks:
        limit = f"{len(block['value'])} of {block['limit']} characters{', read-only' if block['read_only'] else ''}"
        say(f"\n{block['label']} ({limit})", "bold")
        say(block["value"])


@app.command("rm")
def remove(
    agent: Agent,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Remove an agent with its messages and runs."""
    with Api(Settings.load()) as api:
        found = find(api, agent)
        if not yes:
            typer.confirm(f"Remove {short(found['name'])} ({found['id']}) with all its messages?", abort=True, err=True)
        api.delete(f"/v1/agents/{found['id']}")
    if json:
        emit({"id": found["id"], "removed": True})
    else:
        say(f"{found['id']} is removed")
