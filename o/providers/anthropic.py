"""Anthropic, and every server that speaks its Messages API, on the official SDK."""

import asyncio
import importlib
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from o.domain.json import JsonObject
from o.domain.model import Finished, ModelEvent, ModelRequest
from o.errors import (
    ContextOverflow,
    InvalidReply,
    ModelAuthentication,
    ModelBadRequest,
    ModelOverloaded,
    ModelQuota,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
    ModelUnknown,
    NotFound,
)
from o.providers.adapt import adapted
from o.providers.anthropic_events import EventReader
from o.providers.anthropic_messages import wire_name
from o.providers.anthropic_models import Claude, known_model, next_page, read_models, unknown_model
from o.providers.anthropic_request import Body, build, call_is_owed, fits, needs_fit
from o.providers.base import Embedder, Listing, Profile
from o.providers.failures import Refusals
from o.providers.listing_cache import ListingCache
from o.providers.reply_reader import ReplyReader
from o.providers.sdk import Sdk
from o.providers.spec import ProfileChange, ProviderSpec

ANTHROPIC_URL = "https://api.anthropic.com"

# From the vendor's page on errors. `invalid_request_error` is not here: a window that is too small is one, too.
REFUSALS = Refusals(
    by_code={
        "authentication_error": ModelAuthentication,
        "permission_error": ModelAuthentication,
        "billing_error": ModelQuota,
        "contract_spend_limit_reached": ModelQuota,
        "enforced_spend_limit_reached": ModelQuota,
        "linked_organization_spend_limit_reached": ModelQuota,
        "not_found_error": ModelUnknown,
        "request_too_large": ContextOverflow,
        "rate_limit_error": ModelRateLimited,
        "timeout_error": ModelTimeout,
        "api_error": ModelUnavailable,
        "overloaded_error": ModelOverloaded,
    },
    by_status={413: ContextOverflow},
)
_PAGE = 1_000  # models of one page, the most there may be
_MOST_PAGES = 20
_END = object()


