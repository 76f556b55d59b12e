"""Ollama's own SDK behind one door: loaded when first used, its failures in our words, nothing retried.

The SDK's typed methods are passed by: they cut a tool's schema down to what their models know, send the file whose path
an image's text is, and have no `truncate`. The request method below them sends what it is given.
"""

import asyncio
import importlib
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from o.domain.json import JsonObject
from o.errors import (
    ContextOverflow,
    InvalidReply,
    ModelAuthentication,
    ModelBadRequest,
    ModelError,
    ModelQuota,
    ModelTimeout,
    ModelUnavailable,
    ModelUnknown,
)
from o.guard.transport import denied_in
from o.providers.failures import Refusals, failure, require_sendable
from o.providers.spec import ProviderSpec

OLLAMA_URL = "http://127.0.0.1:11434"

# Seconds. What a server knows of its models it tells at once, also while it loads one.
_CONNECT_TIMEOUT = 10.0
_NO_MODEL_TIMEOUT = 20.0
_END: JsonObject = {}
# Ollama has no codes: what a refusal means stands in its prose alone (server/routes.go and llm/ of ollama/ollama, and
# the hosted service's 429).
_SAID: tuple[tuple[re.Pattern[str], type[ModelError], str], ...] = tuple(
    (re.compile(pattern), kind, words)
    for pattern, kind, words in (
        # First: what the model wrote follows in the same text.
        (r"^error parsing tool call", InvalidReply, "the model wrote a tool call that its server could not read"),
        (r"too large to process|longer than the context", ContextOverflow, "the request is longer than the window"),
        (r"usage limit", ModelQuota, "the account has used up what its plan allows"),
        (
            r"requires more system memory|out of memory|unable to allocate",
            ModelBadRequest,
            "the model needs more memory than the server has: take a smaller `context_window` or a smaller model",
        ),
        (r"does not support tools", ModelBadRequest, "the model has no tools: set `tools` of this model to `schema`"),
        (r"does not support thinking", ModelBadRequest, "the model cannot think: set `reasoning` of it to false"),
        (r"does not support chat", ModelBadRequest, "the model is not for chat"),
    )
)


def server_url(url: str | None) -> str:
    """The root of a server as people write it: with or without scheme, closing slash, `/v1` or `/api`.

    Without a scheme the SDK adds Ollama's port, with one the scheme's own, as Ollama's own client does.
    """
    root = (url or OLLAMA_URL).strip().rstrip("/")
    return re.sub(r"/(v1|api)$", "", root)


