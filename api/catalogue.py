"""Which models there are, as far as this process has heard: asked of a worker, remembered for a while."""

import time
from typing import Protocol

from o.contracts.models import EmbeddingCard, ModelCard, ModelCards
from o.errors import InvalidArgument, NotFound

# Seconds: lists change when a provider is configured, which is rare; a card that was found stays true.
_LIST_TTL = 60.0
_CARD_TTL = 600.0


class CardSource(Protocol):
    """Whoever can ask the providers."""

    async def model_cards(self) -> ModelCards:
        """All models that answer now. Raises Unavailable."""
        ...

    async def model_card(self, handle: str) -> ModelCard:
        """One model. Raises NotFound, InvalidArgument (no `provider/model`), Unavailable."""
        ...


class Catalogue:
    """Cards by handle. Nothing is remembered of a handle that was not found."""

    def __init__(self, source: CardSource) -> None:
        self._source = source
        self._cards: dict[str, tuple[float, ModelCard]] = {}
        self._lists: tuple[float, ModelCards] | None = None

    async def all(self) -> ModelCards:
        """Raises Unavailable."""
        now = time.monotonic()
        if self._lists is None or now - self._lists[0] > _LIST_TTL:
            self._lists = now, await self._source.model_cards()
        return self._lists[1]

    async def model(self, handle: str) -> ModelCard:
        """The card of a model. Raises NotFound, InvalidArgument (the handle has no slash), Unavailable."""
        if "/" not in handle.strip("/"):
            raise InvalidArgument(f"model: '{handle[:100]}' is no handle; write it as provider/model-name")
        now = time.monotonic()
        known = self._cards.get(handle)
        if known is None or now - known[0] > _CARD_TTL:
            known = now, await self._source.model_card(handle)
            self._cards[handle] = known
        return known[1]

    async def embedding(self, handle: str) -> EmbeddingCard:
        """The card of an embedding model. Raises as `model` does."""
        if "/" not in handle.strip("/"):
            raise InvalidArgument(f"embedding: '{handle[:100]}' is no handle; write it as provider/model-name")
        cards = (await self.all()).embeddings
        found = next((card for card in cards if card.handle == handle), None)
        if found is None:
            known = ", ".join(card.handle for card in cards) or "none"
            raise NotFound(f"embedding: there is no embedding model '{handle[:100]}'; known are: {known}")
        return found
