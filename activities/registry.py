"""All activities, by the task queue they are polled from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import Client

from activities.agents import AgentCallActivities
from activities.cancellation import Cancellations
from activities.custom_tools import CustomTools
from activities.hand_runs import HandRuns
from activities.mcp import McpActivities
from activities.memory import MemoryActivities
from activities.model import ModelActivities
from activities.models import CatalogueActivities
from activities.routing import Routing
from activities.runs import RunActivities
from activities.tool_runs import ToolRunActivities, ToolRunner
from activities.tools import NativeTool, ToolActivities, Toolbox
from o.contracts.turn import Timing
from o.guard.policy import Guard
from o.keyring import Keyring
from o.mcp.base import Dialer
from o.mcp.line import Line
from o.mcp.sync import Sync
from o.mcp.tools import McpTools
from o.providers.registry import Providers
from o.store.session import Store
from o.temporal import Queue, StepStarter


@dataclass(frozen=True, slots=True)
class Deps:
    """What activities are made of; a worker builds one, and so do tests.

    Attributes:
        stale_after: seconds a run may go untouched before the reconciler looks at it.
        event_retention: seconds a run's events are kept after its end.
        tools: those that O runs itself, by name.
        custom: runs people's own tools; None refuses them.
        dialer: the way to MCP servers.
        tool_runner: runs tools that people run by hand, if not all of the above.
    """

    store: Store
    client: Client
    providers: Providers
    keyring: Keyring | None
    tools: Mapping[str, NativeTool]
    timing: Timing
    stale_after: float
    event_retention: float
    custom: CustomTools | None = None
    dialer: Dialer = field(default_factory=lambda: Dialer(Guard()))
    tool_runner: ToolRunner | None = None


def all_activities(deps: Deps, cancellations: Cancellations) -> dict[Queue, list[Callable[..., Any]]]:
    """The activities of each queue, as bound methods."""
    starter = StepStarter(deps.client, deps.timing)
    routing = Routing(deps.store, deps.providers, deps.keyring)
    model = ModelActivities(deps.store, deps.providers, routing, starter, cancellations)
    memory = MemoryActivities(deps.store)
    catalogue = CatalogueActivities(routing)
    agents = AgentCallActivities(deps.store, starter)
    line = Line(deps.store, deps.dialer, deps.keyring)
    toolbox = Toolbox(deps.tools, deps.custom, McpTools(deps.store, line), deps.timing.tool)
    tools = ToolActivities(deps.store, toolbox, deps.keyring, cancellations)
    by_hand = deps.tool_runner or HandRuns(deps.store, toolbox, deps.keyring)
    tool_runs = ToolRunActivities(deps.store, deps.keyring, by_hand, cancellations)
    mcp = McpActivities(deps.store, Sync(deps.store, line), deps.dialer.guard, deps.keyring)
    runs = RunActivities(deps.store, deps.client, starter, stale_after=deps.stale_after, keep=deps.event_retention)
    return {
        Queue.AGENT: [
            model.complete,
            memory.edit,
            agents.ask,
            agents.collect,
            runs.advance,
            runs.close,
            catalogue.list_models,
            catalogue.describe,
            catalogue.describe_embedding,
            catalogue.check,
        ],
        Queue.TOOLS: [tools.run, tool_runs.run, mcp.sync, mcp.begin_sign_in, mcp.finish_sign_in],
        Queue.BACKGROUND: [runs.reconcile],
    }
