"""All activities, by the task queue they are polled from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client

from activities.cancellation import Cancellations
from activities.memory import MemoryActivities
from activities.model import ModelActivities
from activities.models import CatalogueActivities
from activities.routing import Routing
from activities.runs import RunActivities
from activities.tools import NativeTool, ToolActivities
from o.contracts.turn import Timing
from o.keyring import Keyring
from o.providers.registry import Providers
from o.store.session import Store
from o.temporal import Queue, StepStarter


@dataclass(frozen=True, slots=True)
class Deps:
    """What activities are made of; a worker builds one, and so do tests.

    Attributes:
        stale_after: seconds a run may go untouched before the reconciler looks at it.
        event_retention: seconds a run's events are kept after its end.
    """

    store: Store
    client: Client
    providers: Providers
    keyring: Keyring | None
    tools: Mapping[str, NativeTool]
    timing: Timing
    stale_after: float
    event_retention: float


def all_activities(deps: Deps, cancellations: Cancellations) -> dict[Queue, list[Callable[..., Any]]]:
    """The activities of each queue, as bound methods."""
    starter = StepStarter(deps.client, deps.timing)
    routing = Routing(deps.store, deps.providers, deps.keyring)
    model = ModelActivities(deps.store, deps.providers, routing, starter, cancellations)
    memory = MemoryActivities(deps.store)
    catalogue = CatalogueActivities(routing)
    tools = ToolActivities(deps.store, deps.tools, cancellations)
    runs = RunActivities(deps.store, deps.client, starter, stale_after=deps.stale_after, keep=deps.event_retention)
    return {
        Queue.AGENT: [
            model.complete,
            memory.edit,
            runs.advance,
            runs.close,
            catalogue.list_models,
            catalogue.describe,
            catalogue.describe_embedding,
            catalogue.check,
        ],
        Queue.TOOLS: [tools.run],
        Queue.BACKGROUND: [runs.reconcile],
    }
