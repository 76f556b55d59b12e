"""What the providers say they have: asked by a worker for the api, which holds no provider."""

from temporalio import activity

from activities.policy import failing
from o.contracts.models import EmbeddingCard, ModelCard, ModelCards
from o.providers.base import Profile
from o.providers.registry import Providers


class CatalogueActivities:
    """Look-ups among the providers; nothing is stored."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    @activity.defn(name="models.list")
    async def list_models(self) -> ModelCards:
        """All models that answer now; a provider that does not is left out."""
        profiles = await self._providers.models()
        return ModelCards(
            models=tuple(_card(handle, profile) for handle, profile in sorted(profiles.items())),
            embeddings=tuple(
                EmbeddingCard(handle=handle, dimensions=embedder.dimensions)
                for handle, embedder in sorted(self._providers.embedders().items())
            ),
        )

    @activity.defn(name="models.describe")
    async def describe(self, handle: str) -> ModelCard:
        """One model.

        Raises:
            ApplicationError: not_found, or invalid_argument for a handle without a slash.
        """
        with failing(for_good=False):
            return _card(handle, await self._providers.profile(handle))


def _card(handle: str, profile: Profile) -> ModelCard:
    return ModelCard(
        handle=handle,
        context_window=profile.context_window,
        max_output_tokens=profile.max_output_tokens,
        parallel_tool_calls=profile.parallel_tool_calls,
        reasoning=profile.reasoning,
        display_name=profile.display_name,
    )
