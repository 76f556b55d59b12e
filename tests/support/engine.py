"""The real engine for tests in one process: a namespace of the test's own, and workers in the test's loop."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client

from activities.cancellation import Cancellations
from activities.custom_tools import CustomTools
from activities.registry import Deps
from activities.tool_runs import ToolRunner
from activities.tools import NativeTool
from o.contracts.turn import StepRef, Timing
from o.domain.json import JsonObject
from o.guard.policy import Guard, parse_allowed
from o.keyring import Keyring
from o.mcp.base import Dialer
from o.providers.local import LocalProvider
from o.providers.registry import Providers
from o.providers.spec import ProviderSpec
from o.store import queue
from o.store.records import RunRecord
from o.store.session import Store
from o.temporal import Queue, StepStarter, connect, prepare
from workers.vendors import builders
from workers.worker import build_workers

TIMING = Timing(heartbeat=1.0, model=30.0, tool=30.0, patience=45.0)
_DAY = Duration(seconds=86400)


def script(*turns: JsonObject) -> str:
    """A message that tells the model `scripted/json` what to answer."""
    return json.dumps({"turns": list(turns)})


async def own_client(address: str) -> Client:
    """A client of a prepared namespace that no other test's worker polls. Nothing closes it: it goes with the loop."""
    namespace = f"test-{uuid.uuid4().hex}"
    admin = await connect(address, "default")
    await admin.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=_DAY)
    )
    client = await connect(address, namespace)
    await prepare(client, reconcile_every=3600)
    return client


@dataclass
class Engine:
    """The store, the engine's client, and a starter of steps."""

    store: Store
    client: Client
    starter: StepStarter
    journal: Path
    tools: dict[str, NativeTool] = field(default_factory=dict)

    async def accept(self, asked: queue.TurnRequest) -> queue.Accepted:
        async with self.store.transaction() as tx:
            accepted = await queue.accept(tx, asked)
        if accepted.start is not None:
            await self.starter.start(accepted.start)
        return accepted

    async def ended(self, run_id: str, deadline: float = 30.0) -> RunRecord:
        """Wait until the run has ended."""
        async with asyncio.timeout(deadline):
            while True:
                async with self.store.transaction() as tx:
                    run = await tx.runs.get(run_id)
                if run.completed_at is not None:
                    return run
                await asyncio.sleep(0.02)

    async def closed(self, at: StepRef) -> None:
        """Wait until the step's workflow has closed."""
        await self.client.get_workflow_handle(at.workflow_id).result()

    async def asked(self, count: int, deadline: float = 30.0) -> None:
        """Wait until the scripted model has had so many requests."""
        async with asyncio.timeout(deadline):
            while self.requests() < count:
                await asyncio.sleep(0.02)

    def requests(self) -> int:
        """How many requests the scripted model has had."""
        return len(self.journal.read_text().splitlines()) if self.journal.exists() else 0


@asynccontextmanager
async def workers_of(
    store: Store,
    client: Client,
    journal: Path,
    tools: dict[str, NativeTool],
    stale_after: float = 0.0,
    *,
    queues: Sequence[Queue] = tuple(Queue),
    specs: Sequence[ProviderSpec] = (),
    local_model: Path = Path("/nonexistent/model.sock"),
    keyring: Keyring | None = None,
    tool_runner: ToolRunner | None = None,
    dialer: Dialer | None = None,
    custom: CustomTools | None = None,
) -> AsyncIterator[None]:
    """Workers on these queues, with the scripted model and whatever else is given, until the block ends."""
    built = builders(Guard(parse_allowed("127.0.0.0/8")), lambda: LocalProvider(local_model), journal)
    providers = Providers([ProviderSpec("scripted", "scripted"), *specs], built)
    deps = Deps(
        *(store, client, providers, keyring, tools, TIMING, stale_after, 3600.0),
        custom=custom,
        dialer=dialer or Dialer(Guard()),
        tool_runner=tool_runner,
    )
    cancellations = Cancellations(store)
    listening = asyncio.create_task(cancellations.listen())
    async with AsyncExitStack() as stack:
        stack.push_async_callback(providers.close)
        for worker in build_workers(deps, cancellations, queues):
            await stack.enter_async_context(worker)
        await cancellations.listening.wait()
        yield
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
