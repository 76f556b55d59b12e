"""Cancelling an effect that is under way: by NOTIFY within moments; Temporal's heartbeat is the fallback."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from o.errors import Cancelled
from o.store.listen import listen
from o.store.repositories.events import CANCEL_CHANNEL
from o.store.session import Store


class Cancellations:
    """The effects this worker has under way, by run; open one per process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stops: dict[str, set[Callable[[], None]]] = defaultdict(set)
        self.listening = asyncio.Event()

    async def listen(self) -> None:
        """Hear of cancelled runs until cancelled itself."""
        await listen(self._store, CANCEL_CHANNEL, self._heard, self.listening)

    def _heard(self, run_id: str) -> None:
        for stop in tuple(self._stops.get(run_id, ())):
            stop()

    @asynccontextmanager
    async def stoppable(self, run_id: str) -> AsyncIterator[None]:
        """Run the body until it is done or the run is cancelled.

        Raises:
            Cancelled: the run was cancelled. A cancellation by Temporal stays `asyncio.CancelledError`.
        """
        task = asyncio.current_task()
        assert task is not None  # activities are tasks
        asked = False

        def stop() -> None:
            nonlocal asked
            if not asked:
                asked = True
                task.cancel()

        self._stops[run_id].add(stop)
        try:
            yield
        except asyncio.CancelledError:
            if not asked:
                raise
            task.uncancel()
            raise Cancelled("the run was cancelled") from None
        finally:
            self._stops[run_id].discard(stop)
            if not self._stops[run_id]:
                del self._stops[run_id]
