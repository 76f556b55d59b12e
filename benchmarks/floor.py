"""The floor under a turn: bare workflows of one and of two activities on the same server."""

from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

_BRIEFLY = timedelta(seconds=10)
QUEUE = "benchmark-floor"


@activity.defn(name="floor.nothing")
async def nothing() -> None:
    """An activity that does nothing at all."""


@workflow.defn(name="FloorSteps")
class FloorSteps:
    """As many activities in a row as it is told."""

    @workflow.run
    async def run(self, activities: int) -> None:
        for _ in range(activities):
            await workflow.execute_activity(nothing, start_to_close_timeout=_BRIEFLY)


def worker(client: Client) -> Worker:
    return Worker(
        client,
        task_queue=QUEUE,
        workflows=[FloorSteps],
        activities=[nothing],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
