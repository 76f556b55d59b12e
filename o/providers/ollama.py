"""Ollama, on one's own machine or hosted, over its own wire: OpenAI's, which it speaks too, cannot set the window."""

import asyncio
import math
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import httpx

from o.domain.json import JsonObject
from o.domain.model import ModelEvent, ModelRequest
from o.errors import ContextOverflow, InvalidReply, ModelBadRequest, ModelError, ModelUnknown, NotFound
from o.providers.adapt import adapted
from o.providers.base import Embedder, Listing, Profile
from o.providers.embedding import BatchEmbedder
from o.providers.ollama_client import OllamaClient
from o.providers.ollama_messages import LineReader, wire_form, wire_messages, wire_options, wire_tool
from o.providers.ollama_models import WINDOW, Shown, full_name, read_shown, think
from o.providers.reply_reader import ReplyReader
from o.providers.schema_tools import offered
from o.providers.spec import ProfileChange, ProviderSpec

# Seconds: how long what a server says of a model is believed, and how long one that does not answer is left alone.
_BELIEVED = 300.0
_RETRY = 30.0
_SHOWN_AT_ONCE = 4  # requests of one listing at a time
# A processor without a graphics card embeds some texts a second; a batch must be done within one timeout.
_BATCH_TEXTS = 32
# What is planned with while the server cannot be asked. Smaller than some models' windows, larger than others': a
# request is sent only when the server has said what is true.
_UNASKED = Profile(WINDOW, WINDOW // 2, parallel_tool_calls=True)


def ollama_provider(
    spec: ProviderSpec,
    *,
    transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
    first_timeout: float = 300.0,
    idle_timeout: float = 60.0,
) -> "OllamaProvider":
    """The provider of a spec: the server on this machine where it names no address.

    Args:
        transport: makes the transport of the HTTP client, where plain TCP will not do (a guard, a unix socket).
        first_timeout: seconds until the first chunk: the model may have to be loaded from disk before it.
        idle_timeout: seconds between two chunks of a request without tools.
    """
    client = OllamaClient(spec, transport=transport, first_timeout=first_timeout, idle_timeout=idle_timeout)
    return OllamaProvider(
        client, name=spec.name, changes=dict(spec.changes), new_id=lambda: f"call_{uuid.uuid4().hex[:24]}"
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """What was said of a model, when (monotonic seconds), and of which version of it where that was said too."""

    shown: Shown
    at: float
    digest: str | None = None


class OllamaProvider:
    """One server.

    Args:
        name: the provider's name, for messages.
        changes: what the provider's owner says of single models; goes before everything else.
        new_id: makes ids of calls that came without one.
    """

    def __init__(
        self,
        client: OllamaClient,
        *,
        name: str,
        changes: Mapping[str, ProfileChange],
        new_id: Callable[[], str],
    ) -> None:
        self._client, self._name, self._new_id = client, name, new_id
        self._changes = {full_name(model): change for model, change in changes.items()}
        self._known: dict[str, _Known] = {}
        self._failed_at = -math.inf

    async def models(self) -> Listing:
        answer = await self._client.get("/api/tags")
        entries = answer.get("models")
        if not isinstance(entries, list):
            raise InvalidReply(f"{self._name} answered something that is no list of models")
        digests = {
            name: entry.get("digest")
            for entry in entries
            if isinstance(entry, dict) and isinstance(name := entry.get("name"), str)
        }
        at_once = asyncio.Semaphore(_SHOWN_AT_ONCE)

        async def listed(name: str, digest: object) -> Shown | None:
            known = self._known.get(full_name(name))
            if known is not None and isinstance(digest, str) and known.digest == digest:
                self._known[full_name(name)] = replace(known, at=time.monotonic())
                return known.shown
            try:
                async with at_once:
                    return await self._ask(name, digest if isinstance(digest, str) else None)
            except ModelError:
                return None  # one broken model does not hide the others

        found = dict(zip(digests, await asyncio.gather(*map(listed, digests, digests.values())), strict=True))
        return Listing(
            {
                name.removesuffix(":latest"): self._profile(name, shown)
                for name, shown in sorted(found.items())
                if shown is not None and shown.completes
            },
            tuple(name.removesuffix(":latest") for name, shown in sorted(found.items()) if shown and shown.embeds),
        )

    async def profile(self, model: str) -> Profile:
        known = self._known.get(full_name(model))
        if known is None or time.monotonic() - known.at > _BELIEVED:
            if time.monotonic() - self._failed_at > _RETRY:
                try:
                    return self._profile(model, await self._ask(model))
                except ModelUnknown as error:
                    raise NotFound(error.message) from error
                except ModelError:
                    self._failed_at = time.monotonic()  # whoever asks it for a reply will hear why
            if known is None:
                change = self._changes.get(full_name(model))
                return change.applied(_UNASKED) if change else _UNASKED
        return self._profile(model, known.shown)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        shown = await self._shown(request.model)
        profile = self._profile(request.model, shown)
        tools = offered(request)
        demanded = bool(tools) and request.tool_choice.mode in ("required", "named")
        if demanded:
            # Ollama has no tool choice: a call is made certain by the form of the reply alone.
            profile = replace(profile, tools="schema")
        elif tools:
            # A form that the reply is held to would forbid every call.
            profile = replace(profile, structured="text")
        window = self._num_ctx(request.model, shown)
        lines = LineReader(window, self._new_id)
        reply = ReplyReader.of(request, profile, weak=True, new_id=self._new_id)
        answer = self._client.stream("/api/chat", _body(adapted(request, profile), profile, shown.efforts, window))
        try:
            async for line in answer:
                for event in lines.read(line):
                    for read in reply.read(event):
                        yield read
            for event in reply.read(lines.finish()):
                yield event
        except (ModelBadRequest, ModelUnknown, ContextOverflow):
            self._known.pop(full_name(request.model), None)  # the model may have been replaced: ask anew
            raise
        finally:
            await answer.aclose()

    def embedder(self, model: str) -> Embedder:
        async def window() -> int | None:
            return self._num_ctx(model, await self._shown(model))

        return _OllamaEmbedder(self._client, model, provider=self._name, window=window)

    async def close(self) -> None:
        await self._client.close()

    async def _shown(self, model: str) -> Shown:
        """What the server says of a model. Raises ModelError."""
        known = self._known.get(full_name(model))
        if known is not None and time.monotonic() - known.at <= _BELIEVED:
            return known.shown
        return await self._ask(model)

    async def _ask(self, model: str, digest: str | None = None) -> Shown:
        hosted = self._client.host.removeprefix("www.") == "ollama.com"
        shown = read_shown(await self._client.post("/api/show", {"model": model}, loads=False), hosted=hosted)
        self._known[full_name(model)] = _Known(shown, time.monotonic(), digest)
        self._failed_at = -math.inf
        return shown

    def _profile(self, model: str, shown: Shown) -> Profile:
        change = self._changes.get(full_name(model))
        return change.applied(shown.profile) if change else shown.profile

    def _num_ctx(self, model: str, shown: Shown) -> int | None:
        """The window to ask for: always the one that is planned with, or Ollama takes a smaller one and says nothing.

        It is the same in every request, for another one makes the server load the model again.
        """
        return None if shown.hosted else self._profile(model, shown).context_window


class _OllamaEmbedder(BatchEmbedder):
    """One embedding model.

    Args:
        window: finds out the window to ask for.
    """

    def __init__(
        self, client: OllamaClient, model: str, *, provider: str, window: Callable[[], Awaitable[int | None]]
    ) -> None:
        super().__init__(provider, most=_BATCH_TEXTS)
        self._client, self._model, self._window = client, model, window

    async def _rows(self, texts: Sequence[str]) -> object:
        window = await self._window()
        # Without `truncate` a text that is too long would be embedded by its beginning alone.
        body: JsonObject = {"model": self._model, "input": list(texts), "truncate": False}
        if window is not None:
            body["options"] = {"num_ctx": window}
        return (await self._client.post("/api/embed", body, loads=True)).get("embeddings")


def _body(request: ModelRequest, profile: Profile, efforts: tuple[str, ...], window: int | None) -> JsonObject:
    body: JsonObject = {
        "model": request.model,
        "messages": wire_messages(request.messages, thinks=profile.reasoning),
        "stream": True,
        # Refuse a prompt that does not fit, and end a reply that fills the window, instead of forgetting what came
        # first (since 0.12.6).
        "truncate": False,
        "shift": False,
        "options": wire_options(request.sampling, window),
    }
    more = {
        "tools": [wire_tool(tool) for tool in offered(request)] or None,
        "think": think(request.sampling, efforts),
        "format": wire_form(request.response_format),
    }
    return body | {name: value for name, value in more.items() if value is not None}