class AnthropicProvider:
    """One server with one key.

    Args:
        sdk: the client.
        name: the provider's name, for messages.
        signer: whose proofs its models' thoughts carry.
        own: whether it is Anthropic's own service.
        idle_timeout: seconds between two pieces of a text.
        changes: what the provider's owner says of single models; goes before everything else.
        new_id: makes ids of calls that a model wrote into its text.
    """

    def __init__(
        self,
        sdk: Sdk,
        *,
        name: str,
        signer: str,
        own: bool,
        idle_timeout: float,
        changes: Mapping[str, ProfileChange],
        new_id: Callable[[], str],
    ) -> None:
        self._sdk, self._name, self._signer, self._own = sdk, name, signer, own
        self._idle_timeout = idle_timeout
        self._changes, self._new_id = changes, new_id
        self._listing: ListingCache[Claude] = ListingCache(self._list)

    async def models(self) -> Listing:
        listed = await self._listing.refresh()
        return Listing({name: self._model(name).profile for name in sorted(listed)})

    async def profile(self, model: str) -> Profile:
        return (await self._asked(model)).profile

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        model = await self._asked(request.model)
        sent = adapted(request, model.profile)
        fit = await self._fit() if needs_fit(sent) else None
        if fit and not fits(sent, fit):
            sent = adapted(request, replace(model.profile, structured="text"))
        body = build(sent, model, signer=self._signer, fit=fit)
        events = self._read(request, sent, model, body)
        try:
            try:
                yield await anext(events)
            except ModelBadRequest:
                # A proof may be good no more, and nobody can tell before: that must not end the conversation.
                if not body.thoughts:
                    raise
                body = build(sent, model, signer=self._signer, fit=fit, thoughts=False)
                events = self._read(request, sent, model, body)
            async for event in events:
                yield event
        finally:
            await events.aclose()

    def embedder(self, model: str) -> Embedder:
        raise NotFound(f"{self._name} has no embedding models")

    async def close(self) -> None:
        await self._sdk.close()

    async def _read(
        self, request: ModelRequest, sent: ModelRequest, model: Claude, body: Body
    ) -> AsyncGenerator[ModelEvent, None]:
        """The events of the reply to one body."""
        names = {wire_name(tool.name): tool.name for tool in request.tools}
        events = EventReader(names, signer=self._signer)
        reply = ReplyReader.of(request, model.profile, weak=not model.own, new_id=self._new_id)
        answer = self._sdk.stream("/v1/messages", body.fields, body.headers)
        try:
            while (event := await self._next(answer, events)) is not _END:
                for said in events.read(event):
                    for read in reply.read(said):
                        yield read
            for read in reply.read(events.finish()):
                if isinstance(read, Finished) and read.reason == "stop" and call_is_owed(sent, model):
                    raise InvalidReply("the model was to call a tool and wrote something else")
                yield read
        finally:
            await answer.aclose()

    async def _next(self, answer: AsyncGenerator[object, None], events: EventReader) -> object:
        """The next event, or `_END`. The SDK keeps the service's signs of life to itself: see `EventReader.flows`."""
        try:
            async with asyncio.timeout(self._idle_timeout if events.flows else None):
                return await anext(answer, _END)
        except TimeoutError as error:
            raise ModelTimeout(f"{self._name} sent nothing for too long") from error

    async def _asked(self, name: str) -> Claude:
        if known_model(name) is None:
            await self._listing.look_up(name)
            if self._own and self._listing.entries and name not in self._listing.entries:
                raise NotFound(f"{self._name} has no model '{name[:100]}'; `o models` shows what it has")
        return self._model(name)

    async def _list(self) -> Mapping[str, Claude]:
        listed: dict[str, Claude] = {}
        query: dict[str, str | int] = {"limit": _PAGE}
        for _ in range(_MOST_PAGES):
            page = await self._sdk.get("/v1/models", **query)
            listed |= read_models(page)
            if (after := next_page(page)) is None:
                break
            query["after_id"] = after
        return listed

    def _model(self, name: str) -> Claude:
        model = self._listing.entries.get(name) or known_model(name) or unknown_model(name)
        if name in self._changes:
            model = replace(model, profile=self._changes[name].applied(model.profile))
        # Another vendor's model that its owner says can think is asked in the older of the two ways.
        return replace(model, thinks="budget") if model.profile.reasoning and model.thinks is None else model

    async def _fit(self) -> Callable[[JsonObject], JsonObject]:
        """The SDK's way to write a JSON schema in the keywords the service knows. In a thread: see `Sdk`."""
        sdk: Any = await asyncio.to_thread(importlib.import_module, "anthropic")

        def fit(schema: JsonObject) -> JsonObject:
            if _open(schema):
                raise ValueError("a schema with objects of unknown keys, which would come empty")
            try:
                fitting: JsonObject = sdk.transform_schema(schema)
            except (AssertionError, AttributeError, TypeError) as error:  # what it raises at a type it does not know
                raise ValueError("a schema that the service cannot follow") from error
            return fitting

        return fit


def _open(schema: Any) -> bool:
    """Whether an object of a schema may have keys it does not list: the service takes only closed ones."""
    if isinstance(schema, list):
        return any(map(_open, schema))
    if not isinstance(schema, dict):
        return False
    unlisted = schema.get("type") == "object" and (schema.get("additionalProperties") or "properties" not in schema)
    return bool(unlisted) or any(map(_open, schema.values()))


def anthropic_provider(
    spec: ProviderSpec,
    *,
    transport: Callable[[], Any] | None = None,
    first_timeout: float = 300.0,
    idle_timeout: float = 60.0,
) -> AnthropicProvider:
    """The provider of a spec: Anthropic's own service where it names no address, else whatever answers there.

    Args:
        transport: makes an httpx2 transport, where plain TCP will not do (a guard, a unix socket).
        first_timeout: seconds until the first event, and between two while the model thinks or writes a call.
        idle_timeout: seconds between two pieces of a text.
    """
    # The SDK's paths begin with the version; an address that ends with it is a common slip.
    base_url = (spec.base_url or ANTHROPIC_URL).rstrip("/").removesuffix("/v1")
    own = base_url == ANTHROPIC_URL
    sdk = Sdk(
        "anthropic",
        "AsyncAnthropic",
        http="httpx2",
        name=spec.name,
        base_url=base_url,
        api_key=spec.api_key or "none",  # a server of one's own asks for none, the SDK does
        refusals=REFUSALS,
        key_from=spec.key_from,
        first_timeout=first_timeout,
        idle_timeout=first_timeout,  # the provider looks after the shorter one
        transport=transport,
    )
    return AnthropicProvider(
        sdk,
        name=spec.name,
        signer="anthropic" if own else f"anthropic@{urlsplit(base_url).hostname}",
        own=own,
        idle_timeout=idle_timeout,
        changes=dict(spec.changes),
        new_id=lambda: f"toolu_{uuid.uuid4().hex[:24]}",
    )
