"""A worker process: one Temporal worker per task queue, until it is told to stop."""

import asyncio
import logging
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.base_tools import NATIVE_TOOLS
from activities.cancellation import Cancellations
from activities.registry import Deps, all_activities
from activities.tools import NativeTool
from o.settings import Settings
from o.temporal import Queue, prepare
from workers.deps import open_deps
from workflows.registry import ALL_WORKFLOWS

# How many activities of a queue one process runs at once: model requests wait for the network, so there may be many.
_SLOTS = {Queue.AGENT: 200, Queue.TOOLS: 50, Queue.BACKGROUND: 20}

# A dead worker's workflow tasks go to another one after this long; a step is cheap to replay.
_STICKY = timedelta(seconds=1)

# Time for running activities to end after a stop was asked for; what is cut off is tried again elsewhere.
_GRACE = timedelta(seconds=8)

# Modules that workflows may share with the worker: pure values and the activities they only name.
_PASSED_THROUGH = ("o", "activities", "temporalio", "pydantic", "pydantic_core", "annotated_types")

log = logging.getLogger(__name__)


def build_workers(deps: Deps, cancellations: Cancellations, queues: Sequence[Queue]) -> list[Worker]:
    """One worker per queue. Workflows run on the queue they are started on."""
    activities = all_activities(deps, cancellations)
    runner = SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*_PASSED_THROUGH)
    )
    return [
        Worker(
            deps.client,
            task_queue=queue,
            workflows=[] if queue == Queue.TOOLS else ALL_WORKFLOWS,
            activities=activities[queue],
            workflow_runner=runner,
            max_concurrent_activities=_SLOTS[queue],
            graceful_shutdown_timeout=_GRACE,
            sticky_queue_schedule_to_start_timeout=_STICKY,
        )
        for queue in queues
    ]


async def serve(
    settings: Settings, queues: Sequence[Queue] = tuple(Queue), tools: Mapping[str, NativeTool] = NATIVE_TOOLS
) -> None:
    """Work until SIGTERM or SIGINT.

    Raises:
        Unavailable: Temporal does not answer at start; later losses are waited out.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        deps = await stack.enter_async_context(open_deps(settings, tools))
        await prepare(deps.client, reconcile_every=settings.reconcile_every)
        cancellations = Cancellations(deps.store)
        listening = asyncio.create_task(cancellations.listen())
        stack.push_async_callback(_ended, listening)
        for worker in build_workers(deps, cancellations, queues):
            await stack.enter_async_context(worker)
        log.info("working on %s", ", ".join(queues))
        await stopped.wait()
        log.info("stopping")


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
