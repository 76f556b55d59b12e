"""A run's events as server-sent events (letta-v1 contract, sections 5.4 and 5.5)."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.responses import StreamingResponse

from api.deps import Caller
from api.events import LOOK_AGAIN
from api.responses import dumps
from api.turns import usage_of
from o.domain.json import JsonObject
from o.domain.stop import StopReason
from o.domain.wire import date, error_message, stop_message
from o.errors import NotFound, Unavailable
from o.store.records import EventRecord

# Seconds of silence after which readers (and what lies between) are shown that the connection lives.
PING_EVERY = 20.0

# Seconds without a database after which a stream gives up; the run itself goes on.
_PATIENCE = 60.0

_DONE = b"data: [DONE]\n\n"
_TEXTS = {"assistant_message": "content", "reasoning_message": "reasoning"}


@dataclass(frozen=True, slots=True)
class View:
    """How a reader wants to see a run.

    Attributes:
        tokens: deltas as they come, instead of each message whole.
        numbered: whether events carry `seq_id`, by which a reader can take up again.
        starting_after: only events with a higher `seq_id` are sent.
        markers: whether the reader knows the `reset` marker; an unchanged letta-client does not.
    """

    tokens: bool = False
    pings: bool = True
    numbered: bool = False
    starting_after: int = 0
    markers: bool = False
    types: Collection[str] | None = None


@dataclass(slots=True)
class EventPrinter:
    """Turns stored events into what one reader gets, each text once."""

    run_id: str
    view: View
    _shown: dict[str, int] = field(default_factory=dict)
    ended: bool = False

    def print(self, event: EventRecord) -> list[bytes]:
        """The server-sent events of one stored event. Everything must pass here, also what the reader has already."""
        match event.kind:
            case "delta":
                return self._send(event.seq, self._delta(event.data))
            case "message":
                return self._send(event.seq, self._whole(event.data))
            case "reset":
                return self._send(event.seq, event.data) if self.view.markers else []
            case "end":
                return self._end(event)

    def _delta(self, data: JsonObject) -> JsonObject | None:
        if not self.view.tokens:
            return None
        text = data.get(_TEXTS.get(data["message_type"], ""), "")
        self._shown[data["otid"]] = self._shown.get(data["otid"], 0) + len(text)
        return self._wanted(data)

    def _whole(self, data: JsonObject) -> JsonObject | None:
        """A whole message, or what its deltas left out: the last ones of a cancelled reply may be missing."""
        shown = self._shown.get(data["otid"]) if self.view.tokens else None
        if shown is None:
            return self._wanted(data)
        key = _TEXTS.get(data["message_type"])
        if key is None or len(data[key]) <= shown:
            return None
        return self._wanted({**data, key: data[key][shown:]})

    def _wanted(self, data: JsonObject) -> JsonObject | None:
        types = self.view.types
        return data if types is None or data["message_type"] in types else None

    def _end(self, event: EventRecord) -> list[bytes]:
        self.ended = True
        stop: StopReason = event.data["stop_reason"]
        error = event.data.get("error")
        sent = self._send(event.seq, stop_message(stop))
        if error is not None:
            body = error_message(self.run_id, error["error_type"], error["message"])
            return [*sent, b"event: error\n" + _event(body), _DONE]
        # One stored event prints as two: the second has a number of its own, so that a reader cut off between
        # them can still ask for it. No later event of the run needs that number.
        return [*sent, *self._send(event.seq + 1, usage_of(event.data)), _DONE]

    def _send(self, seq: int, data: JsonObject | None) -> list[bytes]:
        if data is None or seq <= self.view.starting_after:
            return []
        numbers = {"run_id": self.run_id, "seq_id": seq} if self.view.numbered else {}
        return [_event({**data, **numbers})]


def ping(run_id: str) -> bytes:
    return _event(
        {
            "id": f"ping-{uuid.uuid4()}",
            "date": date(datetime.now(UTC)),
            "message_type": "ping",
            "run_id": run_id,
        }
    )


def stream(caller: Caller, run_id: str, view: View) -> StreamingResponse:
    """The events of a run from its beginning to its end. A reader that goes away does not stop the run."""
    return StreamingResponse(
        _read(caller, run_id, view),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _read(caller: Caller, run_id: str, view: View) -> AsyncIterator[bytes]:
    printer = EventPrinter(run_id, view)
    clock = asyncio.get_running_loop().time
    seen, spoken, heard = 0, clock(), clock()
    if view.pings:
        yield ping(run_id)
    with caller.parts.events.follow(run_id) as wakeup:
        while not printer.ended:
            try:
                events = await _events_after(caller, run_id, seen)
                heard = clock()
            except NotFound:
                break
            except Unavailable:
                if clock() - heard > _PATIENCE:
                    break
                events = []
            for event in events:
                seen = event.seq
                for chunk in printer.print(event):
                    yield chunk
                    spoken = clock()
            if view.pings and clock() - spoken >= PING_EVERY:
                yield ping(run_id)
                spoken = clock()
            if not events:
                await wakeup.wait(min(LOOK_AGAIN, PING_EVERY))
    if not printer.ended:
        # Whoever reads must not take an end without a reason for a whole answer.
        yield _event(stop_message("error"))
        yield b"event: error\n" + _event(error_message(run_id, "stream_incomplete", "the stream was cut off"))
        yield _DONE


async def _events_after(caller: Caller, run_id: str, seen: int) -> list[EventRecord]:
    """Raises NotFound when there is nothing more to come: the run is gone, or its events are no longer kept."""
    async with caller.transaction() as tx:
        run = await tx.runs.get(run_id)
        events = await tx.events.after(run_id, seen)
    if run.completed_at is not None and not events:
        raise NotFound(f"the events of run '{run_id}' are no longer kept")
    return events


def _event(data: JsonObject) -> bytes:
    return b"data: " + dumps(data) + b"\n\n"
