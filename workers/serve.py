"""A worker process: workers on its queues until it is told to stop."""

import asyncio
import logging
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress

from activities.cancellation import Cancellations
from activities.tools import NativeTool
from o.settings import Settings
from o.temporal import Queue, prepare
from workers.deps import open_deps
from workers.worker import build_workers

log = logging.getLogger(__name__)


async def serve(
    settings: Settings, queues: Sequence[Queue] = tuple(Queue), tools: Mapping[str, NativeTool] | None = None
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
