"""The API's only way to the engine: start steps, cancel them."""

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from o.contracts.turn import StepRef, Timing
from o.errors import Unavailable
from o.temporal import StepStarter


class Gateway:
    """Starts and cancels the workflows of steps whose rows are committed."""

    def __init__(self, client: Client, timing: Timing) -> None:
        self._client = client
        self._starter = StepStarter(client, timing)

    async def start(self, at: StepRef) -> None:
        """Start a step; starting it again is harmless. Raises Unavailable (the reconciler starts it then)."""
        await self._starter.start(at)

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
