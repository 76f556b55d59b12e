"""Frames between worker and executor."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.sandbox.base import CodeCall, CodeResult, Egress, Limits
from o.sandbox.protocol import (
    LONGEST,
    BrokenFrame,
    PrepareAsk,
    Refusal,
    RunAnswer,
    RunAsk,
    pack,
    read_answer,
    read_ask,
    read_bytes,
)


def _reader(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


async def test_a_call_crosses_whole() -> None:
    call = CodeCall(
        source="def f(): ...",
        function="f",
        arguments={"a": [1, None, "ü"]},
        environment={"KEY": "secret"},
        agent_state={"id": "agent-1", "blocks": []},
        egress=Egress(socket="/run/x", token="t"),
        limits=Limits(wall=3),
    )
    assert await read_ask(_reader(pack(RunAsk(call=call)))) == RunAsk(call=call)


async def test_answers_cross_whole() -> None:
    for answer in (
        RunAnswer(result=CodeResult(outcome="returned", value={"a": [1.5, None]})),
        Refusal(kind="invalid", message="no"),
    ):
        assert await read_answer(_reader(pack(answer))) == answer


async def test_frames_follow_each_other() -> None:
    reader = _reader(pack(b"one") + pack(b"two"))
    assert [await read_bytes(reader) for _ in range(3)] == [b"one", b"two", b""]


@given(st.binary(max_size=100))
def test_any_bytes_are_a_question_an_end_or_broken(data: bytes) -> None:
    async def judged() -> Any:
        try:
            return await read_ask(_reader(data))
        except BrokenFrame:
            return None

    assert asyncio.run(judged()) is None


@given(st.binary(max_size=60))
def test_any_document_is_a_question_or_broken(body: bytes) -> None:
    async def judged() -> None:
        with pytest.raises(BrokenFrame):
            await read_ask(_reader(b"J" + len(body).to_bytes(4, "big") + body))

    asyncio.run(judged())


async def test_what_is_too_long_is_not_even_read() -> None:
    with pytest.raises(BrokenFrame):
        await read_ask(_reader(b"J" + (LONGEST + 1).to_bytes(4, "big")))
    with pytest.raises(ValueError, match="longer"):
        pack(b"x" * (LONGEST + 1))


async def test_a_broken_question_does_not_repeat_its_secrets() -> None:
    frame = pack(PrepareAsk(requirements=("a",))).replace(b'"ask":"prepare"', b'"ask":"secret0"')
    with pytest.raises(BrokenFrame) as caught:
        await read_ask(_reader(frame))
    assert "requirements" not in str(caught.value)
