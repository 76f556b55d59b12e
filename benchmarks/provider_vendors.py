"""The adapters that are measured, and what each is held against: its vendor's SDK before the same server."""

import importlib
import json
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from benchmarks.provider_wires import (
    Server,
    anthropic_call,
    anthropic_text,
    chat_call,
    chat_text,
    local_call,
    ollama_call,
    ollama_text,
)
from o.domain.json import JsonObject
from o.domain.messages import Message, TextPart, ToolCall, ToolReturn
from o.domain.model import ModelRequest, ToolChoice, ToolSpec
from o.providers.anthropic import anthropic_provider
from o.providers.base import Provider
from o.providers.groq import groq_provider
from o.providers.local import LocalProvider
from o.providers.ollama import ollama_provider
from o.providers.openai import openai_provider
from o.providers.spec import ProviderSpec, Wire

# Opens the stream that a body is answered with.
Opened = Callable[[JsonObject], Awaitable[AsyncIterable[object]]]
# Two ways to do so: the SDK's own streaming call, with its typed chunks, and the JSON values alone, which are all that
# an adapter asks of the SDK. Where there is no SDK both are the HTTP client and a JSON parser.
Floors = Callable[[Server], tuple[Opened, Opened]]

_KEY = "no-key"
# What Ollama's server takes and the SDK's own call has no name for.
_NOT_IN_OLLAMA = ("truncate", "shift")


@dataclass(frozen=True, slots=True)
class Vendor:
    """One adapter, what its server would say, and the same read without the adapter.

    Attributes:
        sdk: the package of its SDK; None where the adapter speaks HTTP itself.
        text: the chunks of a reply of these pieces of text.
        call: the chunks of a reply that calls `tool_0` with these pieces as its argument `text`.
        provider: at an address, or before a server; without either at the vendor's own.
        floors: what the adapter is held against.
        split: whether the arguments of a call come in pieces.
        demands: whether its model calls tools only where that is demanded.
    """

    name: str
    sdk: str | None
    model: str
    text: Callable[[Sequence[str]], list[bytes]]
    call: Callable[[Sequence[str]], list[bytes]]
    provider: Callable[[str | None, Server | None], Provider]
    floors: Floors
    media_type: str = "text/event-stream"
    split: bool = True
    demands: bool = False

    def request(self, *, calls: bool) -> ModelRequest:
        """A transcript of 20 messages with 10 tools."""
        tools = tuple(_tool(f"tool_{number}") for number in range(10))
        choice = ToolChoice("named", "tool_0") if calls and self.demands else ToolChoice()
        return ModelRequest(self.model, _transcript(), tools=tools, tool_choice=choice)


def _tool(name: str) -> ToolSpec:
    properties = {
        "text": {"type": "string", "description": "What to note, in words of the user."},
        "limit": {"type": "integer", "description": "How many entries to look through."},
    }
    schema: JsonObject = {"type": "object", "properties": properties, "required": ["text"]}
    return ToolSpec(name, "Writes a note into the archive and tells what stands beside it.", schema)


def _transcript() -> tuple[Message, ...]:
    """The system message, four turns of question, call, return and answer, and three messages more."""
    messages: list[Message] = []

    def add(role: Any, text: str = "", **more: Any) -> None:
        content = (TextPart(text),) if text else ()
        messages.append(Message(f"message-{len(messages)}", role, content, datetime(2026, 1, 1, tzinfo=UTC), **more))

    add("system", "You are an agent with a memory that outlives this conversation. " * 20)
    for turn in range(4):
        add("user", "What did we say about the harbour, and when was that? " * 3)
        add("assistant", tool_calls=(ToolCall(f"call_{turn}", f"tool_{turn}", '{"text": "harbour"}'),))
        add("tool", tool_returns=(ToolReturn(f"call_{turn}", "It was built in 1890. " * 5, name=f"tool_{turn}"),))
        add("assistant", "We said that it was built in 1890, last week. " * 4)
    add("user", "And the bridge?")
    add("assistant", "Nothing yet.")
    add("user", "Then tell me what you know of it.")
    return tuple(messages)


# The bare SDKs, asked with the bodies that the adapters sent.


