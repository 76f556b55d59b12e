"""Tool calls that speak to other agents: each is a run of the other agent, and no activity waits for its end."""

from collections.abc import Sequence

from pydantic import Field
from temporalio import activity

from activities.policy import failing
from activities.tool_arguments import Arguments, Text
from o.contracts.turn import CollectInput, StepRef, ToolInput
from o.domain.agent import ASK_AGENTS, TELL_AGENT
from o.domain.call_repair import parse_arguments
from o.domain.json import JsonObject
from o.domain.messages import ReturnStatus, ToolReturn
from o.domain.tool_returns import limited
from o.store import agent_calls, calls
from o.store.agent_calls import Asking, AskRefused
from o.store.session import Store
from o.temporal import StepStarter


class _Told(Arguments):
    message: Text = Field(pattern=r"\S")


class _ToldOne(_Told):
    other_agent_id: Text


class _ToldByTags(_Told):
    match_all: list[Text] = Field(default_factory=list)
    match_some: list[Text] = Field(default_factory=list)


class AgentCallActivities:
    """Asking other agents, and gathering what they answered. Idempotent: the asked runs' ids follow from the call."""

    def __init__(self, store: Store, starter: StepStarter) -> None:
        self._store = store
        self._starter = starter

    @activity.defn(name="agents.ask")
    async def ask(self, what: ToolInput) -> int:
        """Have the other agents' runs accepted and started. Returns for how many ends the step must wait.

        A call that waits for none has its return stored. What the model did wrong is such a return, status error.

        Raises:
            ApplicationError: typed; the database's or the engine's absence is retryable.
        """
        at, call_id = what.at, what.call.call_id
        with failing():
            async with self._store.transaction(at.org_id) as tx:
                begun = await calls.begin_call(tx, at, what.call)
            if isinstance(begun, ToolReturn):
                return 0
            try:
                message, agents = await self._meant(at, what.call.tool, parse_arguments(begun.call))
            except ValueError as error:
                await self._finish(at, begun, f"Error: {error}", failed=True)
                return 0
            asking = Asking(at, call_id, message, awaited=what.call.tool != TELL_AGENT)
            asked, refusals = [], []
            for agent_id in agents:
                try:
                    asked.append(await self._ask(asking, agent_id))
                except AskRefused as refusal:
                    refusals.append(f"Error: {refusal}")
            if not asked:
                await self._finish(at, begun, "; ".join(refusals) or "No agent has these tags.", failed=bool(refusals))
            elif not asking.awaited:
                await self._finish(at, begun, "The message was delivered; no reply will come back.")
            return len(asked) if asking.awaited else 0

    @activity.defn(name="agents.collect")
    async def collect(self, what: CollectInput) -> bool:
        """Store what the asked agents answered as the call's return, once all have ended or it is `final`.

        Returns whether that is done.

        Raises:
            ApplicationError: typed; a cancelled run is not waited for any longer.
        """
        at = what.at
        with failing():
            async with self._store.transaction(at.org_id) as tx:
                asked = await tx.runs.asked_in(at.run_id, at.index, what.call.call_id)
                if not what.final and any(run.completed_at is None for run in asked):
                    return False
                begun = await calls.begin_call(tx, at, what.call)
                if not isinstance(begun, ToolReturn):
                    text = await agent_calls.replies(tx, asked)
                    status: ReturnStatus = "success" if any(run.status == "completed" for run in asked) else "error"
                    returned = ToolReturn(what.call.call_id, text, status, what.call.tool)
                    cut = limited(returned, begun.return_limit)
                    await tx.steps.finish_call(at.run_id, at.index, cut, attempt=begun.attempt)
                return True

    async def _meant(self, at: StepRef, tool: str, arguments: JsonObject) -> tuple[str, Sequence[str]]:
        """The message and the agents a call means. Raises ValueError, for the model to read."""
        if tool != ASK_AGENTS:
            told = _ToldOne.read(arguments)
            return told.message, [told.other_agent_id]
        asked = _ToldByTags.read(arguments)
        async with self._store.transaction(at.org_id) as tx:
            return asked.message, await agent_calls.matching(tx, at, asked.match_all, asked.match_some)

    async def _ask(self, asking: Asking, agent_id: str) -> str:
        async with self._store.transaction(asking.at.org_id) as tx:
            accepted = await agent_calls.ask(tx, asking, agent_id)
        if accepted.start is not None:
            await self._starter.start(accepted.start)
        return accepted.run_id

    async def _finish(self, at: StepRef, begun: calls.Calling, text: str, *, failed: bool = False) -> None:
        returned = ToolReturn(begun.call.id, text, "error" if failed else "success", begun.call.name)
        async with self._store.transaction(at.org_id) as tx:
            await tx.steps.finish_call(at.run_id, at.index, returned, attempt=begun.attempt)
