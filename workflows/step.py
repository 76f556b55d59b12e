"""One agent step: ask the model once, run the tools it called, then move the run on."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutError

with workflow.unsafe.imports_passed_through():
    from activities import policy
    from activities.memory import MemoryActivities
    from activities.model import ModelActivities
    from activities.runs import RunActivities
    from activities.tools import ToolActivities
    from o.contracts.turn import CallRef, CloseInput, StepInput, StepOutcome, StepRef, ToolInput
    from o.temporal import STOP_REASON


@workflow.defn(name="Step")
class StepWorkflow:
    """The durable form of one agent step. It carries ids and decisions only; the rows carry the rest.

    Its last activity ends the run or starts the run's next step, so there is no parent over the steps.
    """

    @workflow.run
    async def run(self, what: StepInput) -> StepOutcome:
        try:
            outcome = await self._step(what)
        except (ActivityError, asyncio.CancelledError) as error:
            outcome = await self._close(what.at, error)
        if outcome.stop is not None:
            # With the last command, so that it costs no workflow task of its own.
            workflow.upsert_search_attributes([STOP_REASON.value_set(outcome.stop)])
        return outcome

    async def _step(self, what: StepInput) -> StepOutcome:
        plan = await workflow.execute_activity_method(
            ModelActivities.complete, what.at, **policy.model(what.timing), summary="ask the model"
        )
        if plan.outcome is not None:
            return plan.outcome
        for batch in plan.batches:
            # A call that fails for good leaves a gap, which advance fills: the model is told, the run goes on.
            results = await asyncio.gather(*(self._call(what, call) for call in batch), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, ActivityError):
                    raise result
            if any(isinstance(result, ActivityError) and _is_cancelled(result) for result in results):
                raise asyncio.CancelledError
        return await workflow.execute_activity_method(
            RunActivities.advance, what.at, **policy.rows(), summary="gather the returns, move on"
        )

    async def _call(self, what: StepInput, call: CallRef) -> None:
        given = ToolInput(at=what.at, call=call)
        if call.kind == "memory":
            await workflow.execute_activity_method(
                MemoryActivities.edit, given, **policy.rows(), summary=f"edit memory: {call.tool}"
            )
        else:
            await workflow.execute_activity_method(
                ToolActivities.run, given, **policy.tool(what.timing), summary=f"run {call.tool}"
            )

    async def _close(self, at: StepRef, error: BaseException) -> StepOutcome:
        """End the run, whatever happened and however long that takes; a second cancellation does not stop it."""
        code, message = _cause(error)
        closing = workflow.execute_activity_method(
            RunActivities.close,
            CloseInput(at=at, code=code, message=message),
            **policy.rows(),
            summary=f"end the run: {code}",
        )
        closed = asyncio.ensure_future(closing)
        while True:
            try:
                return await asyncio.shield(closed)
            except asyncio.CancelledError:
                if closed.done():
                    raise


def _is_cancelled(error: BaseException) -> bool:
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ApplicationError):
        return cause.type == "cancelled"
    return isinstance(cause, CancelledError | asyncio.CancelledError)


def _cause(error: BaseException) -> tuple[str, str]:
    """The code and the words of what ended the step."""
    if _is_cancelled(error):
        return "cancelled", ""
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ApplicationError):
        return cause.type or "internal_error", cause.message
    if isinstance(cause, TimeoutError):
        return "llm_timeout", "the model did not answer in time, or its worker was lost again and again"
    return "internal_error", "the step failed for an unknown reason; the worker's log says more"
