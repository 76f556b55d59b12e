"""Models on the wire: what can be asked for, and the two configurations an agent carries."""

from typing import Annotated, Literal, TypeVar

from pydantic import Field, StrictFloat, StrictInt

from api.schemas.common import Body, Count, Flag, FreeJson, Line, Name, Shape
from o.contracts.models import Category, EmbeddingCard, ModelCard
from o.domain.json import JsonObject

T = TypeVar("T")

# Agents get at most this window unless they ask for more: beyond it most models lose track and all get dear.
MAX_DEFAULT_WINDOW = 128_000

Temperature = Annotated[StrictFloat | StrictInt, Field(ge=0, le=2)]
Penalty = Annotated[StrictFloat | StrictInt, Field(ge=-2, le=2)]
Verbosity = Literal["low", "medium", "high"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

# The wire's closed lists have no word for some of ours: the nearest relative stands in, and that is OpenAI for whatever
# speaks its wire. These are words that the lists have.
_PROVIDER_TYPES = frozenset(
    {"anthropic", "cerebras", "deepseek", "fireworks", "groq", "mistral", "ollama", "openrouter", "sglang", "together"}
    | {"vllm", "xai"}
)
_ENDPOINT_TYPES = _PROVIDER_TYPES - {"cerebras", "sglang"} | {"llamacpp", "lmstudio"}
_EMBEDDING_TYPES = frozenset({"anthropic", "groq", "llamacpp", "lmstudio", "mistral", "ollama", "together", "vllm"})
_PROVIDER_WORDS = {"lmstudio": "lmstudio_openai", "gemini": "google_ai"}
_ENDPOINT_WORDS = {"local": "llamacpp", "scripted": "llamacpp"}
_SETTINGS_TYPES = frozenset({"openai", "anthropic", "groq"})


class ResponseFormat(Body):
    """The form a model's text must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: FreeJson | None = None


class Reasoning(Body):
    reasoning_effort: Effort | None = None


class Thinking(Body):
    """The Anthropic way to say whether a model thinks, and for how many tokens at most."""

    type: Literal["enabled", "disabled", "adaptive"] = "enabled"
    budget_tokens: Count | None = None


class ModelSettings(Body):
    """Settings of an agent's model; those of a provider that this one does not know are ignored."""

    provider_type: Name | None = None
    max_output_tokens: Count | None = None
    parallel_tool_calls: Flag | None = None
    temperature: Temperature | None = None
    top_p: Annotated[StrictFloat | StrictInt, Field(ge=0, le=1)] | None = None
    frequency_penalty: Penalty | None = None
    seed: StrictInt | None = None
    reasoning: Reasoning | None = None
    thinking: Thinking | None = None
    effort: Effort | None = None
    verbosity: Verbosity | None = None
    response_format: ResponseFormat | None = None
    strict: Flag | None = None

    @property
    def changes(self) -> JsonObject:
        """What these settings change in a stored configuration."""
        effort = self.reasoning.reasoning_effort if self.reasoning else None
        return given(
            temperature=self.temperature,
            top_p=self.top_p,
            frequency_penalty=self.frequency_penalty,
            seed=self.seed,
            max_tokens=self.max_output_tokens,
            parallel_tool_calls=self.parallel_tool_calls,
            reasoning_effort=effort or self.effort,
            enable_reasoner=self.thinking.type != "disabled" if self.thinking else None,
            max_reasoning_tokens=self.thinking.budget_tokens if self.thinking else None,
            verbosity=self.verbosity,
            strict=self.strict,
        )


class LlmConfig(Body):
    """The older way to name a model. Where it is served is the server's business: endpoints are ignored."""

    model: Name
    handle: Line | None = None
    provider_name: Name | None = None
    model_endpoint_type: Name | None = None
    context_window: Count | None = None
    temperature: Temperature | None = None
    max_tokens: Count | None = None
    max_reasoning_tokens: Annotated[StrictInt, Field(ge=0, le=2**31 - 1)] | None = None
    parallel_tool_calls: Flag | None = None
    reasoning_effort: Effort | None = None
    enable_reasoner: Flag | None = None
    frequency_penalty: Penalty | None = None
    verbosity: Verbosity | None = None
    put_inner_thoughts_in_kwargs: Flag | None = None

    @property
    def named(self) -> str:
        """The model's handle, made from its parts where it is not given."""
        return self.handle or f"{self.provider_name or self.model_endpoint_type or 'openai'}/{self.model}"

    @property
    def changes(self) -> JsonObject:
        """What it changes in a stored configuration."""
        return given(
            context_window=self.context_window,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            max_reasoning_tokens=self.max_reasoning_tokens,
            parallel_tool_calls=self.parallel_tool_calls,
            reasoning_effort=self.reasoning_effort,
            enable_reasoner=self.enable_reasoner,
            frequency_penalty=self.frequency_penalty,
            verbosity=self.verbosity,
            put_inner_thoughts_in_kwargs=self.put_inner_thoughts_in_kwargs,
        )


class EmbeddingConfig(Body):
    """The older way to name an embedding model."""

    embedding_model: Name
    handle: Line | None = None
    embedding_endpoint_type: Name | None = None
    embedding_dim: Count | None = None

    @property
    def named(self) -> str:
        return self.handle or f"{self.embedding_endpoint_type or 'openai'}/{self.embedding_model}"


class ModelPrice(Shape):
    """USD per million tokens, as decimals; null is the price of other input."""

    input: str
    output: str
    cached_input: str | None = None
    cache_write: str | None = None


class Model(Shape):
    """A language model that can be asked."""

    handle: str
    name: str
    display_name: str
    provider_type: str
    provider_name: str
    provider_category: Category
    model_type: Literal["llm"] = "llm"
    max_context_window: int
    max_output_tokens: int
    tools: Literal["native", "schema"]
    structured: Literal["json_schema", "json_object", "text"]
    reasoning: bool
    images: bool
    price: ModelPrice | None = None


class EmbeddingModel(Shape):
    """An embedding model that can be asked."""

    handle: str
    name: str
    display_name: str
    embedding_dim: int


def new_config(card: ModelCard) -> JsonObject:
    """The stored configuration of a model: what nobody set stays open, so that the provider decides."""
    return {
        "handle": card.handle,
        "context_window": min(card.context_window, MAX_DEFAULT_WINDOW),
        "max_output_tokens": card.max_output_tokens,
        "parallel_tool_calls": card.parallel_tool_calls,
        "provider_type": card.provider_type,
        "provider_category": card.provider_category,
    }


def new_embedding_config(card: EmbeddingCard) -> JsonObject:
    provider, model = card.handle.split("/", 1)
    return {
        "embedding_endpoint_type": _endpoint(provider, _EMBEDDING_TYPES),
        "embedding_endpoint": None,
        "embedding_model": model,
        "embedding_dim": card.dimensions,
        "embedding_chunk_size": 300,
        "handle": card.handle,
        "batch_size": 32,
        "azure_endpoint": None,
        "azure_version": None,
        "azure_deployment": None,
    }


def print_config(config: JsonObject, response_format: JsonObject | None) -> JsonObject:
    """An agent's model configuration with every field the wire has."""
    provider, model = config["handle"].split("/", 1)
    return {
        "model": model,
        "model_endpoint_type": _endpoint(config.get("provider_type") or provider, _ENDPOINT_TYPES),
        "model_endpoint": None,
        "provider_name": provider,
        "provider_category": config.get("provider_category") or "base",
        "model_wrapper": None,
        "context_window": config["context_window"],
        "put_inner_thoughts_in_kwargs": bool(config.get("put_inner_thoughts_in_kwargs")),
        "handle": config["handle"],
        "temperature": _or(config.get("temperature"), 1.0),
        "max_tokens": _or(config.get("max_tokens"), config.get("max_output_tokens")),
        "enable_reasoner": _or(config.get("enable_reasoner"), True),
        "reasoning_effort": config.get("reasoning_effort"),
        "max_reasoning_tokens": _or(config.get("max_reasoning_tokens"), 0),
        "effort": None,
        "frequency_penalty": config.get("frequency_penalty"),
        "compatibility_type": None,
        "verbosity": config.get("verbosity"),
        "tier": None,
        "display_name": config.get("display_name"),
        "parallel_tool_calls": bool(config.get("parallel_tool_calls")),
        "response_format": response_format,
        "strict": bool(config.get("strict")),
        "return_logprobs": False,
        "top_logprobs": None,
        "return_token_ids": False,
        "tool_call_parser": None,
    }


def print_settings(config: JsonObject, response_format: JsonObject | None) -> JsonObject:
    """The same configuration as `model_settings`, derived anew at every read."""
    provider = config.get("provider_type") or config["handle"].split("/", 1)[0]
    common = {
        "provider_type": provider if provider in _SETTINGS_TYPES else "openai",
        "max_output_tokens": _or(config.get("max_tokens"), config.get("max_output_tokens")),
        "parallel_tool_calls": bool(config.get("parallel_tool_calls")),
        "temperature": _or(config.get("temperature"), 1.0),
        "strict": bool(config.get("strict")),
        "response_format": response_format,
        **given(**{name: config.get(name) for name in ("top_p", "frequency_penalty", "seed", "verbosity")}),
    }
    if provider == "anthropic":
        return common | {"effort": config.get("reasoning_effort"), "thinking": _thinking(config)}
    return common | {"reasoning": {"reasoning_effort": config.get("reasoning_effort") or "minimal"}}


def _thinking(config: JsonObject) -> JsonObject | None:
    """What was said of thinking; None while the model does as its vendor has it."""
    if config.get("enable_reasoner") is None:
        return None
    budget = config.get("max_reasoning_tokens") or None
    return {"type": "enabled" if config["enable_reasoner"] else "disabled", "budget_tokens": budget}


def print_model(card: ModelCard) -> JsonObject:
    provider, name = card.handle.split("/", 1)
    return {
        **print_config(new_config(card), None),
        "name": name,
        "display_name": card.display_name or name,
        "provider_type": _provider_type(card.provider_type or provider),
        "model_type": "llm",
        "context_window": card.context_window,
        "max_context_window": card.context_window,
        "max_output_tokens": card.max_output_tokens,
        "tools": card.tools,
        "structured": card.structured,
        "reasoning": card.reasoning,
        "images": card.images,
        "price": card.model_dump(mode="json", include={"price": set(ModelPrice.model_fields)})["price"],
    }


def print_embedding_model(card: EmbeddingCard) -> JsonObject:
    provider, name = card.handle.split("/", 1)
    return {
        **new_embedding_config(card),
        "name": name,
        "display_name": card.display_name or name,
        "provider_type": _provider_type(provider),
        "provider_name": provider,
        "model_type": "embedding",
    }


def _provider_type(ours: str) -> str:
    """The wire's nearest word for one of our types of provider."""
    return _PROVIDER_WORDS.get(ours, ours if ours in _PROVIDER_TYPES else "openai")


def _endpoint(ours: str, words: frozenset[str]) -> str:
    """The wire's nearest word, of these, for what a type of provider is reached as."""
    return _ENDPOINT_WORDS.get(ours, ours if ours in words else "openai")


def given(**values: object) -> JsonObject:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def _or(value: T | None, default: T | None) -> T | None:
    return default if value is None else value
