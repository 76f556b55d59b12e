"""The official SDK of OpenAI as the client of any server that speaks its chat completions, or Responses."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

from o.providers.chat import ChatProvider
from o.providers.dialects import Dialect, Known
from o.providers.responses import Responses
from o.providers.sdk import Sdk
from o.providers.spec import ProviderSpec

# Seconds. A reasoning model may think for minutes before its first chunk.
FIRST_TIMEOUT = 300.0
IDLE_TIMEOUT = 60.0
_OWN_HOST = "api.openai.com"


def openai_chat(
    spec: ProviderSpec,
    base_url: str,
    dialect: Dialect,
    known: Callable[[str], Known | None],
    *,
    responses: Callable[[str], bool] | None = None,
    transport: Callable[[], Any] | None,
    first_timeout: float,
    idle_timeout: float,
) -> ChatProvider:
    """The provider at an address.

    Args:
        dialect: how the server speaks.
        known: what is known of a model by its name.
        responses: whether a model is asked over the Responses API; None: the server has none.
        transport: makes an httpx2 transport, where plain TCP will not do (a guard, a unix socket).
        first_timeout: seconds until the first chunk.
        idle_timeout: seconds between two chunks.
    """
    sdk = Sdk(
        "openai",
        "AsyncOpenAI",
        http="httpx2",
        name=spec.name,
        base_url=base_url,
        api_key=spec.api_key or "none",  # a server of one's own asks for none, the SDK does
        refusals=dialect.refusals,
        key_from=spec.key_from,
        first_timeout=first_timeout,
        idle_timeout=idle_timeout,
        transport=transport,
        own=spec.preset is None,
    )
    host = urlsplit(base_url).hostname
    return ChatProvider(
        sdk,
        name=spec.name,
        dialect=dialect,
        known=known,
        changes=dict(spec.changes),
        listing=urljoin(base_url.rstrip("/") + "/", dialect.listing),
        responses=responses
        and Responses(
            sdk,
            name=spec.name,
            refusals=dialect.refusals,
            signer="openai" if host == _OWN_HOST else f"openai@{host}",
            serves=responses,
        ),
    )
