"""`o approvals`: tool calls that wait for a person, the person's answers, and the policies that ask."""

from datetime import UTC, datetime
from json import JSONDecodeError, loads
from typing import Annotated, Any, Literal

import typer

from o.cli.agents import find
from o.cli.client import Api
from o.cli.output import Json, emit, say, short, table
from o.domain.tool_policy import Action, OnTimeout
from o.errors import InvalidArgument, NotFound
from o.settings import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show, approve and deny tool calls that wait.")
policies = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, add and remove policies.")
app.add_typer(policies, name="policies")

_LONGEST_SHOWN = 120  # characters of a call's arguments in a list

Approval = Annotated[str | None, typer.Argument(help="Id of the approval; the only one that waits if not given.")]


@app.command("ls")
def list_approvals(
    agent: Annotated[str | None, typer.Option(help="Only those of this agent (id or name).")] = None,
    status: Annotated[
        Literal["pending", "answered", "expired", "cancelled", "all"], typer.Option(help="Which to list.")
    ] = "pending",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    json: Json = False,
) -> None:
    """List the tool calls that wait for a person, the newest first."""
    with Api(Settings.load()) as api:
        agent_id = find(api, agent)["id"] if agent else None
        found = api.get("/v1/approvals/", agent_id=agent_id, status=status, limit=limit)
    if json:
        emit(found)
        return
    table(
        ("id", "agent", "calls", "age", "time left" if status == "pending" else "status"),
        [
            (
                each["id"],
                each["agent_name"],
                "; ".join(_spelled(call, _LONGEST_SHOWN) for call in each["calls"]),
                _span(_seconds_since(each["created_at"])),
                _left(each) if each["status"] == "pending" else each["status"],
            )
            for each in found
        ],
    )


@app.command()
def show(approval: Approval = None, json: Json = False) -> None:
    """Show what is asked: agent, run, tools and their arguments in full."""
    with Api(Settings.load()) as api:
        found = _get(api, approval)
    if json:
        emit(found)
        return
    table(
        ("", ""),
        [
            ("approval", found["id"]),
            ("status", found["status"]),
            ("agent", f"{found['agent_name']} ({found['agent_id']})"),
            ("run", found["run_id"]),
            ("age", _span(_seconds_since(found["created_at"]))),
            ("time left", _left(found) if found["status"] == "pending" else ""),
            ("when nobody answers", found["on_timeout"]),
            *((f"call {call['tool_call_id']}", _spelled(call)) for call in found["calls"]),
        ],
    )


@app.command()
def approve(approval: Approval = None, json: Json = False) -> None:
    """Approve all calls of an approval; the agent goes on."""
    _decide(approval, "approve", {}, json=json)


@app.command()
def deny(
    approval: Approval = None,
    reason: Annotated[str | None, typer.Option(help="Why; the model reads it.")] = None,
    json: Json = False,
) -> None:
    """Deny all calls of an approval; the agent is told and goes on."""
    _decide(approval, "deny", {"reason": reason}, json=json)


@policies.command("ls")
def list_policies(
    agent: Annotated[str | None, typer.Option(help="Only those that name this agent (id or name).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    json: Json = False,
) -> None:
    """List policies, the newest first."""
    with Api(Settings.load()) as api:
        agent_id = find(api, agent)["id"] if agent else None
        found = api.get("/v1/policies/", agent_id=agent_id, limit=limit)
    if json:
        emit(found)
        return
    table(
        ("id", "action", "tool", "arguments", "whose", "reason"),
        [
            (
                each["id"],
                each["action"],
                each["tool_name"],
                ", ".join(f"{name}: {pattern}" for name, pattern in each["arguments"].items()),
                each["agent_id"] or (f"tag {each['tag']}" if each["tag"] else "all agents"),
                each["reason"],
            )
            for each in found
        ],
    )


@policies.command("add")
def add(
    action: Annotated[Action, typer.Argument(help="What happens to the calls.")],
    tool: Annotated[str, typer.Argument(help="Name of the tool; * stands for any text.")] = "*",
    argument: Annotated[
        list[str] | None, typer.Option(help='NAME=PATTERN, where * stands for anything, or NAME={"above": 5}.')
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Only calls of this agent (id or name).")] = None,
    tag: Annotated[str | None, typer.Option(help="Only calls of agents with this tag.")] = None,
    reason: Annotated[str | None, typer.Option(help="For the model (deny) or the person who is asked.")] = None,
    timeout: Annotated[int | None, typer.Option(min=1, help="Seconds a question waits.")] = None,
    on_timeout: Annotated[OnTimeout, typer.Option(help="What becomes of a call nobody answered.")] = "deny",
    json: Json = False,
) -> None:
    """Add a policy: one that is narrower in every respect overrules it, else the strictest decides."""
    body: dict[str, Any] = {
        "action": action,
        "tool_name": tool,
        "arguments": dict(_pattern(each) for each in argument or ()),
        "tag": tag,
        "reason": reason,
        "timeout_seconds": timeout,
        "on_timeout": on_timeout,
    }
    with Api(Settings.load()) as api:
        body["agent_id"] = find(api, agent)["id"] if agent else None
        made = api.post("/v1/policies/", body)
    if json:
        emit(made)
    else:
        say(f"{made['id']} ({made['action']} {made['tool_name']})")


@policies.command("rm")
def remove(policy: Annotated[str, typer.Argument(help="Id of the policy.")], json: Json = False) -> None:
    """Remove a policy."""
    with Api(Settings.load()) as api:
        api.delete(f"/v1/policies/{policy}")
    if json:
        emit({"id": policy, "removed": True})
    else:
        say(f"{policy} is removed")


def _decide(approval: str | None, verb: Literal["approve", "deny"], body: dict[str, Any], *, json: bool) -> None:
    with Api(Settings.load()) as api:
        approval_id = _get(api, approval)["id"]
        run = api.post(f"/v1/approvals/{approval_id}/{verb}", body)
    if json:
        emit(run)
    else:
        say(f"{approval_id}: {'approved' if verb == 'approve' else 'denied'}; {run['id']} carries it out")


def _get(api: Api, approval: str | None) -> dict[str, Any]:
    """The approval of this id, or the only one that waits. Raises NotFound, InvalidArgument (there are several)."""
    if approval is not None:
        found: dict[str, Any] = api.get(f"/v1/approvals/{approval}")
        return found
    waiting: list[dict[str, Any]] = api.get("/v1/approvals/", limit=2)
    if not waiting:
        raise NotFound("no tool call waits for an approval")
    if len(waiting) > 1:
        raise InvalidArgument("several approvals wait: name one; `o approvals ls` lists them")
    return waiting[0]


def _pattern(text: str) -> tuple[str, Any]:
    name, given, pattern = text.partition("=")
    if not given or not name:
        raise typer.BadParameter(f"--argument {text}: write NAME=PATTERN")
    if not pattern.startswith("{"):
        return name, pattern
    try:
        return name, loads(pattern)
    except JSONDecodeError:
        raise typer.BadParameter(f"--argument {name}: what begins with a brace must be JSON") from None


def _spelled(call: dict[str, Any], limit: int | None = None) -> str:
    arguments = call["arguments"] if limit is None else short(call["arguments"], limit)
    return f"{call['name']}({arguments})" + (" [run by the client]" if call["client"] else "")


def _seconds_since(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def _left(approval: dict[str, Any]) -> str:
    seconds = -_seconds_since(approval["expires_at"])
    return _span(seconds) if seconds > 0 else "none"


def _span(seconds: float) -> str:
    """A length of time in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"
