"""OpenAI, and every server that speaks its wires, on the official SDK."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlsplit

from o.errors import ModelBadRequest, ModelRefused
from o.providers.chat import ChatProvider
from o.providers.dialects import COMPATIBLE, REFUSALS, UNKNOWN, Dialect, Known, by_start
from o.providers.failures import Refusals
from o.providers.openai_chat import FIRST_TIMEOUT, IDLE_TIMEOUT, openai_chat
from o.providers.openai_models import EMBEDDING_DIMENSIONS, NOT_CHAT, openai_models
from o.providers.spec import ProviderSpec

OPENAI_URL = "https://api.openai.com/v1"

# What a response fails for (the SDK's `ResponseError`), beside what is refused everywhere.
_FAILURES = {
    **dict.fromkeys(
        ("invalid_prompt", "bio_policy", "misalignment_policy_violation", "image_content_policy_violation"),
        ModelRefused,
    ),
    **dict.fromkeys(
        (
            *("invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url"),
            *("image_too_large", "image_too_small", "image_parse_error", "image_file_too_large", "empty_image_file"),
            *("invalid_image_mode", "unsupported_image_media_type", "failed_to_download_image", "image_file_not_found"),
        ),
        ModelBadRequest,
    ),
}
# What the vendor's own service takes. It counts a reasoning model's thoughts as part of `max_completion_tokens`. A
# model that it lists and nobody here has heard of is likely to reason.
OPENAI = Dialect(
    refusals=Refusals({**REFUSALS.by_code, **_FAILURES}, REFUSALS.by_status),
    profile=replace(UNKNOWN, sampling=False),
    complete=True,
    not_chat=NOT_CHAT,
    dimensions=EMBEDDING_DIMENSIONS,
    fields={"max_tokens": "max_completion_tokens"},
    strict=True,
    weak=False,
)
_OWN = openai_models(OPENAI)


def openai_provider(
    spec: ProviderSpec,
    *,
    dialect: Dialect | None = None,
    wire: Literal["chat", "responses"] | None = None,
    transport: Callable[[], Any] | None = None,
    first_timeout: float = FIRST_TIMEOUT,
    idle_timeout: float = IDLE_TIMEOUT,
) -> ChatProvider:
    """The provider of a spec: OpenAI's own service where it names no address, else whatever answers there.

    The other arguments are as in `openai_chat`.

    Args:
        wire: chat completions or the Responses API for every model; None for what suits each.
    """
    base_url = spec.base_url or OPENAI_URL
    host = urlsplit(base_url).hostname or ""
    regional = host.endswith(".api.openai.com")  # where a customer's requests stay in one region
    dialect = dialect or (OPENAI if base_url.rstrip("/") == OPENAI_URL or regional else COMPATIBLE)
    own = dialect is OPENAI
    return openai_chat(
        spec,
        base_url,
        dialect,
        own_model if own else own_model_elsewhere,
        responses=reasons if own and wire is None else lambda _: wire == "responses",
        transport=transport,
        first_timeout=first_timeout,
        idle_timeout=idle_timeout,
    )


def own_model(model: str) -> Known | None:
    """What is known of a model of OpenAI's own service, fine-tuned ones (`ft:…`) included."""
    known = by_start(model.removeprefix("ft:"), _OWN)
    return _unpriced(known) if model.startswith("ft:") else known  # it costs more than what it was made from


def reasons(model: str) -> bool:
    """Whether a model of OpenAI's own service is for the Responses API: all but those known not to reason."""
    known = own_model(model)
    return known is None or known.profile.reasoning


def own_model_elsewhere(model: str) -> Known | None:
    """What is known of a model with a name of OpenAI's at an address nobody knows: a gateway to it, most likely."""
    known = _unpriced(by_start(model, _OWN))
    if known and known.dialect.thoughtless == "tools" and known.dialect.efforts["none"] != "none":
        # It takes tools only when it does not think, and always thinks: so it gets them in words.
        return known._replace(profile=replace(known.profile, tools="schema"))
    return known


def _unpriced(known: Known | None) -> Known | None:
    return known and known._replace(profile=replace(known.profile, price=None))
