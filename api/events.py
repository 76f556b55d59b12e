"""Who waits for which run: one LISTEN connection per process wakes the readers of run events."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

from o.store.listen import listen
from o.store.repositories.events import RUN_CHANNEL
from o.store.session import Store

# Seconds after which a reader looks by itself: a notification may be lost with its connection.
LOOK_AGAIN = 2.0


class Wakeup:
    """Tells one reader that its run has new events."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, timeout: float = LOOK_AGAIN) -> None:
        """Return when there may be something new, at the latest after `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._event.wait()
        self._event.clear()


class RunEvents:
    """The hub. Enter it once per process; readers subscribe before they read, so that nothing is missed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, set[Wakeup]] = {}
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "RunEvents":
        listening = asyncio.Event()
        self._listener = asyncio.create_task(listen(self._store, RUN_CHANNEL, self._heard, listening))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listener is not None  # entered before left
        self._listener.cancel()
        with suppress(asyncio.CancelledError):
            await self._listener

    @contextmanager
    def follow(self, run_id: str) -> Iterator[Wakeup]:
        """A wakeup for the events of one run, for as long as the context is open."""
        wakeup = Wakeup()
        self._waiting.setdefault(run_id, set()).add(wakeup)
        try:
            yield wakeup
        finally:
            waiting = self._waiting[run_id]
            waiting.discard(wakeup)
            if not waiting:
                del self._waiting[run_id]

    def _heard(self, run_id: str) -> None:
        # Nothing named: the connection is new, and what was notified without it is lost. Everybody looks once.
        for waiting in [self._waiting.get(run_id, ())] if run_id else tuple(self._waiting.values()):
            for wakeup in waiting:
                wakeup.set()
