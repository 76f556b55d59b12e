"""Groq's wire: OpenAI's under another path, with refusals, counts and errors of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulators import openai_server
from tests.emulators.openai_replies import USAGE, Body
from tests.emulators.openai_server import KEY, error
from tests.emulators.serving import serving

__all__ = ["KEY", "Emulator", "running"]

_ROOT = "/openai/v1"  # https://console.groq.com/docs/api-reference


class Emulator(openai_server.Emulator):
    """As OpenAI's. `url` is what `GROQ_BASE_URL` would be: the host alone."""

    flavour = "groq"

    def routes(self) -> list[Route]:
        return [
            Route(f"{_ROOT}/chat/completions", self.chat, methods=["POST"]),
            Route(f"{_ROOT}/models", self.models),
        ]

    def refusals(self) -> dict[str, Response]:
        # https://console.groq.com/docs/errors, /docs/tool-use, /docs/structured-outputs, /docs/flex-processing
        failed = {"message": "Failed to call a function.", "type": "invalid_request_error", "code": "tool_use_failed"}
        failed["failed_generation"] = f"<function=secret words {KEY}>"
        return super().refusals() | {
            "tool-use-failed": JSONResponse({"error": failed}, 400),
            "json-failed": error(400, "json_validate_failed", failed_generation="secret words"),
            "decommissioned": error(400, "model_decommissioned"),
            "413-tokens": error(413, "rate_limit_exceeded", type="tokens"),
            "422": error(422, None),
            "498": error(498, "capacity_exceeded"),
        }

    def ends(self, model: str) -> list[object]:
        last: Body = {"index": 0, "delta": {}, "finish_reason": "stop"}
        if model == "stream-error":
            return [{"choices": [], "x_groq": {"error": f"over capacity {KEY}"}}]
        if model in ("length", "filtered"):
            return super().ends(model)
        return [{"choices": [last], "x_groq": {"id": "req_1", "usage": USAGE | {"queue_time": 0.1}}}]


@contextmanager
def running() -> Iterator[Emulator]:
    """An emulator in a thread, until the block ends."""
    emulator = Emulator()
    with serving(Starlette(routes=emulator.routes())) as root:
        emulator.root = emulator.url = root
        yield emulator
