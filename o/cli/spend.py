"""`o spend` and `o budgets`: what agents cost, and limits on it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import typer

from o.cli.agents import find
from o.cli.client import Api
from o.cli.output import Json, emit, say, table
from o.domain.budget import Period
from o.settings import Settings

budgets = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, set and remove budgets.")

_COUNTS = ("requests", "prompt_tokens", "cached_input_tokens", "completion_tokens", "reasoning_tokens")

Agent = Annotated[str | None, typer.Option(help="Id or name of the agent; all agents if not given.")]


def spend(
    agent: Agent = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How many days, today (UTC) included.")] = 7,
    by: Annotated[Literal["day", "agent", "model"], typer.Option(help="What to sum by.")] = "day",
    json: Json = False,
) -> None:
    """Show what model requests used and cost, by day, agent or model."""
    first = datetime.now(UTC).date() - timedelta(days=days - 1)
    with Api(Settings.load()) as api:
        agent_id = find(api, agent)["id"] if agent else None
        found = api.get("/v1/spend", agent_id=agent_id, start_date=first.isoformat(), group_by=by, limit=1000)
    if json:
        emit(found)
        return
    table(
        (by, "requests", "prompt", "cached", "reply", "reasoning", "USD"),
        [(line["agent_id" if by == "agent" else by], *(line[name] for name in _COUNTS), _cost(line)) for line in found],
    )


@budgets.command("ls")
def list_budgets(
    agent: Agent = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    json: Json = False,
) -> None:
    """List budgets, the newest first."""
    with Api(Settings.load()) as api:
        agent_id = find(api, agent)["id"] if agent else None
        found = api.get("/v1/budgets/", agent_id=agent_id, limit=limit)
    if json:
        emit(found)
        return
    table(
        ("id", "of", "per", "tokens", "USD"),
        [
            (each["id"], each["agent_id"] or "all agents", each["period"], each["max_tokens"], each["max_cost_usd"])
            for each in found
        ],
    )


@budgets.command("set")
def set_budget(
    per: Annotated[Period, typer.Option(help="Each run, or each day (UTC).")],
    agent: Annotated[
        str | None, typer.Option(help="Id or name of the agent; without it, all agents together or any run.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens of prompts and replies together.")] = None,
    usd: Annotated[str | None, typer.Option(help="Most USD; models without a known price count as 0.")] = None,
    json: Json = False,
) -> None:
    """Set a budget, or replace the one of the same agent and period; a run for which nothing is left stops."""
    if tokens is None and usd is None:
        raise typer.BadParameter("give --tokens, --usd or both")
    body: dict[str, Any] = {"period": per, "max_tokens": tokens, "max_cost_usd": usd}
    with Api(Settings.load()) as api:
        if agent is not None:
            body["agent_id"] = find(api, agent)["id"]
        made = api.request("PUT", "/v1/budgets/", json=body)
    if json:
        emit(made)
    else:
        say(f"{made['id']} ({made['agent_id'] or 'all agents'}, per {made['period']})")


@budgets.command("rm")
def remove(budget: Annotated[str, typer.Argument(help="Id of the budget.")], json: Json = False) -> None:
    """Remove a budget."""
    with Api(Settings.load()) as api:
        api.delete(f"/v1/budgets/{budget}")
    if json:
        emit({"id": budget, "removed": True})
    else:
        say(f"{budget} is removed")


def _cost(line: dict[str, Any]) -> str:
    """What is known of the cost, and whether that is all of it."""
    if line["cost_usd"] is None:
        return "unknown"
    return f"{line['cost_usd']:.6f}{' and more' if line['unpriced_requests'] else ''}"
