"""What the api is told of models: it asks a worker, since it holds no provider itself."""

from typing import Literal

from o.contracts.turn import Contract
from o.domain.price import Price
from o.ids import DEFAULT_ORG

Category = Literal["base", "byok"]

# The wires that are spoken, then the known services that speak OpenAI's (`o.providers.presets`).
PROVIDER_TYPES = (
    "openai",
    "anthropic",
    "groq",
    "ollama",
    "openrouter",
    "together",
    "deepseek",
    "mistral",
    "xai",
    "gemini",
    "fireworks",
    "cerebras",
    "vllm",
    "sglang",
    "lmstudio",
    "llamacpp",
    "lmstudio_openai",  # Letta's names of two of them
    "google_ai",
)


class ModelsInput(Contract):
    """Whose models are asked for. `fresh` asks the providers anew, whatever they said lately."""

    org_id: str = DEFAULT_ORG
    fresh: bool = False


class ModelInput(Contract):
    """One model of an organisation."""

    org_id: str = DEFAULT_ORG
    handle: str


class CheckInput(Contract):
    """A stored provider to try."""

    org_id: str
    provider_id: str


class ProviderCheck(Contract):
    """How a provider answered: with so many models, or with an error, in our words only."""

    ok: bool
    models: int = 0
    code: str | None = None
    message: str | None = None


class ModelCard(Contract):
    """One language model. Counts are in tokens.

    Attributes:
        provider_type: one of `PROVIDER_TYPES`, `local` or `scripted`.
        provider_category: `byok` for a provider of the organisation's own.
        price: in USD per million tokens; None where nobody knows it.
    """

    handle: str
    context_window: int
    max_output_tokens: int
    parallel_tool_calls: bool = False
    reasoning: bool = False
    display_name: str | None = None
    images: bool = False
    tools: Literal["native", "schema"] = "native"
    structured: Literal["json_schema", "json_object", "text"] = "json_schema"
    price: Price | None = None
    provider_type: str | None = None
    provider_category: Category = "base"


class EmbeddingCard(Contract):
    """One embedding model."""

    handle: str
    dimensions: int
    display_name: str | None = None


class ProviderState(Contract):
    """How a provider is: how many models it has, or the code and words of why it says nothing."""

    name: str
    provider_type: str
    provider_category: Category
    models: int = 0
    embeddings: int = 0
    code: str | None = None
    message: str | None = None


class ModelCards(Contract):
    """All models that can be asked now, and how every provider is."""

    models: tuple[ModelCard, ...] = ()
    embeddings: tuple[EmbeddingCard, ...] = ()
    providers: tuple[ProviderState, ...] = ()
