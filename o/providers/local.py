"""The local models, as served by O's own model process on a unix socket."""

import base64
import json
import uuid
from array import array
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import httpx

from o.domain.json import JsonObject
from o.domain.model import ModelEvent, ModelRequest
from o.domain.price import Price
from o.errors import (
    ContextOverflow,
    InvalidReply,
    ModelBadRequest,
    ModelError,
    ModelTimeout,
    ModelUnavailable,
    NotFound,
)
from o.providers.adapt import adapted
from o.providers.base import Embedder, Listing, Profile
from o.providers.chat_chunks import ChunkReader
from o.providers.chat_messages import wire_messages
from o.providers.dialects import Dialect
from o.providers.failures import Refusals, failure
from o.providers.reply_reader import ReplyReader
from o.providers.schema_tools import CALL_TOKENS, call_schema, offered, rehearsed, spoken

_EMBEDDING = "all-minilm-l6-v2"
_DIMENSIONS = 384
_DEFAULT_TOKENS = 512
# What keeps a tiny model from going round in circles.
_TEMPERATURE = 0.2
_REPEAT_PENALTY = 1.15
_REPEAT_WINDOW = 256  # tokens; with llama.cpp's own 64 it repeats whole paragraphs
_DRY = 0.8  # the strength its authors recommend
_REFUSALS = Refusals({"exceed_context_size_error": ContextOverflow})
_DIALECT = Dialect()
_FREE = Price(Decimal(0), Decimal(0))
# The built-in model, so that its profile needs no process: the window the model process gives it.
_KNOWN = {"smollm2-135m": 4096}
# Models too small to follow an instruction: they are shown a call where one is demanded, and else told of no tool.
# What a call of theirs may take, in tokens.
_TINY = frozenset({"smollm2-135m"})
_TINY_CALL_TOKENS = 96
_TINY_TOKENS = 384


class LocalProvider:
    """The language model of the process behind `socket_path`.

    Args:
        built_in: whether it serves the built-in model, of which all is known, so that the process need not be started
            to say what there is.
        read_timeout: seconds without a byte. Reading a long prompt takes minutes on a small machine, and requests
            wait for one another.
    """

    def __init__(self, socket_path: Path, *, built_in: bool = True, read_timeout: float = 300.0) -> None:
        self._wire = _Wire(socket_path, read_timeout)
        self._socket_path = socket_path
        self._built_in = built_in

    async def models(self) -> Listing:
        if self._built_in and self._socket_path.exists():
            return Listing({name: _profile(name, window) for name, window in _KNOWN.items()}, (_EMBEDDING,))
        listing = await self._wire.get("/v1/models")
        entries = listing.get("data", ())
        return Listing(
            {
                entry["id"]: _profile(entry["id"], entry["context_window"])
                for entry in entries
                if entry.get("kind") == "language"
            },
            tuple(entry["id"] for entry in entries if entry.get("kind") == "embedding"),
        )

    async def profile(self, model: str) -> Profile:
        if model in _KNOWN:
            return _profile(model, _KNOWN[model])
        models = (await self.models()).language
        if model not in models:
            raise NotFound(f"the local model process serves {', '.join(models)}, not '{model[:60]}'")
        return models[model]

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        tools, tiny = offered(request), request.model in _TINY
        demanded = request.tool_choice.mode in ("required", "named")
        if demanded and not tools:
            raise ModelBadRequest("a tool call is demanded, but no such tool is given")
        shaped = _for_tiny(request) if tiny else adapted(request, await self.profile(request.model))
        chunks = ChunkReader()
        reply = ReplyReader(
            tools if demanded or not tiny else (),
            demanded=demanded,
            weak=True,
            new_id=lambda: f"call_{uuid.uuid4().hex[:24]}",
        )
        answer = self._wire.stream("/v1/chat/completions", _body(shaped, demanded=demanded, tiny=tiny))
        try:
            async for chunk in answer:
                for event in chunks.read(chunk):
                    for read in reply.read(event):
                        yield read
            for event in chunks.finish():
                for read in reply.read(event):
                    yield read
        finally:
            await answer.aclose()  # hangs up, which stops the computation

    def embedder(self, model: str) -> Embedder:
        if model != _EMBEDDING:
            raise NotFound(f"the local model process embeds with {_EMBEDDING}, not '{model[:60]}'")
        return LocalEmbedder(self._wire)

    async def close(self) -> None:
        await self._wire.close()


