"""A worker in the test's own process, over a real engine and a database of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.base_tools import NATIVE_TOOLS
from activities.cancellation import Cancellations
from activities.registry import Deps
from activities.tools import NativeTool
from o.contracts.turn import StepRef, Timing
from o.providers.registry import Providers
from o.providers.scripted import ScriptedProvider
from o.store import queue
from o.store.records import RunRecord
from o.store.session import Store
from o.temporal import Queue, StepStarter
from workers.worker import build_workers

TIMING = Timing(heartbeat=1.0, model=30.0, tool=30.0)


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

    def requests(self) -> int:
        return len(self.journal.read_text().splitlines()) if self.journal.exists() else 0


@asynccontextmanager
async def workers_of(
    store: Store, client: Client, journal: Path, tools: dict[str, NativeTool], stale_after: float = 0.0
) -> AsyncIterator[None]:
    providers = Providers({"scripted": ScriptedProvider(journal=journal)}, {})
    deps = Deps(store, client, providers, tools, TIMING, stale_after, 3600.0)
    cancellations = Cancellations(store)
    listening = asyncio.create_task(cancellations.listen())
    async with AsyncExitStack() as stack:
        for worker in build_workers(deps, cancellations, tuple(Queue)):
            await stack.enter_async_context(worker)
        await cancellations.listening.wait()
        yield
    listening.cancel()


@pytest.fixture
async def engine(store: Store, client: Client, tmp_path: Path) -> AsyncIterator[Engine]:
    built = Engine(store, client, StepStarter(client, TIMING), tmp_path / "journal", dict(NATIVE_TOOLS))
    async with workers_of(store, client, built.journal, built.tools):
        yield built
