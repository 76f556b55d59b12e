"""OpenAI's wires on a free loopback port; the model's name says which fault the server shows.

`/v1` is OpenAI's own service; `/NAME/v1` is the service of a preset, with its listing and what it refuses.
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
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.emulators.openai_listings import listing
from tests.emulators.openai_replies import USAGE, Body, deltas, odd_models, whole
from tests.emulators.openai_responses import FAULTS, ResponsesWire
from tests.emulators.openai_rules import refusal
from tests.emulators.serving import serving

KEY = "sk-emulator-key"
_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
# Servers of one's own: whoever reaches them may ask.
_OPEN = ("vllm", "sglang", "lmstudio", "llamacpp")
# Streams with a fault in them, and one without any.
_FAULTS = (
    *("slow-first", "in-stream-error", "in-stream-status", "garbage", "not-a-chunk", "broken", "stall", "cut"),
    *("sane", "length", "filtered", "filtered-why", "gave-up", "eos", "one-json"),
    *("no-finish", "choice-usage", "total-only", "cache-hits", "stream-error"),
)


def error(status: int, code: str | int | None, headers: dict[str, str] | None = None, **more: str) -> Response:
    """A refusal. Its prose repeats the key on purpose: none of it may reach an error of ours."""
    told = {"message": f"no: {KEY} secret words", "type": "invalid_request_error", "code": code} | more
    return JSONResponse({"error": told}, status, headers)


def _refusals() -> dict[str, Response]:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    return {
        "429-seconds": error(429, "rate_limit_exceeded", {"retry-after": "7"}),
        "429-ms": error(429, "rate_limit_exceeded", {"retry-after": "9", "retry-after-ms": "1500"}),
        "429-date": error(429, "rate_limit_exceeded", {"retry-after": date}),
        "429-garbage": error(429, None, {"retry-after": "soon"}),
        "429-quota": error(429, "insufficient_quota"),
        "400": error(400, "invalid_value"),
        "400-overflow": error(400, "context_length_exceeded"),
        "400-filter": error(400, "content_filter"),
        "401": error(401, "invalid_api_key"),
        "404": error(404, "model_not_found"),
        "413": error(413, None),
        "no-such-model": error(404, "model_not_found"),
        "500": Response("<html>oops</html>", 500, media_type="text/html"),
        "529": error(529, "overloaded", {"retry-after": "2"}),
        "html": Response("<html>hello</html>", 200, media_type="text/html"),
        "200-error": error(200, 429),  # OpenRouter, when the service behind it fails
    }


class Emulator:
    """The server's address, what it was asked, and whether a stream was hung up on.

    Attributes:
        url: of OpenAI's own service.
        root: the same without its path.
        requests: the bodies of all requests for a reply, in order.
        hung_up: set when a client leaves the model `stall`.
        wire: the Responses API of OpenAI's own service, at the same address.
    """

    flavour = "openai"

    def __init__(self) -> None:
        self.root = self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.hung_up = threading.Event()
        self.wire = ResponsesWire(self.hung_up)

    def routes(self) -> list[Route]:
        services = ["/v1", "/{flavour}/v1"]
        return [
            *(Route(f"{each}/chat/completions", self.chat, methods=["POST"]) for each in services),
            *(Route(f"{each}/embeddings", self.embeddings, methods=["POST"]) for each in services),
            *(Route(f"{each}/models", self.models) for each in services),
            Route("/v1/responses", self.responses, methods=["POST"]),
            Route("/api/v0/models", self.models),  # LM Studio's own
        ]

    def refusals(self) -> dict[str, Response]:
        return _refusals()

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        flavour = self._flavour(request)
        if (refused := self._refused(request, flavour)) or (refused := self.refusals().get(body["model"])):
            return refused
        if reason := refusal(body, flavour):
            return error(422 if flavour == "mistral" else 400, None, message=f"{reason} {KEY} secret words")
        if not body.get("stream") or body["model"] == "one-json":
            return JSONResponse(whole(body))
        return StreamingResponse(self._stream(body), media_type="text/event-stream")

    async def responses(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        if (refused := self._refused(request, "openai")) or (refused := self.refusals().get(body["model"])):
            return refused
        if why := self.wire.refusal(body):
            return error(400, why.code, message=f"{why.reason} {KEY} secret words", param=why.param)
        if not body["stream"] or body["model"] == "one-json":
            return JSONResponse(self.wire.whole(body))
        return StreamingResponse(self.wire.stream(body), media_type="text/event-stream")

    async def embeddings(self, request: Request) -> Response:
        body = await request.json()
        model, texts = body["model"], body["input"]
        if (refused := self._refused(request, self._flavour(request))) or (refused := self.refusals().get(model)):
            return refused
        # https://developers.openai.com/api/reference/resources/embeddings: 1 to 2048 texts, none of them empty
        if not 1 <= len(texts) <= 2048 or "" in texts:
            return error(400, "invalid_input")
        size = _DIMENSIONS.get(model, int(model.removeprefix("embed-")) if model.startswith("embed-") else 8)
        rows = [{"index": at, "embedding": [len(text) + 1.0, *[0.5] * (size - 1)]} for at, text in enumerate(texts)]
        if model == "ragged":
            rows[-1]["embedding"] = [1.0]
        return JSONResponse({"data": "none" if model == "no-vectors" else rows[::-1], "usage": {"prompt_tokens": 3}})

    async def models(self, request: Request) -> Response:
        flavour = "lmstudio" if request.url.path == "/api/v0/models" else self._flavour(request)
        if refused := self._refused(request, flavour):
            return refused
        if flavour == "silent":
            await asyncio.Event().wait()
        body = listing(flavour)
        (body if isinstance(body, list) else body["data"]).extend({"id": name} for name in self._faulty())
        return JSONResponse(body)

    def _faulty(self) -> list[str]:
        """The names of all that shows a fault: a server lists every model it has."""
        return [*(name for name in self.refusals() if name != "no-such-model"), *odd_models(), *_FAULTS, *FAULTS]

    def _flavour(self, request: Request) -> str:
        flavour: str = request.path_params.get("flavour", self.flavour)
        return flavour

    def _refused(self, request: Request, flavour: str) -> Response | None:
        if flavour in _OPEN or request.headers.get("authorization") == f"Bearer {KEY}":
            return None
        return error(401, "invalid_api_key")

    async def _stream(self, body: Body) -> AsyncIterator[str]:
        model = body["model"]
        if model == "slow-first":
            await asyncio.sleep(0.3)
        broken = {
            "in-stream-error": {"error": {"message": f"{KEY} died", "code": "server_error", "type": "server_error"}},
            "in-stream-status": {"error": {"message": f"{KEY} died", "code": 502}, "choices": []},
            "not-a-chunk": [1, 2],
        }
        if model in broken:
            yield data(broken[model])
            return
        if model == "garbage":
            yield "data: {this is no json\n\n"
            return
        for delta in deltas(body):
            yield data({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            if model == "broken":
                raise ConnectionResetError("the emulator hangs up")
            if model == "stall" and delta.get("content"):
                try:
                    await asyncio.Event().wait()
                finally:
                    self.hung_up.set()
        if model == "cut":
            return
        for chunk in self.ends(model):
            yield data(chunk)
        yield "data: [DONE]\n\n"

    def ends(self, model: str) -> list[object]:
        """The last chunks of a reply."""
        reasons = {"length": "length", "filtered": "content_filter", "gave-up": "error", "eos": "eos"}
        reasons |= {"filtered-why": "content_filter: RECITATION"}
        last: Body = {"index": 0, "delta": {}, "finish_reason": reasons.get(model, "stop")}
        match model:
            case "no-finish":
                return [{"choices": [], "usage": USAGE}]
            case "choice-usage":  # Moonshot
                return [{"choices": [last | {"usage": USAGE}]}]
            case "total-only":  # xAI and Gemini count thoughts in the total alone
                usage = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 18}
                return [{"choices": [last], "usage": usage}]
            case "cache-hits":  # DeepSeek
                return [{"choices": [last], "usage": {"prompt_tokens": 11, "prompt_cache_hit_tokens": 4}}]
        return [{"choices": [last]}, {"choices": [], "usage": USAGE}]


def data(value: object) -> str:
    return f"data: {json.dumps(value)}\n\n"


@contextmanager
def running() -> Iterator[Emulator]:
    """An emulator in a thread, until the block ends."""
    emulator = Emulator()
    with serving(Starlette(routes=emulator.routes())) as root:
        emulator.root, emulator.url = root, f"{root}/v1"
        yield emulator
