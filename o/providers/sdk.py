"""A vendor's SDK behind one door: loaded when first used, retries off, its failures in our words.

The SDKs of OpenAI, Anthropic and Groq are made by one generator (Stainless): they share names and shapes, not code.
"""

import asyncio
import importlib
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from o.domain.json import JsonObject
from o.errors import InvalidReply, ModelBadRequest, ModelError, ModelTimeout, ModelUnavailable
from o.guard.transport import denied_in
from o.providers.failures import Refusals, failure, require_sendable

_CONNECT_TIMEOUT = 10.0
_END = object()


class Sdk:
    """One client of one SDK, for one server and key.

    What comes back is plain JSON, checked by the adapters, instead of the SDK's own models, which trust the server.

    Args:
        module: the SDK's package.
        client: the class of its asynchronous client.
        http: the package of the HTTP client it is built on.
        refusals: how the vendor says no.
        key_from: where the key came from, for messages.
        first_timeout: seconds until the first chunk; a reasoning model may think for minutes before it.
        idle_timeout: seconds between two chunks.
        transport: makes the transport of the HTTP client, where plain TCP will not do (a guard, a unix socket). Then
            nothing of the environment goes along: no proxy, no header.
        own: whether the SDK's variables (organisation, extra headers) were set with this server in mind.
    """

    def __init__(
        self,
        module: str,
        client: str,
        *,
        http: str,
        name: str,
        base_url: str,
        api_key: str,
        refusals: Refusals,
        key_from: str | None,
        first_timeout: float,
        idle_timeout: float,
        transport: Callable[[], Any] | None = None,
        own: bool = True,
    ) -> None:
        self._module, self._client_class, self._http_module = module, client, http
        self._name, self._base_url, self._api_key = name, base_url, api_key
        self._refusals, self._key_from = refusals, key_from
        self._first_timeout, self._idle_timeout = first_timeout, idle_timeout
        self._transport = transport
        self._own = own and transport is None
        self._sdk: Any = None
        self._http: Any = None
        self._client: Any = None
        self._loading = asyncio.Lock()

    async def get(self, path: str, **query: str | int) -> object:
        """The JSON at a path. Raises ModelError."""
        await self._load()
        with self._errors():
            answer: object = await self._client.get(path, cast_to=object, options={"params": query})
        return answer

    async def post(self, path: str, body: JsonObject) -> object:
        """The JSON that a body is answered with. Raises ModelError."""
        await self._load()
        with self._errors():
            answer: object = await self._client.post(path, cast_to=object, body=body)
        return answer

    async def stream(
        self, path: str, body: JsonObject, headers: dict[str, str] | None = None
    ) -> AsyncGenerator[object, None]:
        """The JSON values of the event stream that a body is answered with.

        A server that answers one whole JSON instead of a stream has it given as the only value.

        Raises:
            ModelError: refused, silent for too long, cut off, or no JSON.
        """
        await self._load()
        with self._errors():
            async with asyncio.timeout(self._first_timeout):
                chunks = await self._client.post(
                    path,
                    cast_to=object,
                    body=body,
                    options={"headers": headers} if headers else {},
                    stream=True,
                    stream_cls=self._sdk.AsyncStream[object],
                )
        try:
            if (kind := _kind(chunks.response)) == "application/json":
                with self._errors():
                    async with asyncio.timeout(self._first_timeout):
                        whole = json.loads(await chunks.response.aread())
                yield whole  # out here, where the reader may take its time
                return
            if kind != "text/event-stream":
                raise InvalidReply(f"{self._name} answered {kind or 'nothing known'} where an event stream was due")
            wait = self._first_timeout
            while True:
                with self._errors(within_stream=True):
                    async with asyncio.timeout(wait):
                        chunk = await anext(chunks, _END)
                if chunk is _END:
                    return
                yield chunk
                wait = self._idle_timeout
        finally:
            await chunks.close()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _load(self) -> None:
        """Make the client, once. The import takes up to a second: in a thread, so that heartbeats go on.

        Raises:
            ModelAuthentication: no server could be shown the key.
            ModelBadRequest: the address is none.
        """
        async with self._loading:
            if self._client is not None:
                return
            require_sendable(self._api_key, self._name, self._key_from)
            self._sdk = await asyncio.to_thread(importlib.import_module, self._module)
            self._http = importlib.import_module(self._http_module)
            timeout = self._http.Timeout(self._first_timeout, connect=_CONNECT_TIMEOUT)
            # A redirect would take the key along: of its headers only `Authorization` is stripped on the way.
            given: dict[str, Any] = {"follow_redirects": False}
            if self._transport is not None:
                given |= {"transport": self._transport(), "trust_env": False}
            try:
                client = getattr(self._sdk, self._client_class)(
                    api_key=self._api_key,
                    base_url=self._base_url,
                    max_retries=0,
                    timeout=timeout,
                    http_client=self._sdk.DefaultAsyncHttpxClient(timeout=timeout, **given),
                )
            except self._http.InvalidURL:
                raise ModelBadRequest(f"{self._name}: its address is no URL") from None
            if not self._own:
                # OPENAI_ORG_ID, OPENAI_PROJECT_ID and …_CUSTOM_HEADERS are for the vendor, and this is somebody else's
                # server. The SDKs take no argument for "none of these".
                client.organization = client.project = None
                client._custom_headers = {}
            self._client = client

    @contextmanager
    def _errors(self, *, within_stream: bool = False) -> Iterator[None]:
        """Turn what the SDK raises into our errors.

        Status errors come without their cause: the SDK's words may repeat the key or the conversation.
        """
        sdk, http = self._sdk, self._http
        try:
            yield
        except (TimeoutError, sdk.APITimeoutError, http.TimeoutException) as error:
            raise ModelTimeout(f"{self._name} sent nothing for too long") from error
        except (sdk.APIConnectionError, http.TransportError) as error:
            if within_stream and denied_in(error) is None:
                raise InvalidReply(f"{self._name}'s stream was cut off") from error
            raise self._unreachable(error) from error
        except sdk.APIStatusError as error:
            # An error event within a stream comes with the status of the stream itself.
            status = 0 if within_stream else error.status_code
            raise self._failure(status, error.body, error.response.headers) from None
        except sdk.APIError as error:
            raise self._failure(0, error.body, {}) from None
        except ValueError:  # no JSON, no UTF-8; the error would hold what came
            raise InvalidReply(f"{self._name} sent something that is not JSON") from None

    def _unreachable(self, error: Exception) -> ModelError:
        if denied := denied_in(error):
            return ModelBadRequest(f"{self._name}: {denied}")
        return ModelUnavailable(f"{self._name} cannot be reached at {urlsplit(self._base_url).hostname}")

    def _failure(self, status: int, body: object, headers: Any) -> ModelError:
        return failure(
            status,
            body,
            headers,
            refusals=self._refusals,
            provider=self._name,
            now=datetime.now(UTC),
            key_from=self._key_from,
        )


def _kind(response: Any) -> str:
    """The media type of an answer, as far as it fits a message."""
    kind: str = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind[:60]
