"""What the api is told of models: it asks a worker, since it holds no provider itself."""

from o.contracts.turn import Contract


class ModelCard(Contract):
    """One language model. Counts are in tokens."""

    handle: str
    context_window: int
    max_output_tokens: int
    parallel_tool_calls: bool = False
    reasoning: bool = False
    display_name: str | None = None


class EmbeddingCard(Contract):
    """One embedding model."""

    handle: str
    dimensions: int
    display_name: str | None = None


class ModelCards(Contract):
    """All models that can be asked now."""

    models: tuple[ModelCard, ...] = ()
    embeddings: tuple[EmbeddingCard, ...] = ()
