"""Running a tool that somebody asked for by hand: once at most, its request taken from the row before it begins."""

from dataclasses import replace
from typing import Protocol

from pydantic import TypeAdapter
from temporalio import activity

from activities.cancellation import Cancellations
from activities.policy import failing, heartbeating
from o.contracts.tool_runs import ToolRunInput
from o.domain.messages import ToolReturn
from o.domain.tool_run import ToolRunRequest
from o.errors import Cancelled, ProjectError
from o.keyring import Keyring
from o.store.repositories.tool_runs import request_context, result_context
from o.store.session import Store

_RETURN = TypeAdapter(ToolReturn)


class ToolRunner(Protocol):
    """Runs tools that belong to no turn."""

    async def run(self, org_id: str, asked: ToolRunRequest) -> ToolReturn:
        """Run it and say what came back, with status error for all that the tool or its limits did.

        Cancelling the task ends the tool with all it started.

        Raises:
            ProjectError: it was not run; whoever asked is told the words.
        """
        ...


class ToolRunActivities:
    """Tools run by hand. A second attempt finds the request taken and does nothing: the first may have acted."""

    def __init__(self, store: Store, keyring: Keyring | None, runner: ToolRunner, cancellations: Cancellations) -> None:
        self._store = store
        self._keyring = keyring
        self._runner = runner
        self._cancellations = cancellations

    @activity.defn(name="tool_run.run")
    async def run(self, asked: ToolRunInput) -> None:
        """Run the tool of a stored request and store what it returned, both encrypted.

        Raises:
            ApplicationError: typed; the row has no result then.
        """
        with failing(for_good=False):
            if self._keyring is None:
                raise ProjectError("this worker has no key to open requests with")
            async with self._store.transaction(asked.org_id) as tx:
                sealed = await tx.tool_runs.take(asked.tool_run_id)
            if sealed is None:
                return  # begun before, or whoever asked has gone
            opened = self._keyring.decrypt(sealed, context=request_context(asked.tool_run_id))
            request = ToolRunRequest.model_validate_json(opened)
            try:
                async with heartbeating(), self._cancellations.stoppable(asked.tool_run_id):
                    returned = await self._runner.run(asked.org_id, request)
            except Cancelled:
                return  # nobody reads the row any more
            except ProjectError as error:
                returned = ToolReturn("null", error.message, "error", request.function)
            text = _RETURN.dump_json(_storable(returned)).decode()
            result = self._keyring.encrypt(text, context=result_context(asked.tool_run_id))
            async with self._store.transaction(asked.org_id) as tx:
                await tx.tool_runs.finish(asked.tool_run_id, result)


def _storable(returned: ToolReturn) -> ToolReturn:
    """What a tool said, as text that JSON can carry: half a surrogate pair becomes a question mark."""

    def whole(text: str) -> str:
        return text.encode("utf-8", "replace").decode()

    return replace(
        returned,
        content=whole(returned.content),
        stdout=tuple(map(whole, returned.stdout)),
        stderr=tuple(map(whole, returned.stderr)),
    )
