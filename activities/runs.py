"""Moving runs along: gather a step's returns, end a run that cannot go on, find runs that nobody drives."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.policy import failing, heartbeating
from o.contracts.turn import CloseInput, StepOutcome, StepRef
from o.errors import Conflict, NotFound, ProjectError, Unavailable
from o.store import queue, turn
from o.store.expiry import wake
from o.store.repositories.stalled import StalledRun
from o.store.session import Store
from o.temporal import StepStarter

# How often the reconciler starts one step again before it gives the run up.
_MOST_RESTARTS = 3
# How many runs one look takes on.
_BATCH = 200
# Seconds after which nobody waits for a tool run by hand any more: none may last that long.
_TOOL_RUN_KEPT = 7200.0

log = logging.getLogger(__name__)


class RunActivities:
    """Runs between steps. All idempotent: the rows decide, a second call returns what the first decided."""

    def __init__(self, store: Store, client: Client, starter: StepStarter, *, stale_after: float, keep: float) -> None:
        """Args: stale_after: seconds untouched before a run is looked at; keep: seconds events outlive their run."""
        self._store = store
        self._client = client
        self._starter = starter
        self._stale_after = stale_after
        self._keep = keep

    @activity.defn(name="run.advance")
    async def advance(self, at: StepRef) -> StepOutcome:
        """Gather the returns of a step's tools; end the run or start its next step.

        Raises:
            ApplicationError: typed; retried until it succeeds.
        """
        with failing():
            async with self._store.transaction(at.org_id) as tx:
                outcome, start = await turn.advance(tx, at)
            if start is not None:
                await self._starter.start(start)
            return outcome

    @activity.defn(name="run.close")
    async def close(self, what: CloseInput) -> StepOutcome:
        """End a run whose step cannot go on, and start what its conversation waited with.

        Raises:
            ApplicationError: typed; retried until it succeeds.
        """
        with failing(for_good=False):
            try:
                async with self._store.transaction(what.at.org_id) as tx:
                    start = await queue.close(tx, what.at, what.code, what.message)
                    run = await tx.runs.get(what.at.run_id)
            except NotFound:
                return StepOutcome(stop="cancelled")  # the agent was deleted with its runs
            await self._cancel_asked(what.at)
            if start is not None:
                await self._starter.start(start)
            return StepOutcome(stop=run.stop_reason)

    async def _cancel_asked(self, at: StepRef) -> None:
        """Cancel what the step asked other agents and nobody waits for any longer."""
        async with self._store.transaction(at.org_id) as tx:
            asked = [run for run in await tx.runs.asked_in(at.run_id, at.index) if run.awaited]
        for run in asked:
            if run.completed_at is not None:
                continue
            try:
                async with self._store.transaction(at.org_id) as tx:
                    cancelling = await queue.cancel(tx, run.id)
            except (Conflict, NotFound):
                continue  # it has ended meanwhile
            if cancelling.start is not None:
                await self._starter.start(cancelling.start)
            if cancelling.workflow is not None:
                await self._starter.cancel(cancelling.workflow)

    @activity.defn(name="run.reconcile")
    async def reconcile(self) -> int:
        """Hold the rows against the engine: start what was never started, end or resume what nobody drives.

        Returns how many runs it acted on. One run's trouble does not keep the others waiting.
        """
        with failing():
            async with heartbeating():
                return await self._look()

    async def _look(self) -> int:
        async with self._store.transaction() as tx:
            stalled = await tx.stalled.find(older_than=self._stale_after, limit=_BATCH)
            idle = await tx.stalled.idle_queues(limit=_BATCH)
            expired = await tx.approvals.expired(limit=_BATCH)
        acted = 0
        for run in stalled:
            with _alone(run.run_id):
                acted += await self._resume(run)
        for org_id, conversation_id in [*idle, *((row.org_id, row.conversation_id) for row in expired)]:
            with _alone(conversation_id):
                await self._wake(org_id, conversation_id)
                acted += 1
        # Last and by itself: however much there is to delete, it keeps no run waiting.
        with _alone("old events"):
            async with self._store.transaction() as tx:
                await tx.events.prune(older_than=self._keep)
        with _alone("tool runs nobody came back for"):
            async with self._store.transaction() as tx:
                await tx.tool_runs.prune(older_than=_TOOL_RUN_KEPT)
        return acted

    async def _resume(self, run: StalledRun) -> bool:
        async with self._store.transaction(run.org_id) as tx:
            at = queue.step_ref(await tx.runs.get(run.run_id))
        status = await self._status(at)
        if status == WorkflowExecutionStatus.RUNNING:
            if run.cancelled:
                await self._starter.cancel(at)
            async with self._store.transaction(at.org_id) as tx:
                await tx.runs.touch(at.run_id)
            return False
        async with self._store.transaction(at.org_id) as tx:
            restarts = (await tx.steps.lock(at.run_id, at.index)).restarts
        if status == WorkflowExecutionStatus.COMPLETED or restarts >= _MOST_RESTARTS:
            message = f"the step's workflow ended ({status.name.lower() if status else 'lost'}) without ending the run"
            async with self._store.transaction(at.org_id) as tx:
                start = await queue.close(tx, at, "internal_error", message)
            await self._cancel_asked(at)
            if start is not None:
                await self._starter.start(start)
            return True
        await self._starter.start(at)
        async with self._store.transaction(at.org_id) as tx:
            # Only now: an engine that was away does not use up the step's restarts.
            await tx.runs.touch(at.run_id)
            await tx.steps.restarted(at.run_id, at.index)
        return True

    async def _status(self, at: StepRef) -> WorkflowExecutionStatus | None:
        """How the step's workflow is; None when the engine does not know it. By Describe: List lags behind."""
        try:
            return (await self._client.get_workflow_handle(at.workflow_id).describe()).status
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise Unavailable("the workflow engine does not answer") from error

    async def _wake(self, org_id: str, conversation_id: str) -> None:
        async with self._store.transaction(org_id) as tx:
            start = await wake(tx, conversation_id)
        if start is not None:
            await self._starter.start(start)


@contextmanager
def _alone(what: str) -> Iterator[None]:
    """Keep the trouble with one thing from the others, whatever it is; only its kind is logged, it may hold content."""
    try:
        yield
    except Exception as error:
        kind = error.code if isinstance(error, ProjectError) else type(error).__name__
        log.error("could not reconcile %s: %s\n%s", what, kind, "".join(traceback.format_tb(error.__traceback__)))
