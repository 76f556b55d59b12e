"""The streams that servers of OpenAI's wire really send: each oddity by the name of the model that shows it."""

import re
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.json import JsonObject
from o.domain.messages import ReasoningPart, RedactedReasoningPart, TextPart, ToolCall
from o.domain.model import Finished, ModelReply, ReasoningDelta, TextDelta, ToolCallDelta
from o.errors import InvalidReply
from o.providers import listing_cache
from o.providers.chat import ChatProvider
from o.providers.chat_chunks import ChunkReader
from o.providers.chat_messages import wire_messages
from o.providers.dialects import UNKNOWN, Dialect
from o.providers.openai import openai_provider
from o.providers.spec import ProviderSpec
from tests.emulators.openai_server import KEY, Emulator
from tests.emulators.requests import LOOK, NOTE, gather, message, reply, request

NINE = Dialect(call_ids=re.compile(r"[A-Za-z0-9]{9}"))  # Mistral's
THOUGHT_DONE = (ReasoningPart("hm"), TextPart("Done."))


@pytest.fixture
async def provider(emulator: Emulator) -> AsyncIterator[ChatProvider]:
    spec = ProviderSpec("mine", "openai", base_url=f"{emulator.root}/any/v1", api_key=KEY)
    provider = openai_provider(spec, first_timeout=5.0, idle_timeout=0.3)
    yield provider
    await provider.close()


async def _reply(provider: ChatProvider, model: str) -> ModelReply:
    return await reply(provider, request(model, "hi", tools=(NOTE, LOOK), parallel=True))


@pytest.mark.parametrize(
    ("model", "calls"),
    [
        ("parallel", [("a", "take_note", '{"text": "x"}'), ("b", "look_up", '{"text": "y"}')]),
        ("whole-calls", [("a", "one", "{}"), ("b", "two", "{}")]),
        ("duplicate-ids", [("same", "one", "{}"), ("same_1", "two", "{}")]),
        ("all-zero", [("a", "one", "{}"), ("b", "two", "{}")]),
        ("all-zero-no-ids", [("call_0", "one", "{}"), ("call_1", "two", "{}")]),
        ("no-index", [("a", "one", '{"x": 1}'), ("b", "two", "{}")]),
        ("repeated-names", [("a", "one", '{"x": 1}'), ("b", "two", "{}")]),
        ("object-arguments", [("a", "one", '{"x": 1}')]),
        ("bad-arguments", [("a", "one", '{"x": ')]),
        ("function-call", [("call_0", "one", '{"x":1}')]),
    ],
)
async def test_calls_in_every_shape(provider: ChatProvider, model: str, calls: list[tuple[str, str, str]]) -> None:
    answer = await _reply(provider, model)
    assert answer.tool_calls == tuple(ToolCall(*call) for call in calls)
    assert answer.finish == "tool_calls"


@pytest.mark.parametrize(
    ("model", "content"),
    [
        ("thinker", (ReasoningPart("hm yes"), TextPart("Done."))),
        ("reasoning", THOUGHT_DONE),
        ("both-reasonings", THOUGHT_DONE),
        ("tagged", THOUGHT_DONE),
        ("parts", THOUGHT_DONE),
        ("odd-types", (TextPart("fine"),)),
        ("nulls", (TextPart("fine"),)),
        ("one-json", (TextPart("You said: hi"),)),
        ("no-finish", (TextPart("You said: hi"),)),
        ("eos", (TextPart("You said: hi"),)),
    ],
)
async def test_texts_in_every_shape(provider: ChatProvider, model: str, content: tuple[object, ...]) -> None:
    answer = await _reply(provider, model)
    assert answer.content == content
    assert answer.finish == "stop"


async def test_a_reply_of_nothing_is_seen_as_one(provider: ChatProvider) -> None:
    for model in ("silent", "empty"):
        answer = await _reply(provider, model)
        assert answer.is_empty
        assert answer.finish == "stop"


@pytest.mark.parametrize(
    ("model", "finish"), [("length", "length"), ("filtered", "content_filter"), ("filtered-why", "content_filter")]
)
async def test_the_finish_reason(provider: ChatProvider, model: str, finish: str) -> None:
    assert (await _reply(provider, model)).finish == finish


async def test_counts_in_every_shape(provider: ChatProvider) -> None:
    plain = (await _reply(provider, "sane")).usage
    assert (await _reply(provider, "choice-usage")).usage == plain
    assert (await _reply(provider, "one-json")).usage == plain
    assert (await _reply(provider, "total-only")).usage.completion_tokens == 7
    assert (await _reply(provider, "cache-hits")).usage.cached_input_tokens == 4


async def test_blocks_that_must_come_back_are_kept(provider: ChatProvider) -> None:
    answer = await _reply(provider, "details")
    kept = (
        '[{"type": "reasoning.text", "text": "hm", "index": 0, "id": "r", "signature": "sig"},'
        ' {"type": "reasoning.encrypted", "data": "xyz", "index": 1}]'
    )
    assert answer.content == (ReasoningPart("hm"), RedactedReasoningPart(kept, "openrouter/details"))
    alone = await _reply(provider, "details-alone")
    assert alone.content[:2] == THOUGHT_DONE


