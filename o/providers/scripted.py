"""The deterministic provider of tests, demos and trials: the request itself says what is answered.

Models: `echo` repeats the last user message, `silent` says nothing, `json` plays the script in the last user
message. All of them obey a tool choice that demands a call.
"""

import asyncio
import hashlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from o.domain.heartbeats import is_heartbeat
from o.domain.json import JsonObject
from o.domain.messages import Message
from o.domain.model import (
    Finished,
    FinishReason,
    ModelEvent,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolSpec,
    Usage,
)
from o.errors import ModelBadRequest, ModelError, NotFound
from o.providers.base import Embedder, Listing, Profile

_PROFILE = Profile(context_window=128_000, max_output_tokens=16_384, parallel_tool_calls=True, reasoning=True)
_MODELS = ("echo", "json", "silent")
_KINDS: list[type[ModelError]] = [ModelError, *ModelError.__subclasses__()]
_ERRORS = {kind.code: kind for kind in _KINDS}
_FILLERS: dict[str, Any] = {"string": "x", "integer": 1, "number": 1, "boolean": True, "array": [], "null": None}


class ScriptedCall(BaseModel):
    """A tool call; `raw` stands for arguments that are no JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    arguments: dict[str, Any] = {}
    raw: str | None = None
    id: str | None = None


class Turn(BaseModel):
    """One reply.

    Attributes:
        delay: seconds before the first event.
        delta_delay: seconds before each further word.
        error: code of the `ModelError` that is raised instead, after `partial` has been streamed.
        attempts_failing: the error is raised so often for the very same request, then the reply is played; None
            is always. Attempts are counted in the journal, so across processes, or in this one if there is none.
        finish: the reason given in the end; by default `tool_calls` or `stop`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ScriptedCall, ...] = ()
    delay: float = Field(default=0.0, ge=0)
    delta_delay: float = Field(default=0.0, ge=0)
    error: str | None = None
    partial: str = ""
    retry_after: float | None = None
    attempts_failing: int | None = None
    finish: FinishReason | None = None


