"""An agent's model, embedding and compaction settings, from what a client says and what the models can do."""

from api.catalogue import Catalogue
from api.deps import Defaults
from api.schemas.agents import CompactionSettings, CreateAgent, UpdateAgent
from api.schemas.models import ModelSettings, given, new_config, new_embedding_config
from o.domain.agent import own_or_shared
from o.domain.json import JsonObject
from o.errors import InvalidArgument

# Default limits of open files and of what is shown of each, by context window (tokens up to → files, characters).
_FILE_LIMITS = ((8_000, 3, 5_000), (32_000, 5, 15_000), (128_000, 10, 25_000), (200_000, 10, 40_000))
_FILE_LIMITS_ABOVE = (15, 40_000)

# Models known to summarise well and cheaply, by provider; others summarise for themselves.
_SUMMARISERS = {
    "anthropic": "anthropic/claude-haiku-4-5",
    "openai": "openai/gpt-5-mini",
    "google_ai": "google_ai/gemini-2.5-flash",
}


async def model_config(
    body: CreateAgent | UpdateAgent, catalogue: Catalogue, *, before: JsonObject | None, default: str
) -> JsonObject:
    """The model configuration an agent has after this request; `before` is what it had.

    Raises:
        NotFound: unknown handle. InvalidArgument: a handle without a slash, or limits that contradict each other.
    """
    handle = body.model or (body.llm_config.named if body.llm_config else None)
    if before is None or (handle is not None and handle != before["handle"]):
        config = new_config(await catalogue.model(handle or default))
    else:
        config = dict(before)
    if body.llm_config is not None:
        config |= body.llm_config.changes
    if body.model_settings is not None:
        config |= body.model_settings.changes
    config |= given(
        context_window=body.context_window_limit,
        max_tokens=body.max_tokens,
        parallel_tool_calls=body.parallel_tool_calls,
        max_reasoning_tokens=body.max_reasoning_tokens if isinstance(body, CreateAgent) else None,
    )
    if isinstance(body, UpdateAgent) and "max_tokens" in body.model_fields_set and body.max_tokens is None:
        config.pop("max_tokens", None)
    _check(config)
    return config


async def conversation_config(
    model: str | None,
    settings: ModelSettings | None,
    catalogue: Catalogue,
    *,
    before: JsonObject | None,
    of_agent: JsonObject,
) -> JsonObject:
    """A conversation's own configuration: a whole one if it has a model of its own, else what differs from its agent's.

    Args:
        before: its own so far.
        of_agent: its agent's, whole.

    Raises:
        NotFound: unknown handle. InvalidArgument: a handle without a slash, or limits that contradict each other.
    """
    config = dict(before or {})
    if model is not None and model != config.get("handle"):
        config = new_config(await catalogue.model(model))
    if settings is not None:
        config |= settings.changes
        if settings.response_format is not None:
            config["response_format"] = settings.response_format.model_dump(exclude_none=True)
        config["settings"] = config.get("settings", {}) | settings.model_dump(mode="json", exclude_none=True)
    _check(own_or_shared(config, of_agent))
    return config


def _check(config: JsonObject) -> None:
    ceiling = config.get("max_tokens")
    reasoning = config.get("max_reasoning_tokens")
    if ceiling is not None and reasoning is not None and reasoning >= ceiling:
        raise InvalidArgument("max_reasoning_tokens: must be less than max_tokens")
    if ceiling is not None and ceiling >= config["context_window"]:
        raise InvalidArgument(
            f"max_tokens: must be less than the context window ({config['context_window']}), or nothing can be asked"
        )


async def embedding_config(
    body: CreateAgent | UpdateAgent, catalogue: Catalogue, defaults: Defaults
) -> tuple[str, JsonObject] | None:
    """The embedding model a request leads to, with its configuration; None when it says nothing about it.

    Raises:
        NotFound: unknown handle. InvalidArgument: a handle without a slash, or vectors of another length than stated.
        ModelError: the model cannot be asked how long its vectors are.
    """
    handle = body.embedding or (body.embedding_config.named if body.embedding_config else None)
    if handle is None:
        if isinstance(body, UpdateAgent):
            return None
        handle = defaults.embedding
    card = await catalogue.embedding(handle)
    stated = body.embedding_config.embedding_dim if body.embedding_config else None
    if stated is not None and stated != card.dimensions:
        raise InvalidArgument(
            f"embedding_config.embedding_dim: '{handle[:100]}' makes vectors of {card.dimensions} numbers, "
            f"not {stated}; leave it out, or say {card.dimensions}"
        )
    return handle, new_embedding_config(card)


def compaction_settings(given: CompactionSettings | None, before: JsonObject | None, model: str) -> JsonObject:
    """The compaction settings after a request; another mode has another default prompt."""
    provider = model.split("/", 1)[0]
    settings: JsonObject = before or {
        "mode": "sliding_window",
        "sliding_window_percentage": 0.3,
        "clip_chars": 50_000,
        "prompt_acknowledgement": False,
        "model": _SUMMARISERS.get(provider, model),
        "model_settings": None,
        "prompt": None,
    }
    changes = given.model_dump(exclude_none=True) if given is not None else {}
    if "mode" in changes and changes["mode"] != settings["mode"]:
        settings = {**settings, "prompt": None}
    return {**settings, **changes}


def file_limits(context_window: int) -> tuple[int, int]:
    """How many files an agent may have open, and how many characters of each it sees."""
    for window, files, characters in _FILE_LIMITS:
        if context_window <= window:
            return files, characters
    return _FILE_LIMITS_ABOVE