async def test_a_signature_of_google_is_kept(provider: ChatProvider) -> None:
    answer = await _reply(provider, "signed")
    assert answer.content == (ReasoningPart("", "sig", "google"),)
    assert [call.id for call in answer.tool_calls] == ["a", "b"]


async def test_a_stream_without_an_end_is_no_reply(provider: ChatProvider) -> None:
    for model in ("cut", "broken", "gave-up"):
        with pytest.raises(InvalidReply):
            await gather(provider.stream(request(model, "hi")))


def test_counts_that_come_with_every_chunk_are_no_end() -> None:
    reader = ChunkReader()
    chunk = {"choices": [{"delta": {"content": "half"}}], "usage": {"completion_tokens": 1}}
    assert list(reader.read(chunk)) == [TextDelta("half")]
    with pytest.raises(InvalidReply):
        list(reader.finish())


@pytest.mark.parametrize(
    "chunk",
    [
        {},
        {"choices": None},
        {"choices": "x"},
        {"choices": [None]},
        {"choices": [{"delta": "x", "finish_reason": 3}], "usage": "x"},
        {"choices": [{"delta": {"tool_calls": [None, 5], "reasoning_details": "x", "content": [5]}}]},
        {"usage": {"prompt_tokens": "many", "prompt_tokens_details": [], "completion_tokens": -4}},
    ],
)
def test_what_means_nothing_is_passed_over(chunk: object) -> None:
    reader = ChunkReader()
    assert list(reader.read(chunk)) == []
    assert list(reader.read({"choices": [{"delta": {}, "finish_reason": "stop"}]})) == []
    assert list(reader.finish()) == [Finished("stop")]


def test_a_call_of_odd_parts_still_is_one() -> None:
    reader = ChunkReader()
    odd = {"index": "0", "id": 7, "function": {"name": "one", "arguments": None}}
    (event,) = reader.read({"choices": [{"delta": {"tool_calls": [odd]}}]})
    assert (event.index, event.id, event.name, event.arguments) == (0, None, "one", "")  # type: ignore[union-attr] # a call


async def test_thoughts_stay_apart_from_text(provider: ChatProvider) -> None:
    events = await gather(provider.stream(request("thinker", "hi")))
    assert events[:3] == [ReasoningDelta("hm "), ReasoningDelta("yes"), TextDelta("Done.")]


async def test_a_server_that_cannot_be_asked_for_its_models_can_still_be_asked() -> None:
    provider = openai_provider(ProviderSpec("mine", "openai", "http://127.0.0.1:1/v1"))
    assert await provider.profile("any") == UNKNOWN
    await provider.close()


def test_a_refusal_is_a_text() -> None:
    assert list(ChunkReader().read({"choices": [{"delta": {"refusal": "I cannot."}}]})) == [TextDelta("I cannot.")]


def test_what_a_transcript_is_made_of() -> None:
    said = (
        message("system", "Be brief."),
        message("summary", "They met."),
        message("assistant", (ReasoningPart("hm"),)),
        message("approval", calls=(ToolCall("a", "take_note", "{}"),)),
        message("assistant", calls=(ToolCall("a", "take_note", '{"text": "x"}'),)),
    )
    assert wire_messages(said, Dialect(), "m") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "They met."},
        {"role": "assistant", "content": ""},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "take_note", "arguments": '{"text": "x"}'}}
            ],
        },
    ]


@given(st.text(max_size=60))
def test_ids_are_made_over_alike_and_only_where_they_must_be(call_id: str) -> None:
    def sent(dialect: Dialect) -> str:
        (entry,) = wire_messages((message("assistant", calls=(ToolCall(call_id, "t", "{}"),)),), dialect, "m")
        made: str = entry["tool_calls"][0]["id"]
        return made

    assert sent(NINE) == sent(NINE)
    assert NINE.call_ids.fullmatch(sent(NINE))
    assert Dialect().call_ids.fullmatch(sent(Dialect()))
    if Dialect().call_ids.fullmatch(call_id):
        assert sent(Dialect()) == call_id


PIECES = st.lists(
    st.dictionaries(
        st.sampled_from(["index", "id", "function", "type"]),
        st.one_of(st.none(), st.integers(), st.text(max_size=3), st.fixed_dictionaries({"name": st.text(max_size=3)})),
    ),
    max_size=6,
)


@given(PIECES)
def test_no_piece_of_a_call_breaks_the_reader(pieces: list[JsonObject]) -> None:
    reader = ChunkReader()
    for piece in pieces:
        for event in reader.read({"choices": [{"delta": {"tool_calls": [piece]}}]}):
            assert isinstance(event, ToolCallDelta)


async def test_a_listing_that_does_not_come_is_not_waited_for(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing_cache, "_TIMEOUT", 0.1)
    provider = openai_provider(ProviderSpec("mine", "openai", f"{emulator.root}/silent/v1", KEY))
    start = time.monotonic()
    assert (await reply(provider, request("sane", "hi"))).content == (TextPart("You said: hi"),)
    assert (await reply(provider, request("sane", "hi"))).content == (TextPart("You said: hi"),)
    assert time.monotonic() - start < 5
    await provider.close()
