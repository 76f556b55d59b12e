"""The providers of this process: built when first needed, asked what they have no more often than is useful."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from o.errors import ModelBadRequest, ModelError, ModelTimeout, NotFound
from o.providers.base import Listing, Provider
from o.providers.spec import ProviderSpec

log = logging.getLogger(__name__)

Builder = Callable[[ProviderSpec], Provider]

# Seconds: how long somebody who wants to know what a provider has waits for it, and how long it is listened to: its SDK
# may have to be loaded first.
_LISTING_WAIT = 2.0
_LISTING_TIMEOUT = 15.0
# Seconds that is believed, and that a provider which says nothing is left alone.
_LISTING_TTL = 60.0
_SILENCE_TTL = 30.0

# Built providers that are kept; each holds connections and certificates, about a megabyte.
_KEPT = 64


@dataclass(slots=True)
class _Built:
    """A provider, and how many use it now."""

    provider: Provider
    uses: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """What a provider said it has; or None, and why: the error's code and its words."""

    listing: Listing | None = None
    code: str | None = None
    message: str | None = None
    until: float = 0.0


class Providers:
    """Providers by what they are made from.

    Args:
        specs: those that every organisation has; built when first used.
        builders: how to build one, by its wire.
        enabled_by: the environment variable that enables a provider, by its name, for messages.
    """

    def __init__(
        self,
        specs: Iterable[ProviderSpec],
        builders: Mapping[str, Builder],
        enabled_by: Mapping[str, str] | None = None,
    ) -> None:
        self._builders = builders
        self.enabled_by = enabled_by or {}
        self._built: dict[ProviderSpec, _Built] = {}
        self._specs = {spec.name: spec for spec in specs}
        self._heard: dict[ProviderSpec, Heard] = {}
        self._asking: dict[ProviderSpec, asyncio.Task[Heard]] = {}
        self._dimensions: dict[tuple[ProviderSpec, str], int] = {}

    @property
    def specs(self) -> Mapping[str, ProviderSpec]:
        """What every organisation has, by name."""
        return self._specs

    @asynccontextmanager
    async def serving(self, spec: ProviderSpec) -> AsyncIterator[Provider]:
        """The provider of a spec, kept open until the block ends.

        Raises:
            NotFound: nobody here speaks its wire.
            ModelBadRequest: its address is none.
        """
        built = self._built.pop(spec, None) or _Built(self._build(spec))
        self._built[spec] = built  # at the end: the longest unused is first
        built.uses += 1
        try:
            yield built.provider
        finally:
            built.uses -= 1
            await self._close_unused()

    async def listing(self, spec: ProviderSpec) -> Heard:
        """What a provider said it has within the last minute. Takes 2 s at most; who is slower is still listened to."""
        heard = self._heard.get(spec)
        if heard is not None and time.monotonic() < heard.until:
            return heard
        if spec not in self._asking:  # everybody who asks meanwhile waits for the same answer
            self._asking[spec] = asyncio.create_task(self._ask(spec))
        asking = self._asking[spec]
        await asyncio.wait({asking}, timeout=_LISTING_WAIT)
        if asking.done():
            return asking.result()
        if heard is not None and heard.listing is not None:
            return heard
        return Heard(code=ModelTimeout.code, message=f"{spec.name} has not said yet what it has")

    async def dimensions(self, spec: ProviderSpec, model: str) -> int:
        """How long an embedding model's vectors are. Raises NotFound, ModelError."""
        if (spec, model) not in self._dimensions:
            async with self.serving(spec) as provider:
                self._dimensions[spec, model] = await provider.embedder(model).dimensions()
        return self._dimensions[spec, model]

    def forget(self, spec: ProviderSpec) -> None:
        """Ask the provider anew when next somebody wants to know what it has."""
        self._heard.pop(spec, None)

    async def close(self) -> None:
        """Close every provider; all are closed even if one fails, whose error is then raised."""
        for task in self._asking.values():
            task.cancel()
        outcomes = await asyncio.gather(
            *self._asking.values(), *(built.provider.close() for built in self._built.values()), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def _build(self, spec: ProviderSpec) -> Provider:
        if (builder := self._builders.get(spec.wire)) is None:
            raise NotFound(f"nobody here speaks the wire of the provider '{spec.name}' ({spec.wire})")
        try:
            return builder(spec)
        except ValueError:  # what the libraries raise at an address, which may hold a password
            raise ModelBadRequest(f"the provider '{spec.name}' has an address that is no URL") from None

    async def _ask(self, spec: ProviderSpec) -> Heard:
        try:
            async with asyncio.timeout(_LISTING_TIMEOUT), self.serving(spec) as provider:
                heard = Heard(await provider.models(), until=time.monotonic() + _LISTING_TTL)
        except (ModelError, NotFound, TimeoutError) as error:
            known = ModelTimeout(f"{spec.name} did not say what it has") if isinstance(error, TimeoutError) else error
            heard = Heard(code=known.code, message=known.message, until=time.monotonic() + _SILENCE_TTL)
        finally:
            del self._asking[spec]
        self._heard[spec] = heard
        return heard

    async def _close_unused(self) -> None:
        """Close the longest unused while there are too many."""
        idle = [spec for spec, built in self._built.items() if built.uses == 0]
        for spec in idle[: max(0, len(self._built) - _KEPT)]:
            built = self._built.pop(spec)
            self._heard.pop(spec, None)
            for known in [known for known in self._dimensions if known[0] == spec]:
                del self._dimensions[known]
            try:
                await built.provider.close()
            except ModelError as error:  # whoever used another provider just now has nothing to do with it
                log.warning("the provider '%s' did not close in order (%s)", spec.name, error.code)
