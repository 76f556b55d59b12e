"""Ollama's wire on a free loopback port; the model's name says which fault the server shows.

Models besides the faults: those of `ollama_rules`, `caller`, which calls the first tool it is offered, and `missing`.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.emulators.ollama_rules import mistake, shown
from tests.emulators.serving import serving

KEY = "ollama-emulator-key"
LISTED = ("qwen3:latest", "tiny-words:1b", "seer:latest", "embed-3:latest", "missing:latest")

_USAGE = {"total_duration": 5_000, "prompt_eval_count": 11, "prompt_eval_cached_count": 3, "eval_count": 7}


def _error(status: int, prose: str, headers: dict[str, str] | None = None) -> Response:
    # The prose repeats the key on purpose: none of it may reach an error of ours.
    return JSONResponse({"error": f"{prose}: {KEY} secret words"}, status, headers)


def _refusals() -> dict[str, Response]:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    # Of the newer servers, 0.34 and 0.40: a refusal of the llama-server within is its JSON in a string.
    within = {
        "error": {
            "code": 400,
            "message": f"request (2622 tokens) exceeds the available context size (512 tokens), {KEY} secret words",
            "type": "exceed_context_size_error",
        }
    }
    return {
        "429-seconds": _error(429, "too many concurrent requests", {"retry-after": "7"}),
        "429-ms": _error(429, "too many concurrent requests", {"retry-after": "9", "retry-after-ms": "1500"}),
        "429-date": _error(429, "too many concurrent requests", {"retry-after": date}),
        "429-garbage": _error(429, "too many concurrent requests", {"retry-after": "soon"}),
        "429-quota": _error(429, "you (ada) have reached your weekly usage limit, upgrade for higher limits"),
        "400": _error(400, "invalid character 'x' looking for beginning of value"),
        "400-overflow": JSONResponse({"error": json.dumps(within)}, 400),
        "400-overflow-old": _error(400, "the input length exceeds the context length"),  # 0.12.6
        "401": _error(401, "unauthorized"),
        "404": _error(404, "model '404' not found"),
        "413": Response("<html>Request Entity Too Large</html>", 413, media_type="text/html"),
        "500": _error(500, "llama runner process has terminated: exit status 2"),
        "500-memory": _error(500, "model requires more system memory (39.4 GiB) than is available (30.0 GiB)"),
        "503": _error(503, "server busy, please try again.  maximum pending requests exceeded"),  # OLLAMA_MAX_QUEUE
        "529": _error(529, "overloaded", {"retry-after": "2"}),
        "html": Response("<html>hello</html>", 200, media_type="text/html"),
        "moved": Response(status_code=301, headers={"location": "https://elsewhere.example/api/chat"}),
        "no-tools-after-all": _error(400, "registry.ollama.ai/library/x does not support tools"),
    }


class Emulator:
    """The server's address, what it was asked, and whether a stream was hung up on.

    Attributes:
        requests: the bodies of all chat and embedding requests, in order.
        shown: the models that were asked for with `/api/show`, in order.
        hung_up: set when a client leaves the model `stall`.
        digests: digest by name, for those that have another than the first one.
        keyless: whether the server asks for no key, as on one's own machine.
        authorized_as: the last request's header.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.shown: list[str] = []
        self.hung_up = threading.Event()
        self.digests: dict[str, str] = {}
        self.keyless = False
        self.authorized_as: str | None = None

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        if refused := self._unauthorized(request) or _refusals().get(body["model"]):
            return refused
        if wrong := mistake(body):
            return _error(400, wrong)
        return StreamingResponse(self._stream(body), media_type="application/x-ndjson")

    async def show(self, request: Request) -> Response:
        model = (await request.json())["model"]
        self.shown.append(model)
        if refused := self._unauthorized(request):
            return refused
        name = model.partition(":")[0]
        return _error(404, f"model '{model}' not found") if name == "missing" else JSONResponse(shown(name))

    async def tags(self, request: Request) -> Response:
        if refused := self._unauthorized(request):
            return refused
        entries = [
            {
                "name": name,
                "model": name,
                "modified_at": "2026-05-04T14:56:49.277302595-07:00",
                "size": 7_365_960_935,
                "digest": self.digests.get(name, "9f438cb9cd581fc025612d27f7c1a6669ff83a8bb0ed86c94fcf4c5440555697"),
                "details": {"format": "gguf", "family": "llama", "parameter_size": "13B", "quantization_level": "Q4_0"},
            }
            for name in LISTED
        ]
        return JSONResponse({"models": [*entries, "junk", {"name": 5}]})

    async def embed(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        if refused := self._unauthorized(request) or _refusals().get(body["model"]):
            return refused
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        if body["model"] == "embed-none":
            return JSONResponse({"model": body["model"], "embeddings": None})
        # With `truncate` false a text beyond the window is refused, else it is cut.
        if body.get("truncate") is False and any(len(text) > body["options"]["num_ctx"] for text in texts):
            return _error(400, "the input length exceeds the context length")
        dims = int(body["model"].partition(":")[0].rpartition("-")[2])
        vectors = [[float(len(text) + at) for at in range(dims)] for text in texts]
        return JSONResponse({"model": body["model"], "embeddings": vectors, "prompt_eval_count": len(texts)})

    def _unauthorized(self, request: Request) -> Response | None:
        self.authorized_as = request.headers.get("authorization")
        return None if self.keyless or self.authorized_as == f"Bearer {KEY}" else _error(401, "unauthorized")

    async def _stream(self, body: dict[str, Any]) -> AsyncIterator[str]:
        model = body["model"]
        if model == "slow-first":
            await asyncio.sleep(0.3)
        if model == "garbage":
            yield "{this is no json\n"
        elif model == "not-a-chunk":
            yield "[1, 2]\n"
        elif model == "bad-arguments":  # arguments are objects here: text that is none fails within the server
            yield _line(
                {"error": f"error parsing tool call: raw='{KEY} secret words usage limit', err=invalid character"}
            )
        else:
            async for line in self._reply(body):
                yield line

    async def _reply(self, body: dict[str, Any]) -> AsyncIterator[str]:
        model = body["model"]
        for message in _messages(body):
            yield _line({"model": model, "message": {"role": "assistant", **message}, "done": False})
            if model == "broken":
                raise ConnectionResetError("the emulator hangs up")
            if model == "in-stream-error":
                yield _line({"error": f"an error was encountered while running the model: {KEY} secret words"})
                return
            if model == "stall" and message.get("content"):
                try:
                    await asyncio.Event().wait()
                finally:
                    self.hung_up.set()
        if model == "cut":
            return
        reason = {"length": "length", "loaded": "load"}.get(model, "stop")
        usage = dict(_USAGE)
        if model == "cut-prompt":  # what a server before 0.12.6 makes of a prompt that does not fit
            usage["prompt_eval_count"] = body["options"]["num_ctx"]
        end = {"model": model, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": reason}
        yield _line(end | usage)


def _messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    match body["model"]:
        case "empty":
            return []
        case "silent":
            return [{"content": " "}]
        case "duplicate-ids":
            return [{"content": "", "tool_calls": [_call("one", call_id="same"), _call("two", call_id="same")]}]
        case "no-ids":  # servers before 0.12.10
            return [{"content": "", "tool_calls": [_call("one")]}, {"content": "", "tool_calls": [_call("two")]}]
        case "parallel":
            return [{"content": "", "tool_calls": [_call("take_note", call_id="a"), _call("look_up", call_id="b")]}]
        case "thinker":
            return [{"content": "", "thinking": "hm "}, {"content": "", "thinking": "yes"}, {"content": "Done."}]
        case "think-tags":
            return [{"content": "<thi"}, {"content": "nk>hm yes</think>"}, {"content": "Done."}]
        case "odd-types":
            return [
                {"content": 5, "tool_calls": "none", "thinking": {}},
                {"content": "fine", "tool_calls": [7, {"function": 5}, {"function": {"name": ""}}]},
            ]
        case "caller":
            name = body["tools"][0]["function"]["name"]
            return [{"content": "", "tool_calls": [_call(name, call_id="call_1")]}]
    form = body.get("format")
    if isinstance(form, dict):
        return [{"content": piece} for piece in _fitting(form)]
    said = body["messages"][-1]["content"]
    return [{"content": ""}, {"content": "You said: "}, {"content": said}]


def _fitting(form: dict[str, Any]) -> list[str]:
    """A text of the form asked for: a call, where the form is that of one."""
    call = form.get("oneOf", [form])[0]
    name = call.get("properties", {}).get("tool", {}).get("const")
    if name is None:
        return ['{"answer": ', '"yes"}']
    return [f'{{"tool": "{name}", ', '"arguments": {"text": ', '"x"}}']


def _call(name: str, *, call_id: str | None = None) -> dict[str, Any]:
    call = {"function": {"index": 0, "name": name, "arguments": {"text": "x"}}}
    return {"id": call_id, **call} if call_id else call


def _line(value: object) -> str:
    return json.dumps(value) + "\n"


async def _not_found(request: Request, error: Exception) -> Response:
    return PlainTextResponse("404 page not found", 404)


@contextmanager
def running() -> Iterator[Emulator]:
    """An emulator in a thread, until the block ends."""
    emulator = Emulator()
    app = Starlette(
        routes=[
            Route("/api/chat", emulator.chat, methods=["POST"]),
            Route("/api/show", emulator.show, methods=["POST"]),
            Route("/api/embed", emulator.embed, methods=["POST"]),
            Route("/api/tags", emulator.tags),
            Route("/api/version", lambda _: JSONResponse({"version": "0.33.2"})),
        ],
        exception_handlers={404: _not_found},
    )
    with serving(app) as root:
        emulator.url = root
        yield emulator
