"""A provider that speaks OpenAI's chat completions, whoever serves them: the servers differ in their dialect."""

import asyncio
import math
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime

from o.domain.model import Finished, ModelEvent, ModelRequest
from o.errors import ModelError, NotFound
from o.providers.base import Embedder, Listing, Profile
from o.providers.chat_chunks import ChunkReader
from o.providers.chat_request import request_body
from o.providers.dialects import Dialect, Known
from o.providers.embedding import ChatEmbedder
from o.providers.failures import failure
from o.providers.listings import Listed, read_listing
from o.providers.reply_reader import ReplyReader
from o.providers.responses import Responses
from o.providers.sdk import Sdk
from o.providers.spec import ProfileChange

# Seconds: how long a listing is believed, how long a request waits for it, and how long a silent server is left alone.
_LISTING_TTL = 300.0
_LISTING_TIMEOUT = 5.0
_LISTING_RETRY = 30.0


class ChatProvider:
    """One server with one key.

    Args:
        sdk: the client.
        name: the provider's name, for messages.
        dialect: how the server differs from the wire's author.
        known: what is known of a model by its name alone; None for a name that says nothing.
        changes: what the provider's owner says of single models; goes before everything else.
        root: what the SDK's paths begin with, where its base URL does not end where the wire begins.
        listing: where the models are listed: a path or a whole URL.
        embeds: whether it has embedding models at all.
        responses: the other wire of its author, for the models that are asked over it.
    """

    def __init__(
        self,
        sdk: Sdk,
        *,
        name: str,
        dialect: Dialect,
        known: Callable[[str], Known | None],
        changes: Mapping[str, ProfileChange],
        root: str = "",
        listing: str = "/models",
        embeds: bool = True,
        responses: Responses | None = None,
    ) -> None:
        self._sdk, self._name, self._dialect = sdk, name, dialect
        self._known, self._changes = known, changes
        self._root, self._listing, self._embeds, self._responses = root, listing, embeds, responses
        self._listed: Mapping[str, Listed] = {}
        self._listed_at = self._failed_at = -math.inf

    async def models(self) -> Listing:
        listed = self._listed = read_listing(await self._sdk.get(self._listing), self._dialect.not_chat)
        self._listed_at = time.monotonic()
        return Listing(
            {name: self._profile(name) for name in sorted(listed) if listed[name].kind == "language"},
            tuple(name for name in sorted(listed) if listed[name].kind == "embedding" and self._embeds),
        )

    async def profile(self, model: str) -> Profile:
        if self._known(model) is None:
            await self._refresh_listing()
            if self._listed and model not in self._listed and self._dialect.complete:
                raise NotFound(f"{self._name} has no model '{model[:100]}'; `o models` shows what it has")
        return self._profile(model)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        profile = await self.profile(request.model)
        known = self._known(request.model)
        dialect = known.dialect if known else self._dialect
        reply = ReplyReader.of(request, profile, weak=dialect.weak, new_id=_new_call_id)
        if self._responses is not None and self._responses.serves(request.model):
            events = self._responses.events(request, profile, dialect)
        else:
            events = self._completion(request, profile, dialect)
        try:
            async for event in events:
                for read in reply.finish(event) if isinstance(event, Finished) else reply.read(event):
                    yield read
        finally:
            await events.aclose()

    def embedder(self, model: str) -> Embedder:
        if not self._embeds:
            raise NotFound(f"{self._name} has no embedding models")
        known = self._dialect.dimensions.get(model)
        return ChatEmbedder(self._sdk, model, provider=self._name, known=known)

    async def close(self) -> None:
        await self._sdk.close()

    async def _completion(
        self, request: ModelRequest, profile: Profile, dialect: Dialect
    ) -> AsyncGenerator[ModelEvent, None]:
        """The events of a chat completion, before any look into its texts."""
        chunks = ChunkReader(request.model)
        answer = self._sdk.stream(f"{self._root}/chat/completions", request_body(request, profile, dialect))
        try:
            async for chunk in answer:
                self._require_no_error(chunk)
                for event in chunks.read(chunk):
                    yield event
            for event in chunks.finish():
                yield event
        finally:
            await answer.aclose()

    def _profile(self, model: str) -> Profile:
        known = self._known(model)
        profile = known.profile if known else self._dialect.profile
        if model in self._listed:
            profile = self._listed[model].change.applied(profile)
        return self._changes[model].applied(profile) if model in self._changes else profile

    async def _refresh_listing(self) -> None:
        """See that the listing is fresh. A server that cannot be asked is left alone for a while."""
        now = time.monotonic()
        if now - self._listed_at < _LISTING_TTL or now - self._failed_at < _LISTING_RETRY:
            return
        try:
            async with asyncio.timeout(_LISTING_TIMEOUT):
                await self.models()
        except (ModelError, TimeoutError):
            self._failed_at = now  # whoever asks it for a reply will hear why

    def _require_no_error(self, chunk: object) -> None:
        """Some servers tell an error in a body that comes with status 200."""
        if isinstance(chunk, dict) and chunk.get("error"):
            refusals, now = self._dialect.refusals, datetime.now(UTC)
            raise failure(0, chunk, {}, refusals=refusals, provider=self._name, now=now)


def _new_call_id() -> str:
    """An id for a call that a model wrote into its text."""
    return f"call_{uuid.uuid4().hex[:24]}"
