"""Whatever a vendor's service does wrong is one of our errors, the same for all of them, and tells no secret."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from o.domain.messages import TextPart
from o.domain.model import ReasoningDelta, TextDelta
from o.errors import (
    ContextOverflow,
    InvalidReply,
    ModelAuthentication,
    ModelBadRequest,
    ModelError,
    ModelOverloaded,
    ModelQuota,
    ModelRateLimited,
    ModelRefused,
    ModelTimeout,
    ModelUnavailable,
    ModelUnknown,
)
from o.providers.base import Provider
from tests.emulators.faults import refused_as
from tests.emulators.requests import LOOK, NOTE, gather, reply, request
from tests.support.vendors import VENDORS, Emulator, Vendor

FAULTS: list[tuple[str, type[ModelError], float | None]] = [
    ("429-seconds", ModelRateLimited, 7.0),
    ("429-ms", ModelRateLimited, 1.5),
    ("429-garbage", ModelRateLimited, None),
    ("429-quota", ModelQuota, None),
    ("400", ModelBadRequest, None),
    ("400-overflow", ContextOverflow, None),
    ("400-filter", ModelRefused, None),
    ("401", ModelAuthentication, None),
    ("404", ModelUnknown, None),
    ("500", ModelUnavailable, None),
    ("529", ModelOverloaded, 2.0),
    ("html", InvalidReply, None),
    ("cut", InvalidReply, None),
    ("broken", InvalidReply, None),
    ("garbage", InvalidReply, None),
    ("not-a-chunk", InvalidReply, None),
    ("stall", ModelTimeout, None),
]


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    return VENDORS[request.param]


@pytest.fixture
def emulator(vendor: Vendor, emulated: dict[str, Emulator]) -> Emulator:
    return emulated[vendor.name]


@pytest.fixture
async def provider(vendor: Vendor, emulator: Emulator) -> AsyncIterator[Provider]:
    made = vendor.provider(vendor.spec(emulator.url))
    yield made
    await made.close()


def shows(vendor: Vendor, fault: str) -> None:
    if fault in vendor.lacks:
        pytest.skip(f"{vendor.name}'s wire cannot show it")


@pytest.mark.parametrize(("fault", "kind", "wait"), FAULTS)
async def test_every_fault_is_one_of_our_errors(
    vendor: Vendor, provider: Provider, fault: str, kind: type[ModelError], wait: float | None
) -> None:
    shows(vendor, fault)
    await refused_as(provider, fault, kind, wait, key=vendor.key)


async def test_a_date_says_how_long_to_wait(provider: Provider) -> None:
    with pytest.raises(ModelRateLimited) as caught:
        await gather(provider.stream(request("429-date", "hello")))
    assert caught.value.retry_after is not None
    assert 20 < caught.value.retry_after <= 30


async def test_an_error_within_a_stream_may_pass(provider: Provider) -> None:
    with pytest.raises(ModelError) as caught:
        await gather(provider.stream(request("in-stream-error", "hello")))
    assert caught.value.retryable


async def test_a_wrong_key_names_its_variable_at_once(vendor: Vendor, emulator: Emulator) -> None:
    provider = vendor.provider(vendor.spec(emulator.url, "sk-wrong"))
    for asked in (provider.models(), gather(provider.stream(request(vendor.model, "hi")))):
        with pytest.raises(ModelAuthentication, match=vendor.key_variable) as caught:
            await asked
        assert not caught.value.retryable
        assert "sk-wrong" not in str(caught.value)
    await provider.close()


async def test_nothing_is_retried_here(provider: Provider, emulator: Emulator) -> None:
    before = len(emulator.requests)
    with pytest.raises(ModelUnavailable):
        await gather(provider.stream(request("500", "hi")))
    assert len(emulator.requests) == before + 1


async def test_a_slow_first_token_is_waited_for(provider: Provider) -> None:
    assert (await reply(provider, request("slow-first", "hi"))).content == (TextPart("You said: hi"),)


async def test_nothing_for_too_long_is_a_timeout(vendor: Vendor, emulator: Emulator) -> None:
    provider = vendor.provider(vendor.spec(emulator.url), first_timeout=0.1)
    with pytest.raises(ModelTimeout) as caught:
        await gather(provider.stream(request("slow-first", "hi")))
    assert caught.value.retryable
    await provider.close()


async def test_closing_the_stream_hangs_up(provider: Provider, emulator: Emulator) -> None:
    emulator.hung_up.clear()
    events = provider.stream(request("stall", "hi"))
    assert await anext(events) == TextDelta("You said: ")
    await events.aclose()
    assert await asyncio.to_thread(emulator.hung_up.wait, 5)


async def test_cancelling_the_task_hangs_up(provider: Provider, emulator: Emulator) -> None:
    emulator.hung_up.clear()
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in provider.stream(request("stall", "hi")):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(emulator.hung_up.wait, 5)


async def test_a_reply_cut_short_by_its_length_says_so(provider: Provider) -> None:
    assert (await reply(provider, request("length", "hi"))).finish == "length"


async def test_a_filtered_reply_says_so(vendor: Vendor, provider: Provider) -> None:
    shows(vendor, "filtered")
    assert (await reply(provider, request("filtered", "hi"))).finish == "content_filter"


async def test_two_calls_of_one_id_are_two_calls(provider: Provider) -> None:
    calls = (await reply(provider, request("duplicate-ids", "hi", tools=(NOTE, LOOK), parallel=True))).tool_calls
    assert len(calls) == len({call.id for call in calls}) == 2


async def test_several_calls_come_in_their_order(provider: Provider) -> None:
    calls = (await reply(provider, request("parallel", "hi", tools=(NOTE, LOOK), parallel=True))).tool_calls
    assert len(calls) == 2
    assert len({call.name for call in calls}) == 2


async def test_broken_arguments_are_the_readers_to_judge(vendor: Vendor, provider: Provider) -> None:
    shows(vendor, "bad-arguments")
    (call,) = (await reply(provider, request("bad-arguments", "hi", tools=(NOTE,)))).tool_calls
    assert call.arguments.startswith('{"x"')


async def test_thoughts_are_told_from_what_is_said(provider: Provider) -> None:
    events = await gather(provider.stream(request("thinker", "hi")))
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "hm yes"
    assert any(isinstance(event, TextDelta) for event in events)


async def test_an_answer_of_nothing_is_an_answer(provider: Provider) -> None:
    assert (await reply(provider, request("silent", "hi"))).is_empty


async def test_values_of_the_wrong_type_break_nothing(provider: Provider) -> None:
    assert (await reply(provider, request("odd-types", "hi"))).content == (TextPart("fine"),)
