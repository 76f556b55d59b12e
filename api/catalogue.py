"""Which models there are, as far as this process has heard: asked of a worker, remembered for a while."""

import asyncio
import time
from typing import Protocol

from o.contracts.models import EmbeddingCard, ModelCard, ModelCards
from o.errors import InvalidArgument, NotFound

# Seconds: lists change when a provider is configured, which is rare; a card that was found stays true.
_LIST_TTL = 60.0
_PARTIAL_TTL = 3.0  # of a list in which somebody is missing, who may answer soon
_CARD_TTL = 600.0

# Organisations, and cards of one, that are remembered.
_ORGANISATIONS = 1_000
_CARDS = 1_000


class CardSource(Protocol):
    """Whoever can ask the providers. Everything may raise Unavailable."""

    async def model_cards(self, org_id: str, *, fresh: bool = False) -> ModelCards:
        """All models that answer now; `fresh` asks the providers whatever they said lately."""
        ...

    async def model_card(self, org_id: str, handle: str) -> ModelCard:
        """One model. Raises NotFound, InvalidArgument (no `provider/model`), ModelError."""
        ...

    async def embedding_card(self, org_id: str, handle: str) -> EmbeddingCard:
        """One embedding model. Raises as `model_card` does."""
        ...


class Catalogue:
    """The cards of one organisation by handle. Nothing is remembered of a handle that was not found."""

    def __init__(self, source: CardSource, org_id: str) -> None:
        self._source = source
        self._org_id = org_id
        self._models: dict[str, tuple[float, ModelCard]] = {}
        self._embeddings: dict[str, tuple[float, EmbeddingCard]] = {}
        self._lists: tuple[float, ModelCards] | None = None
        self._listing = asyncio.Lock()  # who finds the list too old waits for the same new one

    async def all(self, *, fresh: bool = False) -> ModelCards:
        """All models that answer now. Raises Unavailable."""
        async with self._listing:
            if fresh or self._lists is None or time.monotonic() > self._lists[0]:
                cards = await self._source.model_cards(self._org_id, fresh=fresh)
                whole = all(provider.code is None for provider in cards.providers)
                self._lists = time.monotonic() + (_LIST_TTL if whole else _PARTIAL_TTL), cards
            return self._lists[1]

    async def model(self, handle: str) -> ModelCard:
        """The card of a model. Raises NotFound, InvalidArgument (the handle has no slash), ModelError, Unavailable."""
        _check(handle, "model")
        now = time.monotonic()
        known = self._models.get(handle)
        if known is None or now - known[0] > _CARD_TTL:
            known = now, await self._source.model_card(self._org_id, handle)
            if len(self._models) >= _CARDS:
                self._models.clear()
            self._models[handle] = known
        return known[1]

    async def embedding(self, handle: str) -> EmbeddingCard:
        """The card of an embedding model, asked for by itself if no list names it. Raises as `model` does."""
        _check(handle, "embedding")
        now = time.monotonic()
        known = self._embeddings.get(handle)
        if known is None or now - known[0] > _CARD_TTL:
            listed = next((card for card in self._listed() if card.handle == handle), None)
            known = now, listed or await self._asked(handle)
            if len(self._embeddings) >= _CARDS:
                self._embeddings.clear()
            self._embeddings[handle] = known
        return known[1]

    async def _asked(self, handle: str) -> EmbeddingCard:
        try:
            return await self._source.embedding_card(self._org_id, handle)
        except NotFound as error:
            raise NotFound(f"embedding: {error.message}") from error

    def _listed(self) -> tuple[EmbeddingCard, ...]:
        """The embedding models of the last list; one that answered then is not asked again."""
        return () if self._lists is None else self._lists[1].embeddings


class Catalogues:
    """The catalogue of each organisation that asked lately."""

    def __init__(self, source: CardSource) -> None:
        self._source = source
        self._known: dict[str, Catalogue] = {}

    def of(self, org_id: str) -> Catalogue:
        if (found := self._known.get(org_id)) is None:
            if len(self._known) >= _ORGANISATIONS:
                self._known.clear()
            found = self._known[org_id] = Catalogue(self._source, org_id)
        return found

    def forget(self, org_id: str) -> None:
        """Its providers or aliases have changed: what was heard of them holds no longer."""
        self._known.pop(org_id, None)


def _check(handle: str, field: str) -> None:
    if "/" not in handle.strip("/"):
        raise InvalidArgument(f"{field}: '{handle[:100]}' is no handle; write it as provider/model-name")
