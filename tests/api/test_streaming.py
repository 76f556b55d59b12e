"""What one reader gets of a run's stored events: each text once, in the contract's words."""

import asyncio
import json
from typing import Any

import psycopg

from api.events import RunEvents
from api.streaming import EventPrinter, View
from o.domain.json import JsonObject
from o.store.records import EventRecord
from o.store.repositories.events import RUN_CHANNEL
from o.store.session import Store


def event(seq: int, kind: Any, data: JsonObject) -> EventRecord:
    return EventRecord("run-1", seq, 0, 1, kind, data)


def text(content: str, otid: str = "o1") -> JsonObject:
    return {"id": "message-1", "otid": otid, "message_type": "assistant_message", "content": content}


END: JsonObject = {
    "stop_reason": "end_turn",
    "usage": {
        "step_count": 1,
        "prompt_tokens": 2,
        "completion_tokens": 1,
        "cached_input_tokens": 0,
        "reasoning_tokens": 0,
    },
    "error": None,
}

EVENTS = [
    event(1, "delta", text("Hel")),
    event(2, "reset", {"message_type": "reset", "id": "message-0"}),
    event(3, "delta", text("lo")),
    event(4, "message", text("Hello!")),
    event(5, "message", text("Whole", "o2")),
    event(6, "end", END),
]


def read(view: View, events: list[EventRecord] = EVENTS) -> list[JsonObject]:
    printer = EventPrinter("run-1", view)
    chunks = [chunk for one in events for chunk in printer.print(one)]
    assert printer.ended
    assert chunks[-1] == b"data: [DONE]\n\n"
    return [json.loads(chunk.split(b"data: ", 1)[1]) for chunk in chunks[:-1]]


def contents(events: list[JsonObject]) -> list[str]:
    return [one["content"] for one in events if one["message_type"] == "assistant_message"]


def test_a_reader_of_tokens_gets_deltas_and_what_they_left_out() -> None:
    assert contents(read(View(tokens=True))) == ["Hel", "lo", "!", "Whole"]


def test_a_reader_of_steps_gets_whole_messages_only() -> None:
    assert contents(read(View())) == ["Hello!", "Whole"]


def test_only_who_asks_sees_the_marker() -> None:
    kinds = [one["message_type"] for one in read(View(tokens=True, markers=True))]
    assert kinds.count("reset") == 1
    assert all(one["message_type"] != "reset" for one in read(View(tokens=True)))


def test_a_reader_that_takes_up_again_misses_and_repeats_nothing() -> None:
    whole = read(View(tokens=True, numbered=True))
    for cut, one in enumerate(whole, 1):
        rest = read(View(tokens=True, numbered=True, starting_after=one["seq_id"]))
        assert rest == whole[cut:]


def test_only_wanted_types_are_sent_and_the_end_always() -> None:
    kinds = [one["message_type"] for one in read(View(types={"tool_call_message"}))]
    assert kinds == ["stop_reason", "usage_statistics"]


def test_a_failure_ends_with_an_error_event() -> None:
    error = {"error_type": "llm_timeout", "message": "too slow"}
    printer = EventPrinter("run-1", View())
    chunks = printer.print(event(1, "end", {**END, "stop_reason": "llm_api_error", "error": error}))
    assert chunks[0].startswith(b"data: ")
    assert chunks[1].startswith(b"event: error\ndata: ")
    assert json.loads(chunks[1].split(b"data: ", 1)[1])["error_type"] == "llm_timeout"


async def test_a_reader_is_woken_by_a_notification_of_its_run_only(store: Store) -> None:
    async with RunEvents(store) as events:
        with events.follow("run-1") as mine, events.follow("run-2") as other:
            await mine.wait(5)  # both are woken once, when listening begins
            await other.wait(5)
            async with store.transaction() as another:
                await another.events.notify(RUN_CHANNEL, "run-1")
            async with asyncio.timeout(5):
                await mine.wait(60)
            woken = asyncio.create_task(other.wait(60))
            async with store.transaction() as another:
                await another.events.notify(RUN_CHANNEL, "run-2")
            async with asyncio.timeout(5):
                await woken


async def test_listening_goes_on_after_the_connection_was_cut(store: Store, database_url: str) -> None:
    async with RunEvents(store) as events:
        with events.follow("run-1") as mine:
            await mine.wait(5)
            async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
                await other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
            async with asyncio.timeout(10):
                await mine.wait(60)  # woken when it listens again
