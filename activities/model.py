"""Asking the model: one attempt, streamed to the readers, stored with what it leads to."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

from temporalio import activity

from activities.cancellation import Cancellations
from activities.context import assemble
from activities.policy import failing, heartbeating
from o import ids
from o.contracts.turn import StepPlan, StepRef
from o.domain import loop
from o.domain.json import JsonObject
from o.domain.model import ModelEvent, ModelReply, ModelRequest, ReplyBuilder, storable
from o.domain.wire_deltas import DeltaPrinter
from o.errors import Cancelled, InvalidReply, Superseded, Unavailable
from o.providers.base import Provider
from o.providers.registry import Providers
from o.store import turn
from o.store.session import Store
from o.temporal import StepStarter

# Seconds a reply is held while the database does not take it, and between two tries.
_HOLD_REPLY, _TRY_AGAIN = 60.0, 0.5

# Readers are told at most this often, in seconds; what comes in between goes into one transaction.
_FLUSH_EVERY = 0.05


class ModelActivities:
    """Model requests. Temporal owns the retries; no transaction is open while the model thinks."""

    def __init__(self, store: Store, providers: Providers, starter: StepStarter, cancellations: Cancellations) -> None:
        self._store = store
        self._providers = providers
        self._starter = starter
        self._cancellations = cancellations

    @activity.defn(name="model.complete")
    async def complete(self, at: StepRef) -> StepPlan:
        """Ask the model for the reply of step `at`; a step already answered is not asked again.

        Raises:
            ApplicationError: typed by the error's `code`, retryable iff the error says so.
        """
        with failing(for_good=False):
            async with self._store.transaction(at.org_id) as tx:
                begun = await turn.begin(tx, at)
            if isinstance(begun, turn.Done):
                if begun.start is not None:
                    await self._starter.start(begun.start)
                return begun.plan
            async with heartbeating(), self._cancellations.stoppable(at.run_id):
                return await self._ask(at, begun)

    async def _ask(self, at: StepRef, asked: turn.Asking) -> StepPlan:
        provider, model = self._providers.resolve(asked.options.override_model or asked.agent.model)
        request, allowed = assemble(asked, model, await provider.profile(model))
        reply_id = ids.new("message")
        builder = ReplyBuilder()
        try:
            await self._stream(provider, request, at, asked, reply_id, builder)
            if not builder.finished:
                raise InvalidReply("the model's stream ended before the reply was complete")
            reply = builder.reply()
            client_tools = [tool.name for tool in asked.options.client_tools]
            planned = loop.plan(reply, asked.agent, allowed, asked.history, client_tools)
            plan, start = await self._store_answer(at, asked, reply_id, reply, planned)
        except (asyncio.CancelledError, Cancelled):
            await asyncio.shield(self._keep_partial(at, asked, reply_id, builder.reply()))
            raise
        if start is not None:
            await self._starter.start(start)
        return plan

    async def _store_answer(
        self, at: StepRef, asked: turn.Asking, reply_id: str, reply: ModelReply, planned: loop.Plan
    ) -> tuple[StepPlan, StepRef | None]:
        """Store the reply. It was paid for: while the database is away it is held, rather than asked for again."""
        deadline = time.monotonic() + _HOLD_REPLY
        while True:
            try:
                async with self._store.transaction(at.org_id) as tx:
                    return await turn.answer(tx, at, asked, reply_id, reply, planned)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_TRY_AGAIN)

    async def _stream(
        self,
        provider: Provider,
        request: ModelRequest,
        at: StepRef,
        asked: turn.Asking,
        reply_id: str,
        builder: ReplyBuilder,
    ) -> None:
        """Read the reply to its end; where somebody reads along, show it as it comes."""
        async with aclosing(provider.stream(request)) as stream:  # closing hangs up at once, whatever ends us
            if asked.options.stream_tokens:
                await self._show_as_it_comes(stream, request, at, asked, reply_id, builder)
            else:
                async for event in stream:
                    builder.add(storable(event))

    async def _show_as_it_comes(
        self,
        stream: AsyncIterator[ModelEvent],
        request: ModelRequest,
        at: StepRef,
        asked: turn.Asking,
        reply_id: str,
        builder: ReplyBuilder,
    ) -> None:
        rules = asked.agent.rules
        printer = DeltaPrinter(
            message_id=reply_id,
            run_id=at.run_id,
            step_id=asked.step_id,
            created_at=self._store.now(),
            legacy=asked.agent.speaks_by_tool,
            use_assistant_message=asked.options.use_assistant_message,
            parallel=request.parallel_tool_calls,
            waiting=[
                *(tool.name for tool in asked.options.client_tools),
                *(rule.tool_name for rule in rules if rule.type == "requires_approval"),
            ],
        )
        shown: list[JsonObject] = []
        due = time.monotonic()
        async for raw in stream:
            event = storable(raw)
            builder.add(event)
            shown += printer.print(event)
            if shown and time.monotonic() >= due:
                shown = await self._show(at, asked, shown)
                due = time.monotonic() + _FLUSH_EVERY
        if shown:
            await self._show(at, asked, shown)

    async def _show(self, at: StepRef, asked: turn.Asking, deltas: list[JsonObject]) -> list[JsonObject]:
        """Show deltas to the readers; returns those still to be shown, all of them while the database is away."""
        try:
            await self._append(at, asked, deltas)
        except Unavailable:
            return deltas  # the reply goes on, and what it says is stored whole at the end
        return []

    async def _append(self, at: StepRef, asked: turn.Asking, deltas: list[JsonObject]) -> None:
        async with self._store.transaction(at.org_id) as tx:
            if not await tx.events.append_deltas(at.run_id, at.index, asked.attempt, deltas):
                if (await tx.runs.get(at.run_id)).cancel_requested_at is not None:
                    raise Cancelled("the run was cancelled")
                raise Superseded("another attempt holds the request")
            if at.index == 0:
                await tx.runs.first_token(at.run_id)

    async def _keep_partial(self, at: StepRef, asked: turn.Asking, reply_id: str, partial: ModelReply) -> None:
        try:
            async with self._store.transaction(at.org_id) as tx:
                await turn.abandon(tx, at, asked, reply_id, partial)
        except Superseded:
            return  # the other attempt decides what is kept
