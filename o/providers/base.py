"""What every provider is: model events for a request, vectors for texts, and what it knows of its models."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from o.domain.model import ModelEvent, ModelRequest
from o.domain.price import Price


@dataclass(frozen=True, slots=True)
class Profile:
    """What one model can do, as data: code asks the profile, never the class of the provider.

    Attributes:
        context_window: tokens of prompt and reply together.
        max_output_tokens: most tokens of one reply.
        tools: `native` where the wire has tool calls, `schema` where they are asked for by a JSON schema.
        reasoning: whether it can think aloud.
        begins_thinking: whether its replies begin in the middle of a thought that `</think>` ends, because its chat
            template wrote the beginning.
        images: whether it sees.
        structured: the strictest form its replies can be held to.
        sampling: whether it takes a temperature and its like; reasoning models of some vendors refuse the mere words.
        tokenizer: name of the counter in `o.providers.token_counts`.
        price: None where nobody knows it.
    """

    context_window: int
    max_output_tokens: int
    tools: Literal["native", "schema"] = "native"
    parallel_tool_calls: bool = False
    reasoning: bool = False
    begins_thinking: bool = False
    images: bool = False
    structured: Literal["json_schema", "json_object", "text"] = "json_schema"
    sampling: bool = True
    tokenizer: str = "bound"
    price: Price | None = None
    display_name: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """The models of a provider by its own names for them. An embedding model's dimensions are found by asking it."""

    language: Mapping[str, Profile] = field(default_factory=dict)
    embedding: Sequence[str] = ()


class Embedder(Protocol):
    """One embedding model."""

    async def dimensions(self) -> int:
        """How long its vectors are; asked of the model once.

        Raises:
            ModelError: typed as for `Provider.stream`.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit-length vector of `dimensions()` floats per text, in order; in as many requests as it takes.

        Raises:
            ModelError: typed as for `Provider.stream`.
        """
        ...


class Provider(Protocol):
    """One service with language models, embedding models or both. Stateless: everything a request needs is in it."""

    async def models(self) -> Listing:
        """The models that can be asked now.

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

    def embedder(self, model: str) -> Embedder:
        """The embedding model of this name; whether there is one shows when it is asked.

        Raises:
            NotFound: this provider embeds nothing, or is certain that it has no such model.
        """
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
