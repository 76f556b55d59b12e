"""One agent step: ask the model once, run the tools it called, then move the run on."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutError

with workflow.unsafe.imports_passed_through():
    from activities import policy
    from activities.agents import AgentCallActivities
    from activities.memory import MemoryActivities
    from activities.model import ModelActivities
    from activities.runs import RunActivities
    from activities.tools import ToolActivities
    from o.contracts.turn import Asker, CallRef, CloseInput, CollectInput, StepInput, StepOutcome, StepRef, ToolInput
    from o.temporal import STOP_REASON

REPLIED = "agents.replied"

# When a step that waits for other agents looks by itself whether they have ended: after this long, then ever later.
_FIRST_LOOK = timedelta(seconds=15)
_LONGEST_PAUSE = timedelta(minutes=2)


@workflow.defn(name="Step")
class StepWorkflow:
    """The durable form of one agent step. It carries ids and decisions only; the rows carry the rest.

    Its last activity ends the run or starts the run's next step, so there is no parent over the steps.
    """

    def __init__(self) -> None:
        self._replies: Counter[str] = Counter()

    @workflow.signal(name=REPLIED)
    def replied(self, call_id: str) -> None:
        """An agent that a call of this step asked has answered, or will not."""
        self._replies[call_id] += 1

    @workflow.run
    async def run(self, what: StepInput) -> StepOutcome:
        try:
            outcome = await self._step(what)
        except (ActivityError, asyncio.CancelledError) as error:
            outcome = await self._close(what.at, error)
        if outcome.stop is not None:
            # With the last command, so that it costs no workflow task of its own.
            workflow.upsert_search_attributes([STOP_REASON.value_set(outcome.stop)])
            if what.at.asked_by is not None:
                await _tell(what.at.asked_by)
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
        elif call.kind == "agent":
            await self._ask_agents(what, call)
        else:
            await workflow.execute_activity_method(
                ToolActivities.run, given, **policy.tool(what.timing), summary=f"run {call.tool}"
            )

    async def _ask_agents(self, what: StepInput, call: CallRef) -> None:
        """Have other agents asked, and wait for the signals of their ends; what is missed is looked up now and then."""
        awaited = await workflow.execute_activity_method(
            AgentCallActivities.ask,
            ToolInput(at=what.at, call=call),
            **policy.asking(),
            summary=f"ask other agents: {call.tool}",
        )
        if workflow.cancellation_reason() is not None:
            # It came while they were being asked; awaiting the activity to its end took it in.
            raise asyncio.CancelledError
        ends = workflow.now() + timedelta(seconds=what.timing.reply)
        pause, enough = _FIRST_LOOK, awaited
        done = awaited == 0
        while not done:
            left = max(ends - workflow.now(), timedelta(0))
            with suppress(asyncio.TimeoutError):
                await workflow.wait_condition(self._heard(call.call_id, enough), timeout=min(pause, left))
            done = await workflow.execute_activity_method(
                AgentCallActivities.collect,
                CollectInput(at=what.at, call=call, final=workflow.now() >= ends),
                **policy.rows(),
                summary="gather the replies",
            )
            enough = max(awaited, self._replies[call.call_id] + 1)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _heard(self, call_id: str, enough: int) -> Callable[[], bool]:
        return lambda: self._replies[call_id] >= enough

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


async def _tell(asker: Asker) -> None:
    """Tell the step that waits for this run. If it is gone, nobody waits; if it does not hear, it looks by itself."""
    waiting = workflow.get_external_workflow_handle(asker.workflow_id)
    with suppress(ApplicationError, asyncio.CancelledError):
        await waiting.signal(REPLIED, asker.call_id)


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
