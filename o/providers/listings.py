"""What servers that speak OpenAI's wire say of their models in a listing; each says it in fields of its own."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from o.domain.json import JsonObject
from o.domain.price import Price
from o.errors import InvalidReply
from o.providers.spec import ProfileChange

Kind = Literal["language", "embedding", "other"]

# Where a window and the longest reply stand: vLLM and SGLang, Groq, OpenRouter and Together, LM Studio, Mistral,
# llama.cpp. What a model was loaded with goes before what it was made for.
_WINDOW = (
    "max_model_len",
    "context_window",
    "loaded_context_length",
    "top_provider.context_length",
    "context_length",
    "max_context_length",
    "meta.n_ctx",
    "meta.n_ctx_train",
)
_OUTPUT = ("max_completion_tokens", "top_provider.max_completion_tokens", "max_output_tokens")
# Whether a model chats and sees: Mistral, Fireworks.
_CHATS = ("capabilities.completion_chat", "supports_chat")
_SEES = ("capabilities.vision", "supports_image_input")
_CALLS = ("capabilities.function_calling", "supports_tools")

_EMBEDDING = ("embed", "bge-", "e5-", "gte-", "minilm")
_OTHER_TYPES = ("image", "audio", "moderation", "rerank", "transcribe", "video", "code")
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Listed:
    """One model of a listing, and what the listing says of it."""

    kind: Kind
    change: ProfileChange


def read_listing(answer: object, not_chat: Collection[str] = ()) -> Mapping[str, Listed]:
    """The models of a listing by name; what is no model is passed over.

    Raises:
        InvalidReply: it is no listing.
    """
    entries = answer.get("data", answer.get("models")) if isinstance(answer, dict) else answer
    if not isinstance(entries, list):
        raise InvalidReply("the provider answered something that is no list of models")
    return {
        # Gemini writes the names of its own API here, and takes them without their prefix.
        entry["id"].removeprefix("models/"): Listed(_kind(entry, not_chat), _change(entry))
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    }


def _kind(entry: JsonObject, not_chat: Collection[str]) -> Kind:
    name, said = entry["id"].lower(), str(entry.get("type", "")).lower()
    if said in ("embedding", "embeddings") or any(word in name for word in _EMBEDDING):
        return "embedding"
    silent = entry.get("active") is False or _flag(entry, _CHATS) is False  # the former: Groq's, switched off
    if silent or said in _OTHER_TYPES or any(word in name for word in not_chat):
        return "other"
    return "language"


def _change(entry: JsonObject) -> ProfileChange:
    taken = entry.get("supported_parameters")  # OpenRouter's
    taken = taken if isinstance(taken, list) else None
    window = _count(entry, _WINDOW)
    calls = "tools" in taken if taken is not None else _flag(entry, _CALLS)
    return ProfileChange(
        context_window=window,
        # A server that tells no limit for replies has none but the window; a quarter leaves room for the prompt.
        max_output_tokens=_count(entry, _OUTPUT) or (window // 4 if window else None),
        tools=None if calls is None else "native" if calls else "schema",
        images=_sees(entry),
        reasoning=None if taken is None else "reasoning" in taken,
        structured=None if taken is None else _form(taken),
        price=_price(entry.get("pricing")),
        display_name=entry["name"] if isinstance(entry.get("name"), str) else None,
    )


def _at(entry: JsonObject, place: str) -> object:
    value: object = entry
    for step in place.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _count(entry: JsonObject, places: tuple[str, ...]) -> int | None:
    values = (_at(entry, place) for place in places)
    return next((value for value in values if type(value) is int and value > 0), None)


def _flag(entry: JsonObject, places: tuple[str, ...]) -> bool | None:
    values = (_at(entry, place) for place in places)
    return next((value for value in values if isinstance(value, bool)), None)


def _sees(entry: JsonObject) -> bool | None:
    """From OpenRouter's `architecture.input_modalities`, LM Studio's `type`, or a flag."""
    modalities = _at(entry, "architecture.input_modalities")
    if isinstance(modalities, list):
        return "image" in modalities
    if entry.get("type") in ("llm", "vlm"):
        return bool(entry["type"] == "vlm")
    return _flag(entry, _SEES)


def _form(taken: list[object]) -> Literal["json_schema", "json_object", "text"]:
    if "structured_outputs" in taken:
        return "json_schema"
    return "json_object" if "response_format" in taken else "text"


def _price(pricing: object) -> Price | None:
    """OpenRouter tells USD per token, as strings; Together USD per million, where two zeros mean an unpriced model."""
    if not isinstance(pricing, dict):
        return None
    if "prompt" in pricing:
        names, scale = ("prompt", "completion", "input_cache_read", "input_cache_write"), _MILLION
    elif pricing.get("input") or pricing.get("output"):
        names, scale = ("input", "output", "cached_input", "cache_write"), 1
    else:
        return None
    prompt, reply, read, written = (_dollars(pricing.get(name), scale) for name in names)
    return None if prompt is None or reply is None else Price(prompt, reply, read, written)


def _dollars(value: object, scale: int) -> Decimal | None:
    """USD per million tokens; None for what is no price (OpenRouter's router says -1: it depends)."""
    try:
        dollars = Decimal(str(value)) * scale
    except InvalidOperation:
        return None
    return dollars if dollars.is_finite() and dollars >= 0 else None
