"""What OpenAI's Responses wire answers, with the faults and oddities of the chat wire."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from tests.emulators.openai_replies import call, deltas
from tests.emulators.openai_responses_rules import Body, Refused, Sealed, refusal
from tests.emulators.openai_rules import _ALWAYS_THINKS

# Faults and oddities that only this wire has.
FAULTS = ("failed", "failed-prompt", "failed-image", "cancelled", "keepalive", "interleaved", "two-texts", "refuses")
_FAILED = {"failed": "server_error", "failed-prompt": "invalid_prompt", "failed-image": "invalid_image_url"}
_USAGE = {
    "input_tokens": 11,
    "output_tokens": 7,
    "total_tokens": 18,
    "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4},
    "output_tokens_details": {"reasoning_tokens": 2},
}


@dataclass
class ResponsesWire:
    """The service, as far as it remembers.

    Attributes:
        hung_up: set when a client leaves the model `stall`.
        sealed: the thoughts it gave away, by their encrypted content: whose they are, and their ids.
        refused: why it refused requests.
    """

    hung_up: threading.Event
    sealed: Sealed = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)

    def refusal(self, body: Body) -> Refused | None:
        """Why the service refuses a request; None if it does not."""
        refused = refusal(body, self.sealed)
        self.refused += [refused] if refused else []
        return refused

    def whole(self, body: Body) -> Body:
        """The reply in one piece."""
        response: Body = self.events(body)[-1]["response"]
        return response

    async def stream(self, body: Body) -> AsyncIterator[str]:
        model = body["model"]
        if model == "slow-first":
            await asyncio.sleep(0.3)
        if model == "garbage":
            yield "event: response.created\ndata: {this is no json\n\n"
            return
        if model == "not-a-chunk":
            yield "data: [1, 2]\n\n"
            return
        for event in self.events(body):
            if model == "cut" and event["type"] == "response.completed":
                return
            yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
            if model == "keepalive" and event["type"] == "response.in_progress":
                for number in range(4):  # it thinks: https://github.com/openai/openai-node/issues/1964
                    await asyncio.sleep(0.2)
                    yield f"event: keepalive\ndata: {json.dumps({'type': 'keepalive', 'sequence_number': number})}\n\n"
            if event["type"].endswith(".delta"):
                if model == "broken":
                    raise ConnectionResetError("the emulator hangs up")
                if model == "stall":
                    try:
                        await asyncio.Event().wait()
                    finally:
                        self.hung_up.set()

    def events(self, body: Body) -> list[Body]:
        """The whole stream of the reply to a request."""
        model = body["model"]
        writer = _Writer(self.sealed, model, bool(body.get("reasoning", {}).get("summary")) or model == "thinker")
        if model == "in-stream-error":
            writer.add("error", code="server_error", message="sk-emulator-key secret words", param=None)
            return writer.events
        for delta in (*_thought(body), *_deltas(body)):
            writer.write(delta)
        writer.close()
        writer.end()
        return writer.events


class _Writer:
    """Writes the pieces of a chat reply as the events of a response."""

    def __init__(self, sealed: Sealed, model: str, shows: bool) -> None:
        self._sealed, self._model, self._shows = sealed, model, shows
        self.events: list[Body] = []
        self._output: list[Body] = []
        self._open: Body | None = None
        for kind in ("created", "in_progress"):
            self.add(f"response.{kind}", response=self._response("in_progress"))

    def add(self, kind: str, **more: Any) -> None:
        self.events.append({"type": kind, "sequence_number": len(self.events)} | more)

    def write(self, delta: Body) -> None:
        if "reasoning_content" in delta and isinstance(delta["reasoning_content"], str):
            self._begin("reasoning", id=f"rs_{len(self._sealed)}_{len(self._output)}", summary=[])
            if self._shows:
                self._piece("reasoning_summary_text.delta", delta["reasoning_content"], summary_index=0)
        if delta.get("content"):
            self._begin("message", delta.get("new"), role="assistant", phase="final_answer", content=[])
            self._piece("output_text.delta", delta["content"], content_index=0)
        if "refusal" in delta:
            self._begin("message", role="assistant", content=[])
            self._piece("refusal.delta", delta["refusal"], content_index=0)
        for each in delta.get("tool_calls") or ():
            if not isinstance(each, dict):
                continue
            if "id" in each:
                self._begin("function_call", True, call_id=each["id"], name=each["function"]["name"], arguments="")
            if text := each["function"]["arguments"]:
                self._piece("function_call_arguments.delta", text)

    def close(self) -> None:
        item, self._open = self._open, None
        if item is None:
            return
        text = item.pop("text")
        match item["type"]:
            case "reasoning":
                item["encrypted_content"] = f"sealed-{item['id']}-{len(self._sealed)}"
                item["summary"] = [{"type": "summary_text", "text": text}] if text else []
                self._sealed[item["encrypted_content"]] = (self._model, item["id"])
            case "message":
                item["content"] = [{"type": "output_text", "text": text, "annotations": []}]
            case _:
                item["arguments"] = text
        item["status"] = "completed"
        self._output.append(item)
        self.add("response.output_item.done", output_index=len(self._output) - 1, item=item)

    def end(self) -> None:
        model = self._model
        if model in _FAILED:
            error = {"code": _FAILED[model], "message": "sk-emulator-key secret words"}
            self.add("response.failed", response=self._response("failed") | {"error": error})
        elif reason := {"length": "max_output_tokens", "filtered": "content_filter"}.get(model):
            details = {"incomplete_details": {"reason": reason}}
            self.add("response.incomplete", response=self._response("incomplete") | details)
        else:
            status = "cancelled" if model == "cancelled" else "completed"
            self.add(f"response.{status}", response=self._response(status))

    def _begin(self, kind: str, new: object = False, **more: Any) -> None:
        if self._open is not None and self._open["type"] == kind and not new:
            return
        self.close()
        identity = {"id": f"{ {'message': 'msg', 'function_call': 'fc'}.get(kind, kind) }_{len(self._output)}"}
        self._open = identity | {"type": kind, "status": "in_progress"} | more
        self.add("response.output_item.added", output_index=len(self._output), item=dict(self._open))
        self._open["text"] = ""

    def _piece(self, kind: str, text: Any, **more: int) -> None:
        assert self._open is not None
        self._open["text"] += text if isinstance(text, str) else ""
        place = {"item_id": self._open["id"], "output_index": len(self._output)}
        self.add(f"response.{kind}", delta=text, **place, **more)

    def _response(self, status: str) -> Body:
        response = {"id": "resp_1", "object": "response", "status": status, "error": None, "incomplete_details": None}
        return response | {"output": list(self._output), "usage": None if status == "in_progress" else _USAGE}


def _thought(body: Body) -> list[Body]:
    effort = body.get("reasoning", {}).get("effort")
    thinks = effort not in (None, "none") or _ALWAYS_THINKS.match(body["model"])
    return [{"reasoning_content": "hm "}, {"reasoning_content": "yes"}] if thinks else []


def _deltas(body: Body) -> list[Body]:
    """The reply, in the pieces of a chat completion."""
    names = [tool["name"] for tool in body.get("tools", ())] or ["one"]
    own: dict[str, list[Body]] = {
        "interleaved": [
            {"reasoning_content": "first"},
            {"tool_calls": [call(0, "a", names[0], '{"text": "x"}')]},
            {"reasoning_content": "second"},
            {"tool_calls": [call(1, "b", names[-1], '{"text": "y"}')]},
        ],
        "two-texts": [{"content": "Wait."}, {"content": "Done.", "new": True}],
        "refuses": [{"refusal": "I will not."}],
    }
    if body["model"] in own:
        return own[body["model"]]
    chat: Body = {"model": body["model"], "messages": [item for item in body["input"] if item["type"] == "message"]}
    chat["tools"] = [{"function": tool} for tool in body.get("tools", ())]
    choice = body.get("tool_choice")
    chat["tool_choice"] = {"function": choice} if isinstance(choice, dict) else choice
    if form := body.get("text", {}).get("format"):
        chat["response_format"] = {"json_schema": form}
    return deltas(chat)
