"""Reading a model's reply to its end, and showing it to those who read along."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing

from o.contracts.turn import StepRef
from o.domain.json import JsonObject
from o.domain.model import ModelEvent, ModelRequest, ReasoningDelta, ReplyBuilder, TextDelta, ToolCallDelta, storable
from o.domain.repetition import RepetitionGuard
from o.domain.tool_policy import asks
from o.domain.wire_deltas import DeltaPrinter
from o.errors import Cancelled, InvalidReply, Superseded, Unavailable
from o.providers.base import Provider
from o.store.session import Store
from o.store.turn import Asking

# Readers are told at most this often, in seconds; what comes in between goes into one transaction.
_FLUSH_EVERY = 0.05


class ReplyStream:
    """One reply of a model. `builder` has it as far as it came, `shown` says whether anybody saw any of it."""

    def __init__(self, store: Store, at: StepRef, asked: Asking, reply_id: str) -> None:
        self._store, self._at, self._asked = store, at, asked
        self.reply_id = reply_id
        self.builder = ReplyBuilder()
        self.shown = False
        self._loops: dict[type[ModelEvent], RepetitionGuard] = {}

    def restart(self) -> bool:
        """Forget what came, to ask once more; False if somebody saw some of it."""
        if not self.shown:
            self.builder = ReplyBuilder()
            self._loops = {}
        return not self.shown

    async def read(self, provider: Provider, request: ModelRequest) -> None:
        """Read the reply; closing hangs up at once, whatever ends us.

        Raises:
            ModelError: as `Provider.stream`; InvalidReply too when it stops before its end or goes round in circles.
            Cancelled: the run was cancelled. Superseded: another attempt holds the request.
        """
        async with aclosing(provider.stream(request)) as stream:
            if self._asked.options.stream_tokens:
                await self._show_as_it_comes(stream, request)
            else:
                async for event in stream:
                    self._add(storable(event))
        if not self.builder.finished:
            raise InvalidReply("the model's stream ended before the reply was complete")

    def _add(self, event: ModelEvent) -> None:
        self.builder.add(event)
        match event:
            case TextDelta(text) | ReasoningDelta(text) | ToolCallDelta(arguments=text):
                if self._loops.setdefault(type(event), RepetitionGuard()).add(text):
                    raise InvalidReply("the model repeats itself without end")

    async def _show_as_it_comes(self, stream: AsyncIterator[ModelEvent], request: ModelRequest) -> None:
        printer = self._printer(parallel=request.parallel_tool_calls)
        deltas: list[JsonObject] = []
        due = time.monotonic()
        async for raw in stream:
            event = storable(raw)
            self._add(event)
            deltas += printer.print(event)
            if deltas and time.monotonic() >= due:
                deltas = await self._show(deltas)
                due = time.monotonic() + _FLUSH_EVERY
        if deltas:
            await self._show(deltas)

    def _printer(self, *, parallel: bool) -> DeltaPrinter:
        asked = self._asked
        agent = asked.agent
        waits = {
            tool.name: asks(agent.policies, agent_id=agent.id, agent_tags=agent.tags, tool_name=tool.name)
            for tool in agent.tools
        }
        waiting = {
            *(tool.name for tool in asked.options.client_tools),
            *(rule.tool_name for rule in agent.rules if rule.type == "requires_approval"),
            *(name for name, waits_for in waits.items() if waits_for == "always"),
        }
        denied = bool(waiting) and any(policy.action == "deny" for policy in agent.policies)
        return DeltaPrinter(
            message_id=self.reply_id,
            run_id=self._at.run_id,
            step_id=asked.step_id,
            created_at=self._store.now(),
            legacy=agent.speaks_by_tool,
            use_assistant_message=asked.options.use_assistant_message,
            parallel=parallel,
            waiting=waiting,
            thoughts=agent.uses_heartbeats and agent.thoughts_in_arguments,
            undecided=denied or "maybe" in waits.values(),
        )

    async def _show(self, deltas: list[JsonObject]) -> list[JsonObject]:
        """Show deltas to the readers; returns those still to be shown, all of them while the database is away."""
        try:
            await self._append(deltas)
        except Unavailable:
            return deltas  # the reply goes on, and what it says is stored whole at the end
        self.shown = True
        return []

    async def _append(self, deltas: list[JsonObject]) -> None:
        at = self._at
        async with self._store.transaction(at.org_id) as tx:
            if not await tx.events.append_deltas(at.run_id, at.index, self._asked.attempt, deltas):
                if (await tx.runs.get(at.run_id)).cancel_requested_at is not None:
                    raise Cancelled("the run was cancelled")
                raise Superseded("another attempt holds the request")
            if at.index == 0:
                await tx.runs.first_token(at.run_id)
