"""What the server of each vendor would say, and how it is said in this process: replies in pieces, without a socket."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import httpx
import httpx2

from o.domain.json import JsonObject

_WORDS = (" the", " memory", " of", " an", " agent", " is", " kept", " in", " blocks", ".")
_SHOWN = b'{"capabilities":["completion","tools"],"model_info":{"general.architecture":"q","q.context_length":40960}}'


def words(tokens: int) -> list[str]:
    """A text of that many tokens, each as one piece."""
    return [_WORDS[at % len(_WORDS)] for at in range(tokens)]


class Server:
    """Answers every request with `chunks`, each as one read from the network would bring it; no socket is there."""

    def __init__(self, media_type: str) -> None:
        self.chunks: Sequence[bytes] = ()
        self._asked = b"{}"
        self._headers = {"content-type": media_type}

    @property
    def body(self) -> JsonObject:
        """What was asked last."""
        body: JsonObject = json.loads(self._asked)
        return body

    def httpx(self) -> httpx.AsyncBaseTransport:
        return httpx.MockTransport(
            lambda asked: httpx.Response(
                200, headers=self._headers, content=self._answer(asked.url.path, asked.content)
            )
        )

    def httpx2(self) -> httpx2.AsyncBaseTransport:
        return httpx2.MockTransport(
            lambda asked: httpx2.Response(
                200, headers=self._headers, content=self._answer(asked.url.path, asked.content)
            )
        )

    def _answer(self, path: str, content: bytes) -> AsyncIterator[bytes]:
        self._asked = content
        return _sent(answer_to(path, self.chunks))


def answer_to(path: str, chunks: Sequence[bytes]) -> Sequence[bytes]:
    """The reply, or what Ollama says of a model when it is asked for that."""
    return [_SHOWN] if path.endswith("/api/show") else chunks


async def _sent(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


# Chunks have the fields the vendors send, for an SDK parses all of them.


def _line(value: JsonObject) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _chat(deltas: Iterable[JsonObject], finish: str) -> list[bytes]:
    head: JsonObject = {"id": "chatcmpl-C1aB2cD3", "object": "chat.completion.chunk", "created": 1_780_000_000}
    head |= {"model": "gpt-4o-mini", "service_tier": "default", "system_fingerprint": "fp_560af6e559"}

    def chunk(choices: list[JsonObject], usage: JsonObject | None = None) -> bytes:
        return b"data: " + _line(head | {"choices": choices, "usage": usage}) + b"\n\n"

    def choice(delta: JsonObject, reason: str | None = None) -> list[JsonObject]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]

    counts = {"prompt_tokens": 1500, "completion_tokens": 200, "total_tokens": 1700}
    first = chunk(choice({"role": "assistant", "content": "", "refusal": None}))
    pieces = [chunk(choice(delta)) for delta in deltas]
    return [first, *pieces, chunk(choice({}, finish)), chunk([], counts), b"data: [DONE]\n\n"]


def chat_text(pieces: Sequence[str]) -> list[bytes]:
    return _chat(({"content": piece} for piece in pieces), "stop")


def chat_call(pieces: Sequence[str]) -> list[bytes]:
    begun = {"index": 0, "id": "call_9", "type": "function", "function": {"name": "tool_0", "arguments": ""}}
    more = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"text":"', *pieces, '"}')]
    return _chat(({"tool_calls": [call]} for call in (begun, *more)), "tool_calls")


def local_call(pieces: Sequence[str]) -> list[bytes]:
    """What a model without tools of its own is held to write."""
    return chat_text(['{"tool": "tool_0", "arguments": {"text": "', *pieces, '"}}'])


def _blocks(block: JsonObject, deltas: Iterable[JsonObject], stop: str) -> list[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: ".encode() + _line({"type": kind, **fields}) + b"\n\n"

    counts = {"input_tokens": 1500, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    message = {"id": "msg_01", "type": "message", "role": "assistant", "model": "claude-sonnet-5", "content": []}
    return [
        event("message_start", message=message | {"stop_reason": None, "stop_sequence": None, "usage": counts}),
        event("content_block_start", index=0, content_block=block),
        event("ping"),
        *(event("content_block_delta", index=0, delta=delta) for delta in deltas),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": 200}),
        event("message_stop"),
    ]


def anthropic_text(pieces: Sequence[str]) -> list[bytes]:
    deltas = ({"type": "text_delta", "text": piece} for piece in pieces)
    return _blocks({"type": "text", "text": ""}, deltas, "end_turn")


def anthropic_call(pieces: Sequence[str]) -> list[bytes]:
    block = {"type": "tool_use", "id": "toolu_9", "name": "tool_0", "input": {}}
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in ('{"text":"', *pieces, '"}'))
    return _blocks(block, deltas, "tool_use")


def _lines(messages: Iterable[JsonObject]) -> list[bytes]:
    head = {"model": "qwen3", "created_at": "2026-01-01T00:00:00.123456789Z"}
    lines = [{**head, "message": {"role": "assistant", **message}, "done": False} for message in messages]
    end = {**head, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
    counts = {"total_duration": 4_000_000_000, "prompt_eval_count": 1500, "eval_count": 200}
    return [_line(line) + b"\n" for line in (*lines, end | counts)]


def ollama_text(pieces: Sequence[str]) -> list[bytes]:
    return _lines({"content": piece} for piece in pieces)


def ollama_call(pieces: Sequence[str]) -> list[bytes]:
    function = {"index": 0, "name": "tool_0", "arguments": {"text": "".join(pieces)}}
    return _lines([{"content": "", "tool_calls": [{"id": "call_9", "function": function}]}])
