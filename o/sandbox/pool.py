"""Idle children that are started, confined and loaded already. Each serves exactly one call."""

import asyncio
from collections import deque
from contextlib import suppress

from o.sandbox.base import CodeCall, Limits, SandboxUnavailable
from o.sandbox.launch import Launch, Launcher
from o.sandbox.process import Sandboxed

_PRECEDENCE = 0.02  # seconds; most calls are over by then


class Pool:
    """Keeps `size` children of the ordinary shape waiting.

    Args:
        limits: what they are started with; a call may lower most of it.
    """

    def __init__(self, launcher: Launcher, limits: Limits, size: int) -> None:
        self._launcher = launcher
        self._limits = limits
        self._size = size
        self._idle: deque[Sandboxed] = deque()
        self._filling: asyncio.Task[None] | None = None
        self._closed = False

    async def take(self, call: CodeCall) -> Sandboxed | None:
        """A waiting child that fits the call, or None: then one must be started for it."""
        if not self._fits(call):
            return None
        while self._idle:
            child = self._idle.popleft()
            if not child.ended.is_set():
                return child
            await child.gone()
        return None

    def fill(self) -> None:
        """Start what is missing, in the background and a moment later: the call that is under way goes first."""
        if not self._closed and (self._filling is None or self._filling.done()):
            self._filling = asyncio.create_task(self._fill())

    async def filled(self) -> None:
        """Wait until nothing is being started any more."""
        if self._filling is not None:
            await asyncio.gather(self._filling, return_exceptions=True)

    async def close(self) -> None:
        """Kill all that wait."""
        self._closed = True
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        while self._idle:
            child = self._idle.popleft()
            child.kill()
            await child.gone()

    async def _fill(self) -> None:
        await asyncio.sleep(_PRECEDENCE)
        with suppress(SandboxUnavailable):  # the next call starts its own, and is told
            while len(self._idle) < self._size:
                self._idle.append(await self._launcher.start(Launch(limits=self._limits)))

    def _fits(self, call: CodeCall) -> bool:
        """Whether the call's needs can be met by lowering limits alone."""
        mine, its = self._limits, call.limits
        ordinary = call.language == "python" and call.libraries is None and call.egress is None
        return (
            ordinary
            and its.disk == mine.disk
            and all(getattr(its, name) <= getattr(mine, name) for name in ("cpu", "memory", "processes", "open_files"))
        )
