"""OpenAI, and every server that speaks its chat completions, on the official SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from o.domain.json import JsonObject
from o.domain.model import ModelEvent, ModelRequest, ToolSpec
from o.errors import InvalidReply, ModelError, ModelTimeout, ModelUnavailable
from o.providers.base import Profile
from o.providers.chat_wire import ChunkReader, wire_messages
from o.providers.failures import failure
from o.providers.openai_models import is_chat, profile_of

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI, AsyncStream

OPENAI_URL = "https://api.openai.com/v1"
_CONNECT_TIMEOUT = 10.0


class OpenAIProvider:
    """Speaks to one server with one key.

    Args:
        base_url: None is OpenAI's own.
        profiles: what is known of models by exact name; goes before the built-in table.
        first_timeout: seconds until the first chunk; a reasoning model may think for minutes before it.
        idle_timeout: seconds between two chunks.
        transport: how to reach the server, where that is not plain TCP (a unix socket).
    """

    def __init__(
        self,
        api_key: str,
        base_url: str | None = None,
        profiles: Mapping[str, Profile] | None = None,
        *,
        name: str = "openai",
        key_variable: str = "OPENAI_API_KEY",
        first_timeout: float = 300.0,
        idle_timeout: float = 60.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._api_key = api_key
        self._base_url = base_url or OPENAI_URL
        self._profiles = profiles or {}
        self._name = name
        self._key_variable = key_variable
        self._first_timeout = first_timeout
        self._idle_timeout = idle_timeout
        self._transport = transport
        self._made: AsyncOpenAI | None = None

    async def models(self) -> dict[str, Profile]:
        with self._errors():
            listing: Any = await self._client().get("/models", cast_to=object)
        entries = listing.get("data") if isinstance(listing, dict) else None
        if not isinstance(entries, list):
            raise InvalidReply(f"{self._name} answered something that is no list of models")
        names = [entry["id"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
        if self._base_url == OPENAI_URL:
            names = [name for name in names if is_chat(name)]
        return {name: profile_of(name, self._profiles) for name in sorted(names)}

    async def profile(self, model: str) -> Profile:
        return profile_of(model, self._profiles)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        body = self._body(request)
        reader = ChunkReader()
        with self._errors():
            async with asyncio.timeout(self._first_timeout):
                chunks = await self._open(body)
        try:
            _require_event_stream(chunks, self._name)
            wait = self._first_timeout
            while True:
                with self._errors(within_stream=True):
                    async with asyncio.timeout(wait):
                        chunk = await anext(chunks, _END)
                if chunk is _END:
                    break
                for event in reader.read(chunk):
                    yield event
                wait = self._idle_timeout
            yield reader.finish()
        finally:
            await chunks.close()

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()

    async def _open(self, body: JsonObject) -> AsyncStream[object]:
        import openai  # noqa: PLC0415 - the SDK: 20 MB and a second, only for those who use it

        # The plain call rather than `chat.completions.create`: chunks come as plain objects, checked by ChunkReader,
        # instead of as SDK models that trust the server.
        return await self._client().post(
            "/chat/completions", cast_to=object, body=body, stream=True, stream_cls=openai.AsyncStream[object]
        )

    def _client(self) -> AsyncOpenAI:
        if self._made is None:
            import httpx2  # noqa: PLC0415 - comes with the SDK
            import openai  # noqa: PLC0415 - the SDK: 20 MB and a second, only for those who use it

            timeout = httpx2.Timeout(self._first_timeout, connect=_CONNECT_TIMEOUT)
            http = openai.DefaultAsyncHttpxClient(timeout=timeout, **_given(transport=self._transport))
            self._made = openai.AsyncOpenAI(
                api_key=self._api_key, base_url=self._base_url, max_retries=0, timeout=timeout, http_client=http
            )
        return self._made

    def _body(self, request: ModelRequest) -> JsonObject:
        profile = profile_of(request.model, self._profiles)
        sampling = request.sampling
        body: JsonObject = {
            "model": request.model,
            "messages": wire_messages(request.messages, images=profile.images),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
            body["tool_choice"] = (
                {"type": "function", "function": {"name": request.tool_choice.name}}
                if request.tool_choice.mode == "named"
                else request.tool_choice.mode
            )
            if profile.parallel_tool_calls:  # models without them refuse the mere word
                body["parallel_tool_calls"] = request.parallel_tool_calls
        if profile.reasoning:  # these know neither `max_tokens` nor `temperature`
            limits = _given(max_completion_tokens=sampling.max_tokens)
        else:
            limits = _given(max_tokens=sampling.max_tokens, temperature=sampling.temperature)
        asked = _given(
            seed=sampling.seed, reasoning_effort=sampling.reasoning_effort, response_format=request.response_format
        )
        return body | limits | asked

    @contextmanager
    def _errors(self, *, within_stream: bool = False) -> Iterator[None]:
        """Turn what the SDK raises into our errors."""
        import openai  # noqa: PLC0415 - the SDK: 20 MB and a second, only for those who use it

        try:
            yield
        except (TimeoutError, openai.APITimeoutError) as error:
            raise ModelTimeout(f"{self._name} sent nothing for too long") from error
        except openai.APIConnectionError as error:
            if within_stream:
                raise InvalidReply(f"{self._name}'s stream was cut off") from error
            raise ModelUnavailable(f"{self._name} cannot be reached at {urlsplit(self._base_url).hostname}") from error
        except openai.APIStatusError as error:
            raise self._failure(error.status_code, error.body, error.response.headers) from None
        except openai.APIError as error:
            raise self._failure(0, error.body, {}) from None
        except ValueError as error:  # no JSON, no UTF-8
            raise InvalidReply(f"{self._name} sent something that is not JSON") from error

    def _failure(self, status: int, body: object, headers: Mapping[str, str]) -> ModelError:
        # `from None` above: the SDK's message may repeat the key or the conversation, and causes are logged.
        now = datetime.now(UTC)
        return failure(status, body, headers, provider=self._name, now=now, key_variable=self._key_variable)


_END = object()


def _require_event_stream(chunks: AsyncStream[object], provider: str) -> None:
    kind = chunks.response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "text/event-stream":
        raise InvalidReply(f"{provider} answered {kind[:60] or 'nothing known'} where an event stream was due")


def _tool(tool: ToolSpec) -> JsonObject:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def _given(**values: Any) -> JsonObject:
    return {name: value for name, value in values.items() if value is not None}
