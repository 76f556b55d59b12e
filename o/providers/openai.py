"""OpenAI, and every server that speaks its chat completions, on the official SDK."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from o.providers.chat import ChatProvider
from o.providers.dialects import COMPATIBLE, REFUSALS, Dialect, Known, by_start
from o.providers.openai_chat import FIRST_TIMEOUT, IDLE_TIMEOUT, openai_chat
from o.providers.openai_models import EMBEDDING_DIMENSIONS, NOT_CHAT, openai_models
from o.providers.spec import ProviderSpec

OPENAI_URL = "https://api.openai.com/v1"

# What the vendor's own service takes. It counts a reasoning model's thoughts as part of `max_completion_tokens`.
OPENAI = Dialect(
    refusals=REFUSALS,
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
    transport: Callable[[], Any] | None = None,
    first_timeout: float = FIRST_TIMEOUT,
    idle_timeout: float = IDLE_TIMEOUT,
) -> ChatProvider:
    """The provider of a spec: OpenAI's own service where it names no address, else whatever answers there.

    The other arguments are as in `openai_chat`.
    """
    base_url = spec.base_url or OPENAI_URL
    dialect = dialect or (OPENAI if base_url.rstrip("/") == OPENAI_URL else COMPATIBLE)
    return openai_chat(
        spec,
        base_url,
        dialect,
        own_model if dialect is OPENAI else own_model_elsewhere,
        transport=transport,
        first_timeout=first_timeout,
        idle_timeout=idle_timeout,
    )


def own_model(model: str) -> Known | None:
    """What is known of a model of OpenAI's own service, fine-tuned ones (`ft:…`) included."""
    known = by_start(model.removeprefix("ft:"), _OWN)
    return _unpriced(known) if model.startswith("ft:") else known  # it costs more than what it was made from


def own_model_elsewhere(model: str) -> Known | None:
    """What is known of a model with a name of OpenAI's at an address nobody knows: a gateway to it, most likely."""
    return _unpriced(by_start(model, _OWN))


def _unpriced(known: Known | None) -> Known | None:
    return known and known._replace(profile=replace(known.profile, price=None))
