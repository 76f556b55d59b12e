"""From a handle to those who serve it: an organisation's own providers and aliases, then what the environment names."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from o.contracts.models import Category, ProviderState
from o.errors import InvalidArgument, ModelError, NotFound
from o.keyring import Keyring, KeyUnusable
from o.providers.base import Listing, Profile
from o.providers.registry import Heard, Providers
from o.providers.spec import ProfileChange, ProviderSpec
from o.store.provider_records import ProviderRecord
from o.store.repositories.providers import Snapshot, key_context
from o.store.session import Store

# Seconds all embedding models of a listing together may take to say how long their vectors are.
_DIMENSIONS_TIMEOUT = 2.0

_KEYS_REMEMBERED = 1_000


Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Route:
    """One way to serve a handle. `model` is the provider's own name for the model."""

    spec: ProviderSpec
    model: str


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a handle: the model's profile, who serves it, and whose provider that is."""

    profile: Profile
    provider_type: str
    category: Category


@dataclass(frozen=True, slots=True)
class Catalog:
    """All that can be asked now, by handle: language models, and embedding models with their dimensions.

    `providers` are all of them, those that say nothing too.
    """

    models: Mapping[str, Card] = field(default_factory=dict)
    embeddings: Mapping[str, int] = field(default_factory=dict)
    providers: Sequence[ProviderState] = ()