class LocalEmbedder:
    """all-MiniLM-L6-v2 in the process behind a wire."""

    def __init__(self, wire: "_Wire") -> None:
        self._wire = wire

    async def dimensions(self) -> int:
        return _DIMENSIONS

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if not texts:
            return []
        answer = await self._wire.post("/v1/embeddings", {"input": list(texts), "encoding_format": "base64"})
        try:
            vectors = [array("f", base64.b64decode(entry["embedding"])).tolist() for entry in answer["data"]]
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidReply("the local model process answered something that is no list of vectors") from error
        if len(vectors) != len(texts) or any(len(vector) != _DIMENSIONS for vector in vectors):
            raise InvalidReply("the local model process answered another number of vectors, or of dimensions")
        return vectors


def _profile(model: str, window: int) -> Profile:
    # A small model that does not find an end would go on for minutes: agents that want more say so.
    return Profile(
        context_window=window,
        max_output_tokens=min(_DEFAULT_TOKENS, window // 4),
        tools="schema",
        tokenizer="smollm2" if model in _KNOWN else "bound",
        price=_FREE,
    )


def _most_tokens(wanted: int | None, *, demanded: bool, tiny: bool) -> int:
    if demanded:
        return _TINY_CALL_TOKENS if tiny else CALL_TOKENS
    return wanted or (_TINY_TOKENS if tiny else _DEFAULT_TOKENS)


def _for_tiny(request: ModelRequest) -> ModelRequest:
    """The request for a model too small to follow an instruction: shown a call where one is demanded, else just told
    what was said."""
    tools = offered(request)
    if request.tool_choice.mode not in ("required", "named"):
        return adapted(replace(request, messages=spoken(request.messages), tools=()), _profile(request.model, 0))
    said = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
    schema = {"name": "tool_call", "schema": call_schema(tools)}
    return replace(
        request,
        messages=rehearsed(tools, said, request.messages[0]),
        response_format={"type": "json_schema", "json_schema": schema},
    )


def _body(request: ModelRequest, *, demanded: bool, tiny: bool) -> JsonObject:
    sampling = request.sampling
    body: JsonObject = {
        "model": request.model,
        "messages": wire_messages(request.messages, _DIALECT, request.model),
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": _most_tokens(sampling.max_tokens, demanded=demanded, tiny=tiny),
        "temperature": _TEMPERATURE if sampling.temperature is None else sampling.temperature,
        "repeat_penalty": _REPEAT_PENALTY,
        "repeat_last_n": _REPEAT_WINDOW,
        # "Don't repeat yourself": makes going on with a sequence that has been there dearer with each token.
        "dry_multiplier": 0.0 if demanded else _DRY,
        "cache_prompt": True,
    }
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if request.response_format is not None:
        body["response_format"] = request.response_format
    return body


def _failure(status: int, body: object, headers: Mapping[str, str]) -> ModelError:
    return failure(status, body, headers, refusals=_REFUSALS, provider="the local model", now=datetime.now(UTC))


class _Wire:
    """HTTP over the process's socket, with its failures in our words."""

    def __init__(self, socket_path: Path, read_timeout: float) -> None:
        self._socket_path = socket_path
        # No connection is kept: the process may be restarted between two requests, and on a unix socket a new one
        # costs nothing.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket_path), limits=limits),
            base_url="http://local-model",
            timeout=httpx.Timeout(read_timeout, connect=10.0),
        )

    async def get(self, path: str) -> JsonObject:
        return await self._ask("GET", path, None)

    async def post(self, path: str, body: JsonObject) -> JsonObject:
        return await self._ask("POST", path, body)

    async def stream(self, path: str, body: JsonObject) -> AsyncGenerator[object, None]:
        """The JSON values of an event stream."""
        with self._errors():
            async with self._client.stream("POST", path, json=body) as response:
                if response.status_code != 200:
                    await response.aread()
                    self._refuse(response)
                async for line in response.aiter_lines():
                    if line.startswith("data: ") and line != "data: [DONE]":
                        chunk = json.loads(line[len("data: ") :])
                        if isinstance(chunk, dict) and "error" in chunk:
                            raise _failure(0, chunk, {})
                        yield chunk

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, method: str, path: str, body: JsonObject | None) -> JsonObject:
        with self._errors():
            response = await self._client.request(method, path, json=body)
            if response.status_code != 200:
                self._refuse(response)
            answer: Any = response.json()
        if not isinstance(answer, dict):
            raise InvalidReply("the local model process answered something that is no JSON object")
        return answer

    def _refuse(self, response: httpx.Response) -> NoReturn:
        raise _failure(response.status_code, response.json(), response.headers)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            raise ModelUnavailable(
                f"no local model answers at {self._socket_path}: start it with `o up`, or `o local-model` alone"
            ) from error
        except httpx.TimeoutException as error:
            raise ModelTimeout("the local model sent nothing for too long") from error
        except httpx.TransportError as error:
            raise ModelUnavailable("the local model process hung up: it may have been restarted") from error
        except ValueError as error:
            raise InvalidReply("the local model process sent something that is not JSON") from error
