"""What the providers say they have: asked by a worker for the api, which holds no provider."""

import asyncio

from temporalio import activity

from activities.policy import failing
from activities.routing import Card, Routing
from o.contracts.models import (
    CheckInput,
    EmbeddingCard,
    ModelCard,
    ModelCards,
    ModelInput,
    ModelsInput,
    ProviderCheck,
)
from o.errors import ModelError, ModelTimeout
from o.keyring import KeyUnusable

# Seconds in which a provider that is tried, or an embedding model that was never asked, must answer: less than the
# activity may take, so that the answer says who was too slow.
_PATIENCE = 8.0


class CatalogueActivities:
    """Look-ups among the providers of an organisation; nothing is stored."""

    def __init__(self, routing: Routing) -> None:
        self._routing = routing

    @activity.defn(name="models.list")
    async def list_models(self, asked: ModelsInput) -> ModelCards:
        """All models that answer now; a provider that does not is left out."""
        with failing(for_good=False):
            if asked.fresh:
                await self._routing.forget(asked.org_id)
            found = await self._routing.models(asked.org_id)
            return ModelCards(
                models=tuple(_card(handle, card) for handle, card in sorted(found.models.items())),
                embeddings=tuple(
                    EmbeddingCard(handle=handle, dimensions=dimensions)
                    for handle, dimensions in sorted(found.embeddings.items())
                ),
                providers=tuple(found.providers),
            )

    @activity.defn(name="models.describe")
    async def describe(self, asked: ModelInput) -> ModelCard:
        """One model.

        Raises:
            ApplicationError: not_found, invalid_argument for a handle without a slash, or a model's failure.
        """
        with failing(for_good=False):
            return _card(asked.handle, await self._routing.describe(asked.org_id, asked.handle))

    @activity.defn(name="models.describe_embedding")
    async def describe_embedding(self, asked: ModelInput) -> EmbeddingCard:
        """One embedding model; it is asked for a vector if nobody knows yet how long they are. Raises as `describe`."""
        with failing(for_good=False):
            try:
                async with asyncio.timeout(_PATIENCE):
                    dimensions = await self._routing.dimensions(asked.org_id, asked.handle)
            except TimeoutError as error:
                raise ModelTimeout(f"the embedding model '{asked.handle[:100]}' did not answer in time") from error
            return EmbeddingCard(handle=asked.handle, dimensions=dimensions)

    @activity.defn(name="providers.check")
    async def check(self, asked: CheckInput) -> ProviderCheck:
        """Ask a stored provider what it has, with its key. What it does wrong is the answer, not an error.

        Raises:
            ApplicationError: not_found.
        """
        with failing(for_good=False):
            try:
                async with asyncio.timeout(_PATIENCE):
                    models = await self._routing.check(asked.org_id, asked.provider_id)
            except TimeoutError:
                late = ModelTimeout("the provider did not say in time which models it has")
                return ProviderCheck(ok=False, code=late.code, message=late.message)
            except (ModelError, KeyUnusable) as error:
                return ProviderCheck(ok=False, code=error.code, message=error.message)
            return ProviderCheck(ok=True, models=models)


def _card(handle: str, card: Card) -> ModelCard:
    profile = card.profile
    return ModelCard(
        handle=handle,
        context_window=profile.context_window,
        max_output_tokens=profile.max_output_tokens,
        parallel_tool_calls=profile.parallel_tool_calls,
        reasoning=profile.reasoning,
        display_name=profile.display_name,
        images=profile.images,
        tools=profile.tools,
        structured=profile.structured,
        price=profile.price,
        provider_type=card.provider_type,
        provider_category=card.category,
    )
