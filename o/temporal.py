"""Where O meets Temporal: the connection, the names of queues, workflows and search attributes, and the set-up.

`python -m o.temporal` prepares the server that the environment names (the supervisor does so after each of its starts).
"""

import asyncio
import os
from datetime import timedelta
from enum import StrEnum

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError, RPCStatusCode

from o.contracts.turn import ReconcileInput, StepInput, StepRef, Timing
from o.errors import Unavailable


class Queue(StrEnum):
    """Task queues: foreground turns, tool calls, and everything that may wait."""

    AGENT = "agent"
    TOOLS = "tools"
    BACKGROUND = "background"


ORG_ID = SearchAttributeKey.for_keyword("OrgId")
AGENT_ID = SearchAttributeKey.for_keyword("AgentId")
CONVERSATION_ID = SearchAttributeKey.for_keyword("ConversationId")
# `RunId` is the server's own.
AGENT_RUN_ID = SearchAttributeKey.for_keyword("AgentRunId")
RUN_KIND = SearchAttributeKey.for_keyword("RunKind")
STOP_REASON = SearchAttributeKey.for_keyword("StopReason")
STEP_INDEX = SearchAttributeKey.for_int("StepIndex")

_ATTRIBUTES = {
    **{
        key.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
        for key in (ORG_ID, AGENT_ID, CONVERSATION_ID, AGENT_RUN_ID, RUN_KIND, STOP_REASON)
    },
    STEP_INDEX.name: IndexedValueType.INDEXED_VALUE_TYPE_INT,
}

RECONCILE_SCHEDULE = "reconcile"

# A decision of a step takes milliseconds; a worker that died with one is missed after this long, not after ten seconds.
_DECIDE = timedelta(seconds=3)

# One execution of the reconciler looks again and again for so many seconds; the schedule starts the next.
_RECONCILE_LASTS = 60.0


def step_attributes(at: StepRef, *, kind: str = "turn") -> TypedSearchAttributes:
    """What the Temporal UI can find a step by: ids, never content."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(ORG_ID, at.org_id),
            SearchAttributePair(AGENT_ID, at.agent_id),
            SearchAttributePair(CONVERSATION_ID, at.conversation_id),
            SearchAttributePair(AGENT_RUN_ID, at.run_id),
            SearchAttributePair(RUN_KIND, kind),
            SearchAttributePair(STEP_INDEX, at.index),
        ]
    )


async def connect(address: str, namespace: str) -> Client:
    """A client that converts pydantic contracts; it reconnects by itself.

    Raises:
        Unavailable: nothing answers at the address.
    """
    quiet = TelemetryConfig(logging=LoggingConfig(TelemetryFilter(core_level="ERROR", other_level="ERROR")))
    runtime = Runtime(telemetry=quiet)
    try:
        return await Client.connect(
            address, namespace=namespace, data_converter=pydantic_data_converter, runtime=runtime
        )
    except RuntimeError as error:
        raise Unavailable(f"the Temporal server at {address} does not answer (TEMPORAL_ADDRESS)") from error


class StepStarter:
    """Starts steps, and cancels them. Doing either again is harmless, while a step runs and after it is done."""

    def __init__(self, client: Client, timing: Timing) -> None:
        self._client = client
        self._timing = timing

    async def start(self, at: StepRef, *, kind: str = "turn") -> None:
        """Start a step's workflow.

        A workflow of this id that runs is used as it is; one that completed is not run again (its step row has the
        outcome); one that failed, was terminated or timed out is.

        Raises:
            Unavailable: the engine does not answer; the reconciler will start the step.
        """
        try:
            await self._client.start_workflow(
                "Step",
                StepInput(at=at, timing=self._timing),
                id=at.workflow_id,
                task_queue=Queue.AGENT,
                task_timeout=_DECIDE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                search_attributes=step_attributes(at, kind=kind),
                static_summary=f"step {at.index} of {at.run_id}",
            )
        except WorkflowAlreadyStartedError:
            return  # completed before
        except RPCError as error:
            raise Unavailable(f"the workflow engine did not take the step ({error.status.name.lower()})") from error

    async def cancel(self, at: StepRef) -> None:
        """Ask a step's workflow to stop. One that is not there is fine: the run's row says that it is cancelled.

        Raises:
            Unavailable: the engine does not answer; the running effect heard of it from the database anyway.
        """
        try:
            await self._client.get_workflow_handle(at.workflow_id).cancel()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise Unavailable("the workflow engine does not answer") from error


async def prepare(client: Client, *, reconcile_every: float) -> None:
    """Register the search attributes and make the global schedules. Idempotent.

    Args:
        reconcile_every: seconds between two looks for runs that nobody drives, > 0.
    """
    await _register_attributes(client)
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            "Reconcile",
            ReconcileInput(every=reconcile_every, lasts=_RECONCILE_LASTS),
            id=RECONCILE_SCHEDULE,
            task_queue=Queue.BACKGROUND,
            run_timeout=timedelta(seconds=5 * _RECONCILE_LASTS),
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=_RECONCILE_LASTS))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(seconds=10)),
    )
    try:
        # The first execution at once: what was left behind shall not wait for the clock.
        await client.create_schedule(RECONCILE_SCHEDULE, schedule, trigger_immediately=True)
    except ScheduleAlreadyRunningError:
        # Made by an earlier version, or with another interval.
        handle = client.get_schedule_handle(RECONCILE_SCHEDULE)
        await handle.update(lambda _: ScheduleUpdate(schedule))
        await handle.trigger(overlap=ScheduleOverlapPolicy.SKIP)


async def _register_attributes(client: Client) -> None:
    operator = client.operator_service
    known = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
    missing = {name: kind for name, kind in _ATTRIBUTES.items() if name not in known.custom_attributes}
    if not missing:
        return
    try:
        await operator.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )
    except RPCError as error:
        if error.status != RPCStatusCode.ALREADY_EXISTS:  # another process was quicker
            raise


async def _main() -> None:
    address = os.environ.get("TEMPORAL_ADDRESS", "127.0.0.1:7233")
    namespace = os.environ.get("TEMPORAL_NAMESPACE", "default")
    every = float(os.environ.get("O_RECONCILE_EVERY", "10"))
    await prepare(await connect(address, namespace), reconcile_every=every)


if __name__ == "__main__":
    asyncio.run(_main())
    # The client's threads now and then crash an interpreter that shuts down in order.
    os._exit(0)