class Routing:
    """The providers of every organisation, as its rows and the environment say.

    Args:
        keyring: opens the stored keys; None where there are none.
    """

    def __init__(self, store: Store, providers: Providers, keyring: Keyring | None = None) -> None:
        self._store = store
        self._providers = providers
        self._keyring = keyring
        self._opened: dict[tuple[str, str], str] = {}

    def routes(self, snapshot: Snapshot, handle: str) -> list[Route]:
        """The ways to serve a handle, the first choice first: its own, or those its alias names.

        Raises:
            InvalidArgument: a handle without a slash. NotFound, KeyUnusable: none of them leads to a provider.
        """
        own = {record.name: record for record in snapshot.providers}
        found: list[Route] = []
        missing: NotFound | KeyUnusable | None = None
        for target in snapshot.aliases.get(handle, (handle,)):
            try:
                found.append(self._route(target, own))
            except (NotFound, KeyUnusable) as error:
                missing = error
        if not found and missing is not None:
            raise missing
        return found

    async def models(self, org_id: str) -> Catalog:
        """What an organisation can ask now. A provider that fails, or takes 2 s, is left out."""
        snapshot = await self._snapshot(org_id)
        specs, states = self._specs(snapshot)
        heard = await asyncio.gather(*map(self._providers.listing, specs.values()))
        states += map(_state, specs.values(), heard)
        there = [(spec, said.listing) for spec, said in zip(specs.values(), heard, strict=True) if said.listing]
        models = {
            f"{spec.name}/{name}": _card(spec, profile)
            for spec, listing in there
            for name, profile in listing.language.items()
        }
        # All at once: one after the other, a few slow providers would take longer than the api waits.
        asked = await asyncio.gather(*(self._embeddings(spec, listing) for spec, listing in there))
        embeddings = {handle: dimensions for found in asked for handle, dimensions in found.items()}
        for alias, targets in snapshot.aliases.items():
            served = next((models[target] for target in targets if target in models), None)
            if served is not None:
                models[alias] = served
        return Catalog(models, embeddings, sorted(states, key=lambda state: state.name))

    async def describe(self, org_id: str, handle: str) -> Card:
        """What is known of one model; of an alias, of the first that can tell. Raises as `dimensions`."""

        async def card(route: Route) -> Card:
            async with self._providers.serving(route.spec) as provider:
                return _card(route.spec, await provider.profile(route.model))

        return await self._first(org_id, handle, card)

    async def dimensions(self, org_id: str, handle: str) -> int:
        """How long an embedding model's vectors are. Raises NotFound, InvalidArgument, ModelError."""
        return await self._first(org_id, handle, lambda route: self._providers.dimensions(route.spec, route.model))

    async def check(self, org_id: str, provider_id: str) -> int:
        """Ask a stored provider what it has, now; the number of its models. Raises NotFound, ModelError."""
        snapshot = await self._snapshot(org_id, provider_id)
        record = next((record for record in snapshot.providers if record.id == provider_id), None)
        if record is None:
            raise NotFound(f"There is no provider with the id '{provider_id}'")
        spec = self._spec(record)
        self._providers.forget(spec)
        async with self._providers.serving(spec) as provider:
            listing = await provider.models()
        return len(listing.language) + len(listing.embedding)

    async def forget(self, org_id: str) -> None:
        """Ask all providers of an organisation anew when next somebody wants to know what they have."""
        specs, _ = self._specs(await self._snapshot(org_id))
        for spec in specs.values():
            self._providers.forget(spec)

    async def _first(self, org_id: str, handle: str, tell: Callable[[Route], Awaitable[Told]]) -> Told:
        """What the first way to serve a handle tells that can; else the last one's error."""
        routes = self.routes(await self._snapshot(org_id), handle)
        for route in routes[:-1]:
            with suppress(ModelError, NotFound):
                return await tell(route)
        return await tell(routes[-1])

    async def _snapshot(self, org_id: str, draft: str | None = None) -> Snapshot:
        async with self._store.transaction(org_id) as tx:
            return await tx.providers.snapshot(draft=draft)

    async def _embeddings(self, spec: ProviderSpec, listing: Listing) -> dict[str, int]:
        """The provider's embedding models that say how long their vectors are."""
        asking = [asyncio.create_task(self._providers.dimensions(spec, name)) for name in listing.embedding]
        if not asking:
            return {}
        done, late = await asyncio.wait(asking, timeout=_DIMENSIONS_TIMEOUT)
        for task in late:
            task.cancel()
        found: dict[str, int] = {}
        for name, task in zip(listing.embedding, asking, strict=True):
            if task in done and not isinstance(task.exception(), ModelError | NotFound):
                found[f"{spec.name}/{name}"] = task.result()
        return found

    def _specs(self, snapshot: Snapshot) -> tuple[dict[str, ProviderSpec], list[ProviderState]]:
        """By name, an organisation's own before those of the environment; and those whose key does not open."""
        specs, locked = dict(self._providers.specs), []
        for record in snapshot.providers:
            specs.pop(record.name, None)
            try:
                specs[record.name] = self._spec(record)
            except KeyUnusable as error:
                locked.append(
                    ProviderState(
                        name=record.name,
                        provider_type=record.provider_type,
                        provider_category="byok",
                        code=error.code,
                        message=error.message,
                    )
                )
        return specs, locked

    def _route(self, handle: str, own: Mapping[str, ProviderRecord]) -> Route:
        name, _, model = handle.partition("/")
        if not name or not model:
            raise InvalidArgument(f"'{handle[:80]}' is no model handle: write provider/model, as in local/smollm2-135m")
        if (record := own.get(name)) is not None:
            return Route(self._spec(record), model)
        if (spec := self._providers.specs.get(name)) is None:
            known = ", ".join(sorted({*own, *self._providers.specs})) or "none"
            variable = self._providers.enabled_by.get(name)
            fix = f"; set {variable} for the workers to enable it" if variable else "; `o providers add` adds one"
            raise NotFound(f"there is no provider '{name[:40]}' (there are: {known}){fix}")
        return Route(spec, model)

    def _spec(self, record: ProviderRecord) -> ProviderSpec:
        """What a stored provider is made from.

        A row without key and address takes both from the environment's provider of its name. A row with an address
        never gets the environment's key: whoever writes rows could have it sent anywhere.
        """
        spec = self._providers.specs.get(record.name)
        if record.api_key is not None or record.base_url is not None or spec is None:
            spec = ProviderSpec.of_type(
                record.name,
                record.provider_type,
                base_url=record.base_url,
                api_key=self._key(record),
                key_from=f"the key of the provider '{record.name}' (`o providers rotate {record.name}`)",
                guarded=True,
            )
        return replace(
            spec,
            requests_per_minute=record.requests_per_minute,
            tokens_per_minute=record.tokens_per_minute,
            changes=tuple((model, ProfileChange.of(change)) for model, change in sorted(record.models.items())),
        )

    def _key(self, record: ProviderRecord) -> str | None:
        if record.api_key is None:
            return None
        known = (record.id, record.api_key)
        if known not in self._opened:
            if self._keyring is None:
                raise KeyUnusable("this worker has no key file, so it cannot open stored keys (O_KEY_FILE)")
            if len(self._opened) >= _KEYS_REMEMBERED:
                self._opened.clear()
            self._opened[known] = self._keyring.decrypt(record.api_key, context=key_context(record.id))
        return self._opened[known]


def _card(spec: ProviderSpec, profile: Profile) -> Card:
    return Card(profile, spec.preset or spec.wire, _category(spec))


def _state(spec: ProviderSpec, heard: Heard) -> ProviderState:
    listing = heard.listing or Listing()
    return ProviderState(
        name=spec.name,
        provider_type=spec.preset or spec.wire,
        provider_category=_category(spec),
        models=len(listing.language),
        embeddings=len(listing.embedding),
        code=heard.code,
        message=heard.message,
    )


def _category(spec: ProviderSpec) -> Category:
    return "byok" if spec.guarded else "base"
