"""`o runs`: what agents did, from O's own rows, with the way to the same run in the Temporal UI."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from o.cli.agents import find
from o.cli.client import Api
from o.cli.output import Json, emit, say, short, table
from o.errors import Conflict
from o.settings import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, show and cancel runs.")

_ACTIVE = ("created", "running")

Run = Annotated[str, typer.Argument(help="Id of the run.")]


@app.command("ls")
def list_runs(
    agent: Annotated[str | None, typer.Option(help="Only runs of this agent (id or name).")] = None,
    active: Annotated[bool, typer.Option("--active", help="Only runs that have not ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    json: Json = False,
) -> None:
    """List runs, the newest first."""
    with Api(Settings.load()) as api:
        agent_id = find(api, agent)["id"] if agent else None
        runs = api.get("/v1/runs/", agent_id=agent_id, active="true" if active else None, limit=limit)
    if json:
        emit(runs)
        return
    table(
        ("id", "status", "stop reason", "agent", "created", "seconds"),
        [
            (run["id"], run["status"], run["stop_reason"], run["agent_id"], str(run["created_at"])[:19], _seconds(run))
            for run in runs
        ],
    )


@app.command()
def show(run: Run, json: Json = False) -> None:
    """Show a run step by step: model, tokens, tools, outcome, and where to see it in the Temporal UI."""
    settings = Settings.load()
    with Api(settings) as api:
        found = api.get(f"/v1/runs/{run}")
        steps = api.get(f"/v1/runs/{run}/steps", limit=1000, order="asc")
        messages = api.get(f"/v1/runs/{run}/messages", limit=1000, order="asc")
    link = _link(settings, run)
    if json:
        emit({"run": found, "steps": steps, "messages": messages, "temporal_ui": link})
        return
    table(
        ("", ""),
        [
            ("run", found["id"]),
            ("agent", found["agent_id"]),
            ("status", found["status"]),
            ("stop reason", found["stop_reason"]),
            ("created", found["created_at"]),
            ("seconds", _seconds(found)),
            ("Temporal UI", link or "not the embedded one: look there for this run id"),
        ],
    )
    for number, step in enumerate(steps):
        tokens = f"{step.get('prompt_tokens') or 0} + {step.get('completion_tokens') or 0} tokens"
        outcome = " ".join(str(step[key]) for key in ("status", "stop_reason", "error_type") if step.get(key))
        say(f"\nstep {number}: {step.get('model_handle') or step.get('model')}, {tokens}, {outcome}", "bold")
        for message in messages:
            if message.get("step_id") == step["id"]:
                _print_message(message)


@app.command()
def cancel(run: Run, json: Json = False) -> None:
    """Cancel a run; what it has written stays."""
    with Api(Settings.load()) as api:
        found = api.get(f"/v1/runs/{run}")
        if found["status"] not in _ACTIVE:
            raise Conflict(f"{run} has ended already ({found['status']}): there is nothing to cancel")
        outcome = api.post(f"/v1/agents/{found['agent_id']}/messages/cancel", {"run_ids": [run]})
    if json:
        emit(outcome)
    else:
        say(f"{run}: {outcome.get(run, 'asked to stop')}")


def tool_calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The tool calls of a message, however many there are."""
    listed = message.get("tool_calls") or message.get("tool_call") or []
    return [listed] if isinstance(listed, dict) else listed


def _print_message(message: dict[str, Any]) -> None:
    kind = message["message_type"]
    if kind == "tool_return_message":
        say(f"  → {message['status']}: {short(str(message['tool_return']), 160)}")
    elif kind in ("tool_call_message", "approval_request_message"):
        for call in tool_calls(message):
            say(f"  {call['name']}({short(call['arguments'] or '', 160)})")
    else:
        content = message.get("content") or message.get("reasoning") or ""
        say(f"  {kind.removesuffix('_message')}: {short(str(content), 160)}", "dim")


def _link(settings: Settings, run: str) -> str | None:
    if settings.ui_url is None:
        return None
    query = quote(f'AgentRunId="{run}"', safe="")
    return f"{settings.ui_url}/namespaces/{quote(settings.temporal_namespace)}/workflows?query={query}"


def _seconds(run: dict[str, Any]) -> str:
    took = run.get("total_duration_ns")
    return f"{took / 1e9:.2f}" if took else ""
