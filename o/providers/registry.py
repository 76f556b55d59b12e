"""From a handle (`provider/model`) to the provider that serves it."""

import asyncio
from collections.abc import Mapping

from o.errors import InvalidArgument, ModelError, NotFound
from o.providers.base import Embedder, Profile, Provider

_LISTING_TIMEOUT = 2.0  # seconds a provider may take to list its models
_ENABLED_BY = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "groq": "GROQ_API_KEY"}


class Providers:
    """The providers and embedders of this process.

    Args:
        providers: by name, the part of a handle before its first slash.
        embedders: by whole handle.
    """

    def __init__(self, providers: Mapping[str, Provider], embedders: Mapping[str, Embedder]) -> None:
        self._providers = dict(providers)
        self._embedders = dict(embedders)

    def resolve(self, handle: str) -> tuple[Provider, str]:
        """The provider of a handle, and its own name of the model.

        Raises:
            InvalidArgument: the handle has no slash, or nothing on one side of it.
            NotFound: no such provider here.
        """
        name, _, model = handle.partition("/")
        if not name or not model:
            raise InvalidArgument(f"'{handle[:80]}' is no model handle: write provider/model, as in local/smollm2-135m")
        if (provider := self._providers.get(name)) is None:
            known = ", ".join(sorted(self._providers)) or "none"
            fix = f"; set {_ENABLED_BY[name]} to enable it" if name in _ENABLED_BY else ""
            raise NotFound(f"there is no provider '{name[:40]}' (there are: {known}){fix}")
        return provider, model

    async def profile(self, handle: str) -> Profile:
        """Raises: InvalidArgument, NotFound, ModelError, as `resolve` and `Provider.profile` do."""
        provider, model = self.resolve(handle)
        return await provider.profile(model)

    async def models(self) -> dict[str, Profile]:
        """All models that can be asked now, by handle. A provider that fails, or takes 2 s, is left out."""

        async def listed(name: str, provider: Provider) -> dict[str, Profile]:
            try:
                async with asyncio.timeout(_LISTING_TIMEOUT):
                    models = await provider.models()
            except (ModelError, TimeoutError):
                return {}
            return {f"{name}/{model}": profile for model, profile in models.items()}

        found = await asyncio.gather(*(listed(name, provider) for name, provider in self._providers.items()))
        return {handle: profile for models in found for handle, profile in models.items()}

    def embedder(self, handle: str) -> Embedder:
        """Raises: NotFound."""
        if (embedder := self._embedders.get(handle)) is None:
            known = ", ".join(sorted(self._embedders)) or "none"
            raise NotFound(f"there is no embedding model '{handle[:80]}' (there are: {known})")
        return embedder

    def embedders(self) -> Mapping[str, Embedder]:
        """All embedding models, by handle."""
        return self._embedders

    async def close(self) -> None:
        """Close every provider and embedder; all are closed even if one fails, whose error is then raised."""
        parts: list[Provider | Embedder] = [*self._providers.values(), *self._embedders.values()]
        outcomes = await asyncio.gather(*(part.close() for part in parts), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
