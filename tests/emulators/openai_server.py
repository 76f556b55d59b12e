"""OpenAI's chat wire on a free loopback port; the model's name says which fault the server shows."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

KEY = "sk-emulator-key"
_USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def _error(status: int, code: str | None, headers: dict[str, str] | None = None) -> Response:
    # The prose repeats the key on purpose: none of it may reach an error of ours.
    body = {"error": {"message": f"no: {KEY} secret words", "type": "invalid_request_error", "code": code}}
    return JSONResponse(body, status, headers)


def _refusals() -> dict[str, Response]:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    return {
        "429-seconds": _error(429, "rate_limit_exceeded", {"retry-after": "7"}),
        "429-ms": _error(429, "rate_limit_exceeded", {"retry-after": "9", "retry-after-ms": "1500"}),
        "429-date": _error(429, "rate_limit_exceeded", {"retry-after": date}),
        "429-garbage": _error(429, None, {"retry-after": "soon"}),
        "429-quota": _error(429, "insufficient_quota"),
        "400": _error(400, "invalid_value"),
        "400-overflow": _error(400, "context_length_exceeded"),
        "400-filter": _error(400, "content_filter"),
        "401": _error(401, "invalid_api_key"),
        "404": _error(404, "model_not_found"),
        "500": Response("<html>oops</html>", 500, media_type="text/html"),
        "529": _error(529, "overloaded", {"retry-after": "2"}),
        "html": Response("<html>hello</html>", 200, media_type="text/html"),
    }


class Emulator:
    """The server's address, what it was asked, and whether a stream was hung up on.

    Attributes:
        requests: the bodies of all chat requests, in order.
        hung_up: set when a client leaves the model `stall`.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.hung_up = threading.Event()

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return _error(401, "invalid_api_key")
        if (refusal := _refusals().get(body["model"])) is not None:
            return refusal
        return StreamingResponse(self._stream(body), media_type="text/event-stream")

    async def models(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return _error(401, "invalid_api_key")
        return JSONResponse({"object": "list", "data": [{"id": "gpt-4o"}, {"id": "text-embedding-3-small"}, "junk"]})

    async def _stream(self, body: dict[str, Any]) -> AsyncIterator[str]:
        model = body["model"]
        if model == "slow-first":
            await asyncio.sleep(0.3)
        if model == "in-stream-error":
            yield _data({"error": {"message": f"{KEY} died", "code": "server_error", "type": "server_error"}})
            return
        if model == "garbage":
            yield "data: {this is no json\n\n"
            return
        if model == "not-a-chunk":
            yield _data([1, 2])
            return
        if model != "empty":
            for delta in _deltas(body):
                yield _data({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
                if model == "broken":
                    raise ConnectionResetError("the emulator hangs up")
                if model == "stall" and delta.get("content"):
                    try:
                        await asyncio.Event().wait()
                    finally:
                        self.hung_up.set()
        if model == "cut":
            return
        finish = {"length": "length", "filtered": "content_filter"}.get(model, "stop")
        yield _data({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        yield _data({"choices": [], "usage": _USAGE})
        yield "data: [DONE]\n\n"


def _deltas(body: dict[str, Any]) -> list[dict[str, Any]]:
    choice, tools = body.get("tool_choice"), body.get("tools") or [{}]
    match body["model"]:
        case "duplicate-ids":
            return [{"tool_calls": [_call(0, "same", "one", "{}")]}, {"tool_calls": [_call(1, "same", "two", "{}")]}]
        case "all-zero":
            return [{"tool_calls": [_call(0, "a", "one", "{}")]}, {"tool_calls": [_call(0, "b", "two", "{}")]}]
        case "bad-arguments":
            return [{"tool_calls": [_call(0, "a", "one", '{"x": ')]}]
        case "thinker":
            return [{"reasoning_content": "hm "}, {"reasoning_content": "yes"}, {"content": "Done."}]
        case "odd-types":
            return [{"content": 5, "tool_calls": "none"}, {"content": "fine", "reasoning_content": {}}]
    if isinstance(choice, dict):
        return _split_call(choice["function"]["name"])
    if choice == "required":
        return _split_call(tools[0]["function"]["name"])
    said = body["messages"][-1]["content"]
    return [{"role": "assistant", "content": ""}, {"content": "You said: "}, {"content": str(said)}]


def _split_call(name: str) -> list[dict[str, Any]]:
    return [
        {"tool_calls": [_call(0, "call_1", name, "")]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"text": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"x"}'}}]},
    ]


def _call(index: int, call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _data(value: object) -> str:
    return f"data: {json.dumps(value)}\n\n"


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@contextmanager
def running() -> Iterator[Emulator]:
    """An emulator in a thread, until the block ends."""
    emulator = Emulator()
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", emulator.chat, methods=["POST"]),
            Route("/v1/models", emulator.models),
        ]
    )
    config = uvicorn.Config(
        app, port=0, loop="asyncio", ws="none", lifespan="off", log_level="critical", timeout_graceful_shutdown=1
    )
    server = _Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.listening.wait(10)
        emulator.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
        yield emulator
    finally:
        server.should_exit = True
        thread.join(10)
