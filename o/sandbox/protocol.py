"""What worker and executor say to each other: frames of JSON or of bytes, each with its length, over a unix socket.

One connection is one call, one program or one question. Whoever asked cancels by closing it.
"""

import asyncio
import struct
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from o.sandbox.base import CodeCall, CodeResult, Egress, Limits, SandboxReport

# Bytes of one frame: a call's source and arguments, or a result with both outputs and the agent's state.
LONGEST = 80 * 2**20
_HEADER = struct.Struct("!cI")
_JSON, _BYTES = b"J", b"B"
_M = TypeVar("_M")


class BrokenFrame(Exception):
    """What came is no frame of this protocol; the connection is of no more use."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunAsk(_Message):
    ask: Literal["run"] = "run"
    call: CodeCall


class PrepareAsk(_Message):
    ask: Literal["prepare"] = "prepare"
    requirements: tuple[str, ...]
    egress: Egress | None = None
    index: str | None = Field(default=None, repr=False)  # it may hold a password


class StartAsk(_Message):
    ask: Literal["start"] = "start"
    command: tuple[str, ...]
    environment: dict[str, str] = Field(repr=False)
    egress: Egress | None = None
    limits: Limits


class ReportAsk(_Message):
    ask: Literal["report"] = "report"


class RunAnswer(_Message):
    answer: Literal["result"] = "result"
    result: CodeResult


class PrepareAnswer(_Message):
    answer: Literal["prepared"] = "prepared"
    libraries: str


class StartAnswer(_Message):
    """The program runs; its bytes follow, in both directions."""

    answer: Literal["started"] = "started"


class ReportAnswer(_Message):
    answer: Literal["report"] = "report"
    report: SandboxReport


class Refusal(_Message):
    """Nothing was done: the machine cannot (`unavailable`), or the question makes no sense (`invalid`)."""

    answer: Literal["refusal"] = "refusal"
    kind: Literal["unavailable", "invalid"]
    message: str


Ask = Annotated[RunAsk | PrepareAsk | StartAsk | ReportAsk, Field(discriminator="ask")]
Answer = Annotated[RunAnswer | PrepareAnswer | StartAnswer | ReportAnswer | Refusal, Field(discriminator="answer")]
AnswerKind = TypeVar("AnswerKind", RunAnswer, PrepareAnswer, StartAnswer, ReportAnswer)
_ASK: TypeAdapter[Ask] = TypeAdapter(Ask)
_ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)


def pack(message: _Message | bytes) -> bytes:
    """One frame. Raises ValueError for one that would be too long."""
    kind, body = (_BYTES, message) if isinstance(message, bytes) else (_JSON, message.model_dump_json().encode())
    if len(body) > LONGEST:
        raise ValueError(f"a frame of {len(body)} bytes is longer than {LONGEST}")
    return _HEADER.pack(kind, len(body)) + body


async def read_ask(reader: asyncio.StreamReader) -> Ask | None:
    """The question of a connection; None if it ended without one. Raises BrokenFrame."""
    body = await _read(reader, _JSON)
    return None if body is None else _checked(_ASK, body)


async def read_answer(reader: asyncio.StreamReader) -> Answer | None:
    """The answer; None if the executor went away. Raises BrokenFrame."""
    body = await _read(reader, _JSON)
    return None if body is None else _checked(_ANSWER, body)


async def read_bytes(reader: asyncio.StreamReader) -> bytes:
    """The next bytes of a program; empty at their end. Raises BrokenFrame."""
    return await _read(reader, _BYTES) or b""


async def _read(reader: asyncio.StreamReader, kind: bytes) -> bytes | None:
    try:
        found, length = _HEADER.unpack(await reader.readexactly(_HEADER.size))
        if found != kind or length > LONGEST:
            raise BrokenFrame("not a frame that belongs here")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _checked(adapter: TypeAdapter[_M], body: bytes) -> _M:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        # Without the input: it may hold secrets.
        raise BrokenFrame(str(error.errors(include_input=False, include_url=False)[0]["msg"])) from None