class OllamaClient:
    """One server, asked with one key or none.

    Args:
        transport: makes the transport of the HTTP client, where plain TCP will not do (a guard, a unix socket).
        first_timeout: seconds until the first chunk: the model may have to be loaded from disk before it.
        idle_timeout: seconds between two chunks. Where tools are offered it is `first_timeout` too: Ollama is silent
            from the beginning of a call to its end.
    """

    def __init__(
        self,
        spec: ProviderSpec,
        *,
        transport: Callable[[], httpx.AsyncBaseTransport] | None,
        first_timeout: float,
        idle_timeout: float,
    ) -> None:
        self._spec, self._name, self._url = spec, spec.name, server_url(spec.base_url)
        self._transport = transport
        self._first_timeout, self._idle_timeout = first_timeout, idle_timeout
        self._sdk: Any = None
        self._client: Any = None
        self._loading = asyncio.Lock()

    @property
    def host(self) -> str:
        """Where it is, without what the address may tell besides."""
        scheme, found, rest = self._url.partition("://")
        try:
            return urlsplit(f"{scheme}://{rest}" if found else f"//{scheme}").hostname or "?"
        except ValueError:
            return "?"

    async def get(self, path: str) -> JsonObject:
        """The JSON object at a path, which no model has to be loaded for. Raises ModelError."""
        return await self._ask("GET", path, None, _NO_MODEL_TIMEOUT)

    async def post(self, path: str, body: JsonObject, *, loads: bool) -> JsonObject:
        """The JSON object that a body is answered with; `loads` says whether a model has to be. Raises ModelError."""
        return await self._ask("POST", path, body, self._first_timeout if loads else _NO_MODEL_TIMEOUT)

    async def stream(self, path: str, body: JsonObject) -> AsyncGenerator[JsonObject, None]:
        """The JSON objects, one a line, that a body is answered with; closing it hangs up.

        Raises:
            ModelError: refused, silent for too long, cut off, or no JSON.
        """
        await self._load()
        chunks = await self._client._request(dict, "POST", path, json=body, stream=True)
        idle = self._first_timeout if body.get("tools") else self._idle_timeout
        begun = False
        try:
            while True:
                with self._errors(body, within_stream=begun):
                    async with asyncio.timeout(idle if begun else self._first_timeout):
                        chunk = await anext(chunks, _END)
                if chunk is _END:
                    return
                begun = True
                yield chunk
        finally:
            await chunks.aclose()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _ask(self, method: str, path: str, body: JsonObject | None, timeout: float) -> JsonObject:
        await self._load()
        request = self._client._request
        with self._errors(body or {}):
            async with asyncio.timeout(timeout):
                answer: JsonObject = await request(dict, method, path, json=body)
        return answer

    async def _load(self) -> None:
        """Make the client, once. The import takes a while: in a thread, so that heartbeats go on.

        Raises:
            ModelAuthentication: no server could be shown the key.
            ModelBadRequest: the address is none.
        """
        async with self._loading:
            if self._client is not None:
                return
            if self._spec.api_key:
                require_sendable(self._spec.api_key, self._name, self._spec.key_from)
            self._sdk = await asyncio.to_thread(importlib.import_module, "ollama")
            given = {} if self._transport is None else {"transport": self._transport(), "trust_env": False}
            try:
                self._client = self._sdk.AsyncClient(
                    self._url,
                    timeout=httpx.Timeout(self._first_timeout, connect=_CONNECT_TIMEOUT),
                    follow_redirects=False,  # a redirected POST arrives as a GET
                    auth=self._signed,
                    event_hooks={"response": [self._judge]},  # the SDK's own error has lost the headers
                    **given,
                )
            except (ValueError, httpx.InvalidURL):
                raise ModelBadRequest(f"{self._name}: its address is no URL{self._where()}") from None

    def _signed(self, request: httpx.Request) -> httpx.Request:
        """The request with our credentials and no others.

        The SDK sends OLLAMA_API_KEY of the environment to any server, also one that a user named, and drops a password
        that stands in the address.
        """
        request.headers.pop("authorization", None)
        parts = urlsplit(self._url if "://" in self._url else f"//{self._url}")
        if self._spec.api_key:
            request.headers["authorization"] = f"Bearer {self._spec.api_key}"
        elif parts.username is not None:
            basic = httpx.BasicAuth(unquote(parts.username), unquote(parts.password or ""))
            return next(basic.auth_flow(request))
        return request

    async def _judge(self, response: httpx.Response) -> None:
        """Raise what a response without the answer means."""
        if response.is_success:
            if "json" not in (kind := response.headers.get("content-type", "").lower()):
                raise InvalidReply(f"{self._name} answered {kind[:60] or 'nothing known'} where JSON was due")
            return
        if response.has_redirect_location:
            raise ModelBadRequest(f"{self._name} redirects elsewhere: give the final address{self._where()}")
        await response.aread()
        try:
            body = response.json()
        except ValueError:
            body = None
        raise self._refusal(response.status_code, body, response.headers)

    def _refusal(self, status: int, body: object, headers: Mapping[str, str]) -> ModelError:
        """The error that a refusal stands for; `status` is 0 within a stream."""
        prose = str(body.get("error", "")) if isinstance(body, dict) else ""
        for pattern, kind, words in _SAID:
            if pattern.search(prose):
                return kind(f"{self._name}: {words}")
        if status in (404, 405) and "model" not in prose:
            return ModelBadRequest(f"{self._name}: what answers at {self.host} is not Ollama{self._where()}")
        if status in (401, 403) and not self._spec.api_key:
            return ModelAuthentication(
                f"{self._name} refused with status {status}: it wants a key (OLLAMA_API_KEY), an `ollama signin` on "
                "its machine or, behind a proxy, to be started with OLLAMA_HOST=0.0.0.0"
            )
        now, key_from = datetime.now(UTC), self._spec.key_from
        return failure(status, body, headers, refusals=Refusals(), provider=self._name, now=now, key_from=key_from)

    @contextmanager
    def _errors(self, body: JsonObject, *, within_stream: bool = False) -> Iterator[None]:
        """Turn what the SDK raises into our errors, without its words: they may repeat the key or the conversation."""
        try:
            yield
        except ModelUnknown:
            model = str(body.get("model", ""))[:100]
            raise ModelUnknown(f"{self._name} has no model '{model}': get it with `ollama pull {model}`") from None
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ModelTimeout(f"{self._name} sent nothing for too long") from error
        except (httpx.TransportError, ConnectionError) as error:
            if within_stream and denied_in(error) is None:
                raise InvalidReply(f"{self._name}'s stream was cut off") from error
            raise self._unreachable(error) from error
        except self._sdk.ResponseError as error:  # a line of the stream that tells of an error
            raise self._refusal(0, {"error": error.error}, {}) from None
        except (ValueError, TypeError, AttributeError, httpx.DecodingError):
            # The SDK looks into a line before it knows that it is an object.
            raise InvalidReply(f"{self._name} sent something that is no JSON object") from None

    def _unreachable(self, error: Exception) -> ModelError:
        if denied := denied_in(error):
            return ModelBadRequest(f"{self._name}: {denied}")
        return ModelUnavailable(f"{self._name} cannot be reached at {self.host}: does it run there?{self._where()}")

    def _where(self) -> str:
        """Where the address was taken from."""
        return "" if self._spec.guarded else " (OLLAMA_BASE_URL)"
