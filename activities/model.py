"""Asking the model: one attempt, streamed to the readers, stored with what it leads to."""

import asyncio
import random
from contextlib import AsyncExitStack

from temporalio import activity

from activities.cancellation import Cancellations
from activities.context import assemble, estimate
from activities.policy import MODEL_TRIES, as_failure, failing, heartbeating, held
from activities.reply_stream import ReplyStream
from activities.routing import Route, Routing
from o import ids
from o.contracts.turn import StepPlan, StepRef
from o.domain import loop
from o.domain.model import ModelRequest
from o.domain.price import cost
from o.errors import (
    BudgetExceeded,
    Cancelled,
    ContextOverflow,
    InvalidReply,
    ModelAuthentication,
    ModelError,
    ModelQuota,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
    ModelUnknown,
    NotFound,
    ProjectError,
    Superseded,
)
from o.providers.base import Profile
from o.providers.registry import Providers
from o.store import turn
from o.store.repositories.limits import Wait
from o.store.session import Store
from o.temporal import StepStarter

# What another model may do better: also with a request that is too long, if its window is larger. What is wrong or
# refused stays so.
_ELSEWHERE = (
    ContextOverflow,
    InvalidReply,
    ModelAuthentication,
    ModelQuota,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
    ModelUnknown,
)
# How much of the window the transcript may fill, one after the other, where the model says that it was too long.
_SHARES = (1.0, 0.7, 0.4)


def _hopes(error: ProjectError) -> tuple[bool, float]:
    """Which of several failures says whether and when the step is tried again: the greatest."""
    return error.retryable, -(error.retry_after or 0.0)


class ModelActivities:
    """Model requests. Temporal owns the retries; no transaction is open while the model thinks."""

    def __init__(
        self, store: Store, providers: Providers, routing: Routing, starter: StepStarter, cancellations: Cancellations
    ) -> None:
        self._store = store
        self._providers = providers
        self._routing = routing
        self._starter = starter
        self._cancellations = cancellations

    @activity.defn(name="model.complete")
    async def complete(self, at: StepRef) -> StepPlan:
        """Ask the model for the reply of step `at`; a step already answered is not asked again.

        Raises:
            ApplicationError: typed by the error's `code`, retryable iff the error says so and tries are left. Being
                told to wait costs no try.
        """
        with failing(for_good=False):
            async with self._store.transaction(at.org_id) as tx:
                begun = await turn.begin(tx, at)
                if isinstance(begun, turn.Asking) and (spent := await tx.budgets.exceeded(at.agent_id, at.run_id)):
                    raise BudgetExceeded(spent.message)
            if isinstance(begun, turn.Done):
                if begun.start is not None:
                    await self._starter.start(begun.start)
                return begun.plan
            if begun.tries > MODEL_TRIES:  # the earlier ones took their workers with them, or were cut off
                lost = ModelTimeout(
                    f"the model was asked {MODEL_TRIES} times and no attempt lived to tell how it ended"
                )
                raise as_failure(lost, for_good=True)
            with failing(for_good=begun.tries == MODEL_TRIES):
                async with heartbeating(), self._cancellations.stoppable(at.run_id):
                    try:
                        return await self._ask(at, begun)
                    except ModelRateLimited:
                        async with self._store.transaction(at.org_id) as tx:
                            await tx.steps.excuse(at.run_id, at.index, begun.attempt)
                        raise
                    except ModelError as error:
                        if begun.tries < MODEL_TRIES:
                            raise
                        raise as_failure(error, for_good=True) from None

    async def _ask(self, at: StepRef, asked: turn.Asking) -> StepPlan:
        """Ask the first of the models that serve the agent's handle; where that one cannot, the next."""
        routes = self._routing.routes(asked.snapshot, asked.options.override_model or asked.agent.model)
        failed: ProjectError | None = None
        for route in routes:
            stream = ReplyStream(self._store, at, asked, ids.new("message"))
            try:
                return await self._ask_one(at, asked, route, stream, last=route is routes[-1])
            except _ELSEWHERE as error:
                if stream.shown:  # another model's words would follow this one's
                    raise
                failed = error if failed is None or _hopes(error) > _hopes(failed) else failed
            except (asyncio.CancelledError, Cancelled):
                await asyncio.shield(self._keep_partial(at, asked, stream))
                raise
        assert failed is not None  # there is at least one route
        raise failed

    async def _ask_one(
        self, at: StepRef, asked: turn.Asking, route: Route, stream: ReplyStream, *, last: bool
    ) -> StepPlan:
        async with AsyncExitStack() as stack:
            try:
                provider = await stack.enter_async_context(self._providers.serving(route.spec))
                profile = await provider.profile(route.model)
            except NotFound as error:  # what is missing later on is a row of ours, which no other model has either
                raise ModelUnknown(error.message) from None
            for share in _SHARES:
                request, allowed = assemble(asked, route.model, profile, share)
                grant = await self._grant(at, route, request, profile, last=last)
                try:
                    await stream.read(provider, request)
                    break
                except ContextOverflow:
                    if share == _SHARES[-1] or not stream.restart():
                        raise
        reply = stream.builder.reply()
        price = None if profile.price is None else cost(profile.price, reply.usage)
        answered = turn.Answered(stream.reply_id, reply, f"{route.spec.name}/{route.model}", price, grant)
        planned = loop.plan(reply, asked.agent, allowed, asked.history, asked.options.client_tools)
        plan, start = await self._store_answer(at, asked, answered, planned)
        if start is not None:
            await self._starter.start(start)
        return plan

    async def _grant(
        self, at: StepRef, route: Route, request: ModelRequest, profile: Profile, *, last: bool
    ) -> str | None:
        """Take the request's place under the provider's limits; None where it has none.

        Raises:
            ModelRateLimited: it is not this agent's turn yet; where no other model is left to ask, its place is kept.
        """
        spec = route.spec
        if spec.requests_per_minute is None and spec.tokens_per_minute is None:
            return None
        async with self._store.transaction(at.org_id) as tx:
            answer = await tx.limits.take(
                spec.bucket,
                agent_id=at.agent_id,
                request_id=at.workflow_id,
                tokens=estimate(request, profile),
                requests_per_minute=spec.requests_per_minute,
                tokens_per_minute=spec.tokens_per_minute,
                spread=random.random(),  # noqa: S311 - spreads load, hides nothing
                returns=last,
            )
        if isinstance(answer, Wait):
            raise ModelRateLimited(f"the limits set for {spec.name} are used up for now", retry_after=answer.seconds)
        return answer.grant_id

    async def _store_answer(
        self, at: StepRef, asked: turn.Asking, answered: turn.Answered, planned: loop.Plan
    ) -> tuple[StepPlan, StepRef | None]:
        """Store the reply. It was paid for: while the database is away it is held, rather than asked for again."""

        async def write() -> tuple[StepPlan, StepRef | None]:
            async with self._store.transaction(at.org_id) as tx:
                return await turn.answer(tx, at, asked, answered, planned)

        return await held(write)

    async def _keep_partial(self, at: StepRef, asked: turn.Asking, stream: ReplyStream) -> None:
        try:
            async with self._store.transaction(at.org_id) as tx:
                await turn.abandon(tx, at, asked, stream.reply_id, stream.builder.reply())
        except Superseded:
            return  # the other attempt decides what is kept
