"""Groq, on its own SDK: OpenAI's chat completions with a few words of its own."""

from collections.abc import Callable
from typing import Any

from o.errors import ContextOverflow, InvalidReply, ModelOverloaded, ModelQuota, ModelRefused, ModelUnknown
from o.providers.base import Profile
from o.providers.chat import ChatProvider
from o.providers.dialects import Dialect, Known, by_start
from o.providers.failures import Refusals
from o.providers.groq_models import NOT_CHAT, groq_models
from o.providers.sdk import Sdk
from o.providers.spec import ProviderSpec

GROQ_URL = "https://api.groq.com"
_ROOT = "/openai/v1"  # the SDK's base URL is the host, and its paths begin with this

# From https://console.groq.com/docs/errors, /docs/tool-use, /docs/structured-outputs and /docs/flex-processing.
_REFUSALS = Refusals(
    by_code={
        # The model wrote a call, or JSON, that the service could not read; asked again it mostly writes another.
        "tool_use_failed": InvalidReply,
        "json_validate_failed": InvalidReply,
        "blocked_api_access": ModelQuota,  # the spend limit: https://console.groq.com/docs/spend-limits
        "insufficient_quota": ModelQuota,
        "content_filter": ModelRefused,
        "context_length_exceeded": ContextOverflow,
        "model_not_found": ModelUnknown,
        "model_decommissioned": ModelUnknown,
        "capacity_exceeded": ModelOverloaded,
    },
    by_status={
        # Also with the code `rate_limit_exceeded`: the request alone is more than a minute's tokens, whenever it comes.
        413: ContextOverflow,
        422: InvalidReply,  # "semantic errors or model hallucinations … or retry your request"
        498: ModelOverloaded,
    },
)
_DIALECT = Dialect(
    refusals=_REFUSALS,
    # Not in the listing's words: https://console.groq.com/docs/models
    profile=Profile(131_072, 8_192, parallel_tool_calls=True, structured="json_object"),
    complete=True,
    not_chat=NOT_CHAT,
    fields={"max_tokens": "max_completion_tokens", "frequency_penalty": None, "verbosity": None},
    # "Streaming and tool use are not currently supported with Structured Outputs."
    forms_with_tools=False,
    forms_stream=False,
)
_MODELS = groq_models(_DIALECT)


def groq_provider(
    spec: ProviderSpec,
    *,
    transport: Callable[[], Any] | None = None,
    first_timeout: float = 300.0,
    idle_timeout: float = 60.0,
) -> ChatProvider:
    """The provider of a spec.

    Args:
        transport: makes an httpx transport, where plain TCP will not do (a guard, a unix socket).
        first_timeout: seconds until the first chunk; a reply in a demanded form comes whole, and late.
        idle_timeout: seconds between two chunks.
    """
    # Both spellings of the address are common: that of Groq's SDK, and that for OpenAI's.
    base_url = (spec.base_url or GROQ_URL).rstrip("/").removesuffix(_ROOT)
    sdk = Sdk(
        "groq",
        "AsyncGroq",
        http="httpx",
        name=spec.name,
        base_url=base_url,
        api_key=spec.api_key or "none",
        refusals=_REFUSALS,
        key_from=spec.key_from,
        first_timeout=first_timeout,
        idle_timeout=idle_timeout,
        transport=transport,
    )
    return ChatProvider(
        sdk,
        name=spec.name,
        dialect=_DIALECT,
        known=known_model,
        changes=dict(spec.changes),
        root=_ROOT,
        listing=f"{_ROOT}/models",
        embeds=False,
    )


def known_model(model: str) -> Known | None:
    """What is known of a model of Groq's by its name."""
    return by_start(model, _MODELS)
