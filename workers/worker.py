"""Temporal workers, one per task queue: their slots, their time-outs, and what their workflows may import."""

from collections.abc import Sequence
from datetime import timedelta

from temporalio.worker import Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.cancellation import Cancellations
from activities.registry import Deps, all_activities
from o.temporal import Queue
from workflows.registry import ALL_WORKFLOWS

# How many activities of a queue one process runs at once: model requests wait for the network, so there may be many.
_SLOTS = {Queue.AGENT: 200, Queue.TOOLS: 50, Queue.BACKGROUND: 20}

# A dead worker's workflow tasks go to another one after this long; a step is cheap to replay.
_STICKY = timedelta(seconds=1)

# A step has one workflow task on the shared queue and one on its worker's own, so both kinds get half of the polls.
# Measured at 16 turns at once: p90 from 1.4 s with the SDK's five polls, four of them sticky, to 0.6 s.
_WORKFLOW_POLLS = 10

# Time for running activities to end after a stop was asked for; what is cut off is tried again elsewhere.
_GRACE = timedelta(seconds=8)

# Modules that workflows may share with the worker: pure values and the activities they only name.
_PASSED_THROUGH = ("o", "activities", "temporalio", "pydantic", "pydantic_core", "annotated_types")


def workflow_runner() -> WorkflowRunner:
    """Workflows run in Temporal's sandbox: what is not deterministic fails there."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*_PASSED_THROUGH))


def build_workers(deps: Deps, cancellations: Cancellations, queues: Sequence[Queue]) -> list[Worker]:
    """One worker per queue. Workflows run on the queue they are started on."""
    activities = all_activities(deps, cancellations)
    return [
        Worker(
            deps.client,
            task_queue=queue,
            workflows=[] if queue == Queue.TOOLS else ALL_WORKFLOWS,
            activities=activities[queue],
            workflow_runner=workflow_runner(),
            max_concurrent_activities=_SLOTS[queue],
            graceful_shutdown_timeout=_GRACE,
            sticky_queue_schedule_to_start_timeout=_STICKY,
            max_concurrent_workflow_task_polls=_WORKFLOW_POLLS,
            nonsticky_to_sticky_poll_ratio=0.5,
            # The SDK would hold heartbeats back for 80 % of their timeout, which leaves no time for a slow one.
            max_heartbeat_throttle_interval=timedelta(seconds=deps.timing.heartbeat / 3),
            # The engine would try a broken workflow task for ever and the run would never end. A failed step is
            # started again by the reconciler, under the code of today: the rows know how far it was.
            workflow_failure_exception_types=[Exception],
        )
        for queue in queues
    ]
