"""Anthropic's Messages API on a free loopback port; the model's name says which fault the server shows."""

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

from tests.emulators.anthropic_rules import SAMPLED, Body, Refused, Thought, blocks, check, thinks
from tests.emulators.serving import serving

KEY = "sk-ant-emulator-key"
_BEGUN = {"input_tokens": 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 4, "output_tokens": 1}
_ENDED = {"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 2}}

# As the vendor's listing has them, but for fields nobody reads.
_ABLE = {"supported": True}
_UNABLE = {"supported": False}
_MODELS: list[Any] = [
    {
        "type": "model",
        "id": "claude-opus-5-5",
        "display_name": "Claude Opus 5.5",
        "created_at": "2026-09-22T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 1_000_000,
        "max_tokens": 128_000,
        "capabilities": {
            "image_input": _ABLE,
            "structured_outputs": _ABLE,
            "thinking": {"supported": True, "types": {"adaptive": _ABLE, "enabled": _UNABLE, "disabled": _UNABLE}},
        },
    },
    {
        "type": "model",
        "id": "claude-haiku-4-5-20251001",
        "display_name": "Claude Haiku 4.5",
        "max_input_tokens": 200_000,
    },
    "junk",
    {
        "type": "model",
        "id": "claude-novella-7",
        "display_name": "Claude Novella 7",
        "max_input_tokens": 3_000_000,
        "max_tokens": 256_000,
        "capabilities": {
            "image_input": _UNABLE,
            "structured_outputs": _UNABLE,
            "effort": {"supported": True, "low": _ABLE, "medium": _UNABLE, "high": _ABLE, "xhigh": None},
            "thinking": {
                "supported": True,
                "types": {"adaptive": _UNABLE, "enabled": _ABLE, "disabled": _ABLE, "between_tools": _UNABLE},
            },
        },
    },
]


def _error(status: int, kind: str, headers: dict[str, str] | None = None, prose: str = "no", **more: Any) -> Response:
    return JSONResponse(_error_body(kind, prose, **more), status, headers)


def _error_body(kind: str, prose: str, **more: Any) -> Body:
    # The prose repeats the key on purpose: none of it may reach an error of ours.
    error = {"type": kind, "message": f"{prose}: {KEY} secret words", **more}
    return {"type": "error", "error": error, "request_id": "req_1"}


def _refusals() -> dict[str, Response]:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    return {
        "429-seconds": _error(429, "rate_limit_error", {"retry-after": "7"}),
        "429-ms": _error(429, "rate_limit_error", {"retry-after": "9", "retry-after-ms": "1500"}),
        "429-date": _error(429, "rate_limit_error", {"retry-after": date}),
        "429-garbage": _error(429, "rate_limit_error", {"retry-after": "soon"}),
        "429-quota": _error(429, "rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
        "402": _error(402, "billing_error"),
        "400": _error(400, "invalid_request_error"),
        "400-overflow": _error(400, "invalid_request_error", prose="prompt is too long: 208310 tokens"),
        "400-filter": _error(400, "invalid_request_error", prose="Output blocked by content filtering policy"),
        "401": _error(401, "authentication_error"),
        "403": _error(403, "permission_error"),
        "404": _error(404, "not_found_error"),
        "413": _error(413, "request_too_large"),
        "500": Response("<html>oops</html>", 500, media_type="text/html"),
        "504": _error(504, "timeout_error"),
        "529": _error(529, "overloaded_error", {"retry-after": "2"}),
        "html": Response("<html>hello</html>", 200, media_type="text/html"),
    }


class Emulator:
    """The server's address, what it was asked, and whether a stream was hung up on.

    Attributes:
        requests: the bodies of all requests for a message, in order.
        headers: theirs.
        refused: why it refused, for each body that a real service would refuse.
        hung_up: set when a client leaves the model `stall`.
        page: most models of one page of the listing.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.refused: list[str] = []
        self.hung_up = threading.Event()
        self.page = 2
        self._thoughts: dict[str, Thought] = {}

    async def message(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        if not _allowed(request):
            return _error(401, "authentication_error")
        if (refusal := _refusals().get(body["model"])) is not None:
            return refusal
        try:
            check(body, dict(request.headers), self._thoughts)
        except Refused as refused:
            self.refused.append(str(refused))
            return _error(400, "invalid_request_error", prose=str(refused))
        if not body.get("stream") or body["model"] == "whole":
            return JSONResponse(self._whole(body))
        return StreamingResponse(self._stream(body), media_type="text/event-stream")

    async def models(self, request: Request) -> Response:
        if not _allowed(request):
            return _error(401, "authentication_error")
        names = [entry["id"] if isinstance(entry, dict) else "" for entry in _MODELS]
        after = request.query_params.get("after_id")
        start = names.index(after) + 1 if after else 0
        page = _MODELS[start : start + self.page]
        last = next((each["id"] for each in reversed(page) if isinstance(each, dict)), None)
        more = start + self.page < len(_MODELS)
        return JSONResponse({"data": page, "first_id": None, "last_id": last, "has_more": more})

    def _whole(self, body: Body) -> Body:
        content = [_complete(block, deltas) for block, deltas in self._blocks(body)]
        return {"type": "message", "role": "assistant", "content": content, "stop_reason": _stop(body, content)} | {
            "usage": _BEGUN | _ENDED
        }

    async def _stream(self, body: Body) -> AsyncIterator[str]:
        model = body["model"]
        if model == "slow-first":
            await asyncio.sleep(0.3)
        if model == "garbage":
            yield "event: message_start\ndata: {this is no json\n\n"
            return
        if model == "not-a-chunk":
            yield "event: message_start\ndata: [1, 2]\n\n"
            return
        yield _event({"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "usage": _BEGUN}})
        yield _event({"type": "ping"})
        if model == "in-stream-error":
            yield _event(_error_body("overloaded_error", "died"))
            return
        found = [] if model == "empty" else self._blocks(body)
        for index, (block, deltas) in enumerate(found):
            yield _event({"type": "content_block_start", "index": index, "content_block": block})
            if model == "slow-thought" and block["type"] != "text":
                await asyncio.sleep(0.5)  # longer than a text may pause
            for delta in deltas:
                yield _event({"type": "content_block_delta", "index": index, "delta": delta})
                if model == "broken":
                    raise ConnectionResetError("the emulator hangs up")
                if model == "stall" and delta["type"] == "text_delta":
                    try:
                        await asyncio.Event().wait()
                    finally:
                        self.hung_up.set()
            yield _event({"type": "content_block_stop", "index": index})
        if model == "cut":
            return
        stop = _stop(body, [block for block, _ in found])
        yield _event({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": _ENDED})
        yield _event({"type": "message_stop"})

    def _blocks(self, body: Body) -> list[tuple[Body, list[Body]]]:
        match body["model"]:
            case "silent":
                return [_said("", [])]
            case "duplicate-ids":
                return [_called("same", "one", ["{}"]), _called("same", "two", ["{}"])]
            case "parallel":
                return [_called("toolu_a", "one", ['{"text": "x"}']), _called("toolu_b", "two", ["{}"])]
            case "bad-arguments":
                return [_called("toolu_a", "one", ['{"x": '])]
            case "odd-types":
                odd: Any = {"type": "text_delta", "text": 5}
                return [({"type": "text", "text": None}, [odd]), ({"type": ["x"]}, []), _said("", ["fine"])]
            case "slow-thought":
                return [*self._thought(body)[:1], _said("", ["Done."]), _called("toolu_a", "one", ["{}"])]
            case "late-thought":
                return [*self._thought(body), _called("toolu_a", "one", ["{}"]), *self._thought(body)]
        spoken = self._thought(body) if thinks(body) else []
        if name := _demanded(body):
            return [*spoken, _called(f"toolu_{len(self.requests)}", name, ["", '{"text": ', '"x"}'])]
        return [*spoken, _said("", ["You said: ", _last_words(body)])]

    def _thought(self, body: Body) -> list[tuple[Body, list[Body]]]:
        """A thought and a redacted one, each with its proof; the text only where it is to be shown."""
        display = (body.get("thinking") or {}).get("display")
        old = body["model"] in SAMPLED or not body["model"].startswith("claude-")
        shown = "hm yes" if display == "summarized" or (display is None and old) else ""
        number = len(self._thoughts)
        proof, data = f"proof-{number}+/=", f"redacted-{number}"
        self._thoughts[proof] = Thought(body, shown)
        self._thoughts[data] = Thought(body, "")
        deltas = [{"type": "thinking_delta", "thinking": text} for text in ("hm ", "yes") if shown]
        thought = {"type": "thinking", "thinking": "", "signature": ""}
        return [
            (thought, [*deltas, {"type": "signature_delta", "signature": proof}]),
            ({"type": "redacted_thinking", "data": data}, []),
        ]


def _allowed(request: Request) -> bool:
    """By the key in either header: the SDK sends the one, older clients the other."""
    return request.headers.get("authorization") == f"Bearer {KEY}" or request.headers.get("x-api-key") == KEY


def _demanded(body: Body) -> str | None:
    """The tool to call: one that is forced, or one that the last words of the user tell the model to call."""
    choice, tools = body.get("tool_choice") or {}, body.get("tools") or [{}]
    if choice.get("type") == "tool":
        return str(choice["name"])
    if choice.get("type") == "any":
        return str(tools[0]["name"])
    words = _last_words(body)
    told = [tool["name"] for tool in tools if tool and f"`{tool['name']}`" in words]
    return told[0] if told and choice.get("type") == "auto" and "Call " in words else None


def _last_words(body: Body) -> str:
    said = blocks(body["messages"][-1])
    return next((block["text"] for block in reversed(said) if block["type"] == "text"), "nothing")


def _stop(body: Body, content: list[Body]) -> str:
    told = {"length": "max_tokens", "filtered": "refusal", "window": "model_context_window_exceeded"}
    calls = any(block["type"] == "tool_use" for block in content)
    return told.get(body["model"], "tool_use" if calls else "end_turn")


def _said(text: str, deltas: list[str]) -> tuple[Body, list[Body]]:
    return {"type": "text", "text": text}, [{"type": "text_delta", "text": each} for each in deltas]


def _called(call_id: str, name: str, arguments: list[str]) -> tuple[Body, list[Body]]:
    block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    return block, [{"type": "input_json_delta", "partial_json": each} for each in arguments]


def _complete(block: Body, deltas: list[Body]) -> Body:
    """The block as it stands in a reply that comes whole."""
    whole = dict(block)
    if block["type"] == "tool_use":
        return whole | {"input": json.loads("".join(each["partial_json"] for each in deltas))}
    for delta in deltas:
        field = delta["type"].removesuffix("_delta")
        whole[field] = whole[field] + delta[field]
    return whole


def _event(data: Body) -> str:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n"


@contextmanager
def running() -> Iterator[Emulator]:
    """An emulator in a thread, until the block ends."""
    emulator = Emulator()
    app = Starlette(
        routes=[
            Route("/v1/messages", emulator.message, methods=["POST"]),
            Route("/v1/models", emulator.models),
        ]
    )
    with serving(app) as root:
        emulator.url = root
        yield emulator
