"""What every provider is: a stream of model events for one request, or vectors for texts."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from o.domain.model import ModelEvent, ModelRequest


@dataclass(frozen=True, slots=True)
class Profile:
    """What one model can do, as data: code asks the profile, never the class of the provider.

    Attributes:
        context_window: tokens of prompt and reply together.
        max_output_tokens: most tokens of one reply.
        tools: `native` where the wire has tool calls, `schema` where they are asked for by a JSON schema.
    """

    context_window: int
    max_output_tokens: int
    tools: Literal["native", "schema"] = "native"
    parallel_tool_calls: bool = False
    reasoning: bool = False
    images: bool = False
    display_name: str | None = None


class Provider(Protocol):
    """One language-model service. Stateless towards O: everything a request needs is in it."""

    async def models(self) -> dict[str, Profile]:
        """The models that can be asked now, by the provider's own name.

        Raises:
            ModelError: the service cannot be asked.
        """
        ...

    async def profile(self, model: str) -> Profile:
        """What `model` can do, without asking the network where that is known or bounded.

        Raises:
            NotFound: this provider is certain that it has no such model.
        """
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Ask once. Yields deltas as they come and ends with exactly one `Finished`.

        Closing the iterator (`aclose`) closes the connection at once. No retries here: Temporal owns them.

        Raises:
            ModelError: typed; `retryable` and `retry_after` say what the caller's retry policy may do.
        """
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


class Embedder(Protocol):
    """One embedding model."""

    dimensions: int

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit-length vector of `dimensions` floats per text, in order.

        Raises:
            ModelError: typed as for `Provider.stream`.
        """
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
