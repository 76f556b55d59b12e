"""What a server lists of its models, remembered for a while: windows and abilities are looked up at every step."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from o.errors import ModelError

Entry = TypeVar("Entry")

# Seconds: how long a listing is believed, and not believed to lack a model: it may have been loaded a moment ago.
_TTL = 300.0
_LACK_TTL = 10.0
# Seconds: how long a request for a reply waits for a listing, and how long a server that could not be asked is left
# alone.
_TIMEOUT = 5.0
_RETRY = 30.0


class ListingCache(Generic[Entry]):
    """The models of one server by name; `entries` are those of the last listing, none before the first.

    Args:
        ask: asks the server. Raises ModelError.
    """

    def __init__(self, ask: Callable[[], Awaitable[Mapping[str, Entry]]]) -> None:
        self._ask = ask
        self.entries: Mapping[str, Entry] = {}
        self._asked_at = self._failed_at = -math.inf
        self._asking = asyncio.Lock()  # everybody who finds the listing too old waits for the same one

    async def refresh(self) -> Mapping[str, Entry]:
        """Ask now. Raises ModelError."""
        self.entries = await self._ask()
        self._asked_at = time.monotonic()
        return self.entries

    async def look_up(self, model: str) -> None:
        """See that what is known of a model is fresh. Who cannot be asked is left alone for a while, without a word."""
        async with self._asking:
            now = time.monotonic()
            ttl = _TTL if model in self.entries else _LACK_TTL
            if now - self._asked_at < ttl or now - self._failed_at < _RETRY:
                return
            try:
                async with asyncio.timeout(_TIMEOUT):
                    await self.refresh()
            except (ModelError, TimeoutError):
                self._failed_at = now  # whoever asks it for a reply will hear why
