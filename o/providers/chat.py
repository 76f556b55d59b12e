"""A provider that speaks OpenAI's chat completions, whoever serves them: the servers differ in their dialect."""

import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime

from o.domain.model import ModelEvent, ModelRequest
from o.errors import NotFound
from o.providers.base import Embedder, Listing, Profile
from o.providers.chat_chunks import ChunkReader
from o.providers.chat_request import request_body
from o.providers.dialects import Dialect, Known
from o.providers.embedding import ChatEmbedder
from o.providers.failures import failure
from o.providers.listing_cache import ListingCache
from o.providers.listings import Listed, read_listing
from o.providers.reply_reader import ReplyReader
from o.providers.responses import Responses
from o.providers.sdk import Sdk
from o.providers.spec import ProfileChange


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
        self._root, self._listing_path, self._embeds, self._responses = root, listing, embeds, responses
        self._listing = ListingCache(self._list)

    async def models(self) -> Listing:
        listed = await self._listing.refresh()
        return Listing(
            {name: self._profile(name) for name in sorted(listed) if listed[name].kind == "language"},
            tuple(name for name in sorted(listed) if listed[name].kind == "embedding" and self._embeds),
        )

    async def profile(self, model: str) -> Profile:
        if self._known(model) is None:
            await self._listing.look_up(model)
            if self._listing.entries and model not in self._listing.entries and self._dialect.complete:
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
                for read in reply.read(event):
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

    async def _list(self) -> Mapping[str, Listed]:
        return read_listing(await self._sdk.get(self._listing_path), self._dialect.not_chat)

    def _profile(self, model: str) -> Profile:
        known = self._known(model)
        profile = known.profile if known else self._dialect.profile
        if (listed := self._listing.entries.get(model)) is not None:
            profile = listed.change.applied(profile)
        return self._changes[model].applied(profile) if model in self._changes else profile

    def _require_no_error(self, chunk: object) -> None:
        """Some servers tell an error in a body that comes with status 200."""
        if isinstance(chunk, dict) and chunk.get("error"):
            refusals, now = self._dialect.refusals, datetime.now(UTC)
            raise failure(0, chunk, {}, refusals=refusals, provider=self._name, now=now)


def _new_call_id() -> str:
    """An id for a call that a model wrote into its text."""
    return f"call_{uuid.uuid4().hex[:24]}"