def _stainless(module: str, client_class: str, call: str, path: str, *, unnamed: Sequence[str] = ()) -> Floors:
    """The calls of one of the SDKs of one make.

    Args:
        unnamed: fields of the body that the streaming call has no parameter for.
    """

    def floors(server: Server) -> tuple[Opened, Opened]:
        sdk: Any = importlib.import_module(module)
        http = sdk.DefaultAsyncHttpxClient(transport=_transport(module, server)())
        client = getattr(sdk, client_class)(api_key=_KEY, max_retries=0, http_client=http)
        create = attrgetter(call)(client)

        def opened(body: JsonObject) -> Awaitable[AsyncIterable[object]]:
            named = {name: value for name, value in body.items() if name not in unnamed}
            chunks: Awaitable[AsyncIterable[object]] = create(
                **named, extra_body={name: body[name] for name in unnamed}
            )
            return chunks

        def raw(body: JsonObject) -> Awaitable[AsyncIterable[object]]:
            stream = sdk.AsyncStream[object]
            values: Awaitable[AsyncIterable[object]] = client.post(
                path, cast_to=object, body=body, stream=True, stream_cls=stream
            )
            return values

        return opened, raw

    return floors


def _ollama(server: Server) -> tuple[Opened, Opened]:
    sdk: Any = importlib.import_module("ollama")
    client = sdk.AsyncClient("http://ollama", transport=server.httpx())

    def opened(body: JsonObject) -> Awaitable[AsyncIterable[object]]:
        chunks: Awaitable[AsyncIterable[object]] = client.chat(
            **{name: value for name, value in body.items() if name not in _NOT_IN_OLLAMA}
        )
        return chunks

    def raw(body: JsonObject) -> Awaitable[AsyncIterable[object]]:
        values: Awaitable[AsyncIterable[object]] = client._request(dict, "POST", "/api/chat", json=body, stream=True)
        return values

    return opened, raw


def _http(server: Server) -> tuple[Opened, Opened]:
    client = httpx.AsyncClient(transport=server.httpx(), base_url="http://local-model")

    async def read(body: JsonObject) -> AsyncIterator[object]:
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line[len("data: ") :])

    async def opened(body: JsonObject) -> AsyncIterator[object]:
        return read(body)

    return opened, opened


def _transport(wire: str, server: Server) -> Callable[[], Any]:
    return server.httpx if wire in ("groq", "ollama") else server.httpx2


def _adapter(wire: Wire, factory: Callable[..., Provider]) -> Callable[[str | None, Server | None], Provider]:
    def provider(url: str | None, server: Server | None) -> Provider:
        return factory(ProviderSpec(wire, wire, url, _KEY), transport=_transport(wire, server) if server else None)

    return provider


def _local(socket: str | None, server: Server | None) -> Provider:
    if server is None:
        return LocalProvider(Path(socket or ""))
    # It makes its own transport, to a unix socket.
    with patch("httpx.AsyncHTTPTransport", lambda **given: server.httpx()):
        return LocalProvider(Path("unused"))


VENDORS = (
    Vendor(
        "openai",
        "openai",
        "gpt-4o-mini",
        chat_text,
        chat_call,
        _adapter("openai", openai_provider),
        _stainless("openai", "AsyncOpenAI", "chat.completions.create", "/chat/completions"),
    ),
    Vendor(
        "anthropic",
        "anthropic",
        "claude-sonnet-5",
        anthropic_text,
        anthropic_call,
        _adapter("anthropic", anthropic_provider),
        _stainless("anthropic", "AsyncAnthropic", "messages.create", "/v1/messages"),
    ),
    Vendor(
        "groq",
        "groq",
        "llama-3.3-70b-versatile",
        chat_text,
        chat_call,
        _adapter("groq", groq_provider),
        _stainless(
            "groq", "AsyncGroq", "chat.completions.create", "/openai/v1/chat/completions", unnamed=("stream_options",)
        ),
    ),
    Vendor(
        "ollama",
        "ollama",
        "qwen3",
        ollama_text,
        ollama_call,
        _adapter("ollama", ollama_provider),
        _ollama,
        media_type="application/x-ndjson",
        split=False,
    ),
    Vendor("local", None, "smollm2-135m", chat_text, local_call, _local, _http, demands=True),
)