class Script(BaseModel):
    """Replies in order: the k-th answers a request with k assistant messages since the last user message."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: tuple[Turn, ...]


class ScriptedProvider:
    """Answers by a script.

    Args:
        script: played for every model, instead of what the model's name means.
        journal: file to which every request appends a line of JSON (model, number of messages, fingerprint, process,
            monotonic nanoseconds; no content): what is counted there was asked, whoever was killed meanwhile.
    """

    def __init__(self, script: Script | None = None, journal: Path | None = None) -> None:
        self._script = script
        self._journal = journal
        self._attempts: Counter[str] = Counter()

    async def models(self) -> Listing:
        return Listing(dict.fromkeys(_MODELS, _PROFILE))

    async def profile(self, model: str) -> Profile:
        if self._script is None and model not in _MODELS:
            raise NotFound(f"there is no scripted model '{model[:40]}' (there are: {', '.join(_MODELS)})")
        return _PROFILE

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        fingerprint = _fingerprint(request)
        attempt = self._note(request, fingerprint)
        turn = self._turn(request)
        await asyncio.sleep(turn.delay)
        if turn.error is not None and (turn.attempts_failing is None or attempt <= turn.attempts_failing):
            async for word in _words(turn.partial, turn.delta_delay):
                yield TextDelta(word)
            if (kind := _ERRORS.get(turn.error)) is None:
                raise ModelBadRequest(f"the script names no known error (there are: {', '.join(sorted(_ERRORS))})")
            raise kind("the script says so", retry_after=turn.retry_after)
        async for word in _words(turn.reasoning, turn.delta_delay):
            yield ReasoningDelta(word)
        async for word in _words(turn.text, turn.delta_delay):
            yield TextDelta(word)
        written = len(turn.text.split())
        for index, call in enumerate(turn.tool_calls):
            arguments = json.dumps(call.arguments, ensure_ascii=False) if call.raw is None else call.raw
            yield ToolCallDelta(index, call.id or f"call_{fingerprint[:16]}_{index}", call.name)
            yield ToolCallDelta(index, arguments=arguments)
            written += len(arguments.split())
        read = sum(len(message.text.split()) for message in request.messages)
        thought = len(turn.reasoning.split())
        yield Finished(
            turn.finish or ("tool_calls" if turn.tool_calls else "stop"),
            Usage(prompt_tokens=read, completion_tokens=written + thought, reasoning_tokens=thought),
        )

    def embedder(self, model: str) -> Embedder:
        raise NotFound(f"scripts embed nothing, so there is no embedding model '{model[:40]}'")

    async def close(self) -> None:
        """Nothing is held."""

    def _turn(self, request: ModelRequest) -> Turn:
        last, played = _last_user(request.messages)
        script = self._script
        if script is None and request.model == "json":
            try:
                # What another agent says has a line above it.
                script = Script.model_validate_json(last[max(last.find("{"), 0) :])
            except ValidationError as error:
                places = ", ".join(".".join(map(str, problem["loc"])) or "JSON" for problem in error.errors())
                raise ModelBadRequest(f"the last user message is no script: look at {places[:200]}") from None
        if script is not None:
            return script.turns[played] if played < len(script.turns) else Turn(text="The script has ended.")
        if request.tools and request.tool_choice.mode in ("required", "named"):
            tool = next((each for each in request.tools if each.name == request.tool_choice.name), request.tools[0])
            return Turn(tool_calls=(ScriptedCall(name=tool.name, arguments=_filled(tool)),))
        if request.model == "silent":
            return Turn()
        if request.model == "echo":
            return Turn(text=f"You said: {last}")
        raise ModelBadRequest(f"there is no scripted model '{request.model[:40]}' (there are: {', '.join(_MODELS)})")

    def _note(self, request: ModelRequest, fingerprint: str) -> int:
        """Count this request; the number of this attempt at it, from 1."""
        if self._journal is None:
            self._attempts[fingerprint] += 1
            return self._attempts[fingerprint]
        entry = {
            "model": request.model,
            "messages": len(request.messages),
            "request": fingerprint,
            "pid": os.getpid(),
            "ns": time.monotonic_ns(),
        }
        line = json.dumps(entry).encode() + b"\n"
        # One write with O_APPEND: lines of several processes never mix.
        descriptor = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
        return sum(json.loads(each)["request"] == fingerprint for each in self._journal.read_bytes().splitlines())


async def _words(text: str, delay: float) -> AsyncIterator[str]:
    for index, word in enumerate(re.findall(r"\s*\S+\s*", text) or ([text] if text else [])):
        if index and delay:
            await asyncio.sleep(delay)
        yield word


def _last_user(messages: tuple[Message, ...]) -> tuple[str, int]:
    """The last user message's text, and how many assistant messages came after it; the loop's own do not count."""
    played = 0
    for message in reversed(messages):
        if message.role == "user" and not is_heartbeat(message.text):
            return message.text, played
        played += message.role == "assistant"
    return "", played


def _fingerprint(request: ModelRequest) -> str:
    """The same for the same conversation, whatever the system prompt says of the time of day."""
    digest = hashlib.sha256(request.model.encode())
    for message in request.messages:
        if message.role != "system":
            content = (message.role, message.text, *(returned.content for returned in message.tool_returns))
            digest.update("\x00".join(content).encode() + b"\x01")
    return digest.hexdigest()[:32]


def _filled(tool: ToolSpec) -> JsonObject:
    """Arguments that satisfy a tool's schema: its required properties with a default, or the plainest value."""
    value = _value({"type": "object", **tool.parameters})
    return value if isinstance(value, dict) else {}


def _value(schema: JsonObject) -> Any:
    if "default" in schema:
        return schema["default"]
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for either in ("anyOf", "oneOf"):
        if schema.get(either):
            return _value(schema[either][0])
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _value(properties.get(name, {})) for name in schema.get("required", ())}
    if kind in ("integer", "number"):
        return schema.get("minimum", _FILLERS[kind])
    return _FILLERS.get(kind, "x")
