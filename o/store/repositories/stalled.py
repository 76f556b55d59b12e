"""Runs that nobody drives and queues that nobody serves, in all organisations: what the reconciler looks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from o.store.repositories.base import Repository


@dataclass(frozen=True, slots=True)
class StalledRun:
    """A run that holds its conversation and has not been touched for a while."""

    org_id: str
    agent_id: str
    conversation_id: str
    run_id: str
    step_index: int
    cancelled: bool
    touched_at: datetime


class Stalled(Repository):
    """What looks across organisations for runs nobody drives; the function is defined by the migrations."""

    async def find(self, *, older_than: float, limit: int) -> Sequence[StalledRun]:
        """Runs that hold a conversation and were last touched more than `older_than` seconds ago."""
        return await self._records(
            StalledRun,
            "SELECT * FROM o_stalled_runs(%(secs)s, %(limit)s)",
            {"secs": older_than, "limit": limit},
        )

    async def idle_queues(self, *, limit: int) -> list[tuple[str, str]]:
        """(organisation, conversation) of conversations that are free although a run waits in their queue."""
        rows = await self._rows("SELECT * FROM o_idle_queues(%(limit)s)", {"limit": limit})
        return [(row["org_id"], row["conversation_id"]) for row in rows]
