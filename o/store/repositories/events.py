"""Run events: what readers follow while a run goes on, and the notification that tells them to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from o.domain.json import JsonObject
from o.store.records import EventRecord
from o.store.repositories.base import Repository, as_json

EventKind = Literal["message", "delta", "reset", "end"]

# Channels of NOTIFY; the payload is a run id and nothing else.
RUN_CHANNEL = "o_run"
CANCEL_CHANNEL = "o_cancel"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a reader sees.

    Attributes:
        kind: `message` a whole wire message, `delta` a fragment of one, `reset` an attempt was superseded,
            `end` the terminal event: stop reason, usage, and the error if there was one.
        data: the wire object.
    """

    kind: EventKind
    data: JsonObject


class Events(Repository):
    """The events of one organisation's runs."""

    async def append(self, run_id: str, step_index: int, attempt: int, events: Sequence[Event]) -> None:
        """Number and store events, and tell the readers at commit.

        The run row's `last_seq` is raised in the same transaction, so events become visible in the order of their
        numbers: no reader passes a gap that fills later. The caller has checked the attempt.
        """
        if not events:
            return
        await self._execute(
            "WITH numbered AS (UPDATE runs SET last_seq = last_seq + %(n)s WHERE id = %(run)s "
            "RETURNING last_seq - %(n)s AS base), "
            "added AS (INSERT INTO run_events (run_id, seq, org_id, step_index, attempt, kind, data) "
            "SELECT %(run)s, base + event.position, %(org)s, %(step)s, %(attempt)s, event.kind, event.data "
            "FROM numbered, unnest(%(kinds)s::text[], %(data)s::jsonb[]) WITH ORDINALITY "
            "AS event(kind, data, position)) "
            "SELECT pg_notify(%(channel)s, %(run)s)",
            {
                "n": len(events),
                "run": run_id,
                "org": self._org_id,
                "step": step_index,
                "attempt": attempt,
                "kinds": [event.kind for event in events],
                "data": [as_json(event.data) for event in events],
                "channel": RUN_CHANNEL,
            },
        )

    async def append_deltas(self, run_id: str, step_index: int, attempt: int, deltas: Sequence[JsonObject]) -> bool:
        """Store deltas of a model request if `attempt` still holds it; returns whether it does.

        False also when the run was cancelled: nobody shall see more of it.
        """
        row = await self._row(
            # Both rows are locked: whoever waits for the run's alone reads the step as it was before the wait.
            "SELECT s.model_attempt = %(attempt)s AND s.outcome IS NULL AND r.cancel_requested_at IS NULL AS held "
            "FROM runs r JOIN steps s ON s.run_id = r.id AND s.index = %(step)s WHERE r.id = %(run)s "
            "FOR NO KEY UPDATE",
            {"run": run_id, "step": step_index, "attempt": attempt},
        )
        if row is None or not row["held"]:
            return False
        await self.append(run_id, step_index, attempt, [Event("delta", delta) for delta in deltas])
        return True

    async def drop_deltas(self, run_id: str, step_index: int, before_attempt: int) -> list[str]:
        """Forget what superseded attempts of a step showed; returns the ids of the messages they had begun."""
        rows = await self._rows(
            "WITH gone AS (DELETE FROM run_events WHERE run_id = %(run)s AND step_index = %(step)s "
            "AND kind = 'delta' AND attempt < %(attempt)s RETURNING data->>'id' AS id) SELECT DISTINCT id FROM gone",
            {"run": run_id, "step": step_index, "attempt": before_attempt},
        )
        return [row["id"] for row in rows]

    async def after(self, run_id: str, seq: int, *, limit: int = 500) -> list[EventRecord]:
        """Events past `seq`, in order."""
        return await self._records(
            EventRecord,
            "SELECT run_id, seq, step_index, attempt, kind, data FROM run_events "
            "WHERE run_id = %(run)s AND seq > %(seq)s ORDER BY seq LIMIT %(limit)s",
            {"run": run_id, "seq": seq, "limit": limit},
        )

    async def notify(self, channel: str, run_id: str) -> None:
        """Tell listeners of a channel about a run, at commit."""
        await self._row("SELECT pg_notify(%(channel)s, %(run)s)", {"channel": channel, "run": run_id})

    async def prune(self, *, older_than: float) -> int:
        """Delete events of runs that ended more than `older_than` seconds ago, in all organisations; 10,000 at most."""
        row = await self._row("SELECT o_prune_events(%(secs)s) AS n", {"secs": older_than})
        return int(row["n"]) if row else 0
