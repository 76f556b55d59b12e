"""A turn from the client's side: accept it, start it, and wait for its end."""

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request

from api.deps import Caller
from api.errors import NO_RETRY, model_failure
from api.events import Wakeup
from api.images import fetched_images, image_urls
from api.inputs import client_otids, digest, stored_input
from api.responses import Json
from api.schemas.messages import SendMessage
from o import ids
from o.contracts.turn import StepRef
from o.domain.agent import LEGACY_TYPES
from o.domain.json import JsonObject
from o.domain.request import TurnOptions
from o.domain.wire import print_message, stop_message, usage_statistics
from o.errors import InvalidArgument, Unavailable
from o.store import queue
from o.store.queue import Accepted, TurnRequest
from o.store.records import RunRecord
from o.store.session import Transaction

_log = logging.getLogger(__name__)

_MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class Manner:
    """How a turn is asked for: its kind in the run's metadata, whether it runs in the background, and may wait; and the
    approval it answers, where it was asked for by that."""

    run_type: str
    background: bool = False
    queue: bool = True
    stream_tokens: bool = False
    approval_id: str | None = None


def new_run_id() -> str:
    return ids.new("run")


async def accept(
    caller: Caller,
    request: Request,
    body: SendMessage,
    manner: Manner,
    *,
    run_id: str,
    agent_id: str,
    conversation_id: str | None = None,
) -> Accepted:
    """Store a request as a run of the conversation (the agent's own, if none is named), and start it.

    Raises:
        NotFound: no such agent, or an override names no model.
        PendingApproval, ConversationBusy, Unprocessable, InvalidArgument: as `queue.accept` says.
    """
    asked = TurnRequest(
        agent_id=agent_id,
        conversation_id=conversation_id or "",
        input=(),
        options=body.options(stream_tokens=manner.stream_tokens),
        run_type=manner.run_type,
        background=manner.background,
        queue=manner.queue,
        body_hash=digest(body),
        is_retry=request.headers.get("x-stainless-retry-count", "0") not in ("", "0"),
        idempotency_key=_idempotency_key(request),
        client_otids=client_otids(body),
        approval_id=manner.approval_id,
    )
    urls = image_urls(body)
    if urls or body.override_model is not None:
        # First: what a repeated request names may be gone, and its run is there all the same.
        async with caller.transaction() as tx:
            asked = await _placed(tx, asked)
            conversation = await tx.conversations.lock(asked.conversation_id)
            before = await queue.accepted_before(tx, asked, conversation)
        if before is not None:
            await start(caller, before.start)
            return before
    if body.override_model is not None:
        await caller.catalogue.model(body.override_model)
    images = await fetched_images(urls, caller.parts.guard)
    async with caller.transaction() as tx:
        asked = await _placed(tx, asked)
        given = stored_input(
            body, images, run_id=run_id, agent_id=agent_id, conversation_id=asked.conversation_id, at=tx.now()
        )
        accepted = await queue.accept(tx, replace(asked, input=given))
    await start(caller, accepted.start)
    return accepted


async def _placed(tx: Transaction, asked: TurnRequest) -> TurnRequest:
    """The request with its conversation: the agent's own, if none is named. Raises NotFound."""
    if asked.conversation_id:
        return asked
    return replace(asked, conversation_id=(await tx.conversations.default_of(asked.agent_id)).id)


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= _MAX_KEY:
        raise InvalidArgument(f"Idempotency-Key header: must have 1 to {_MAX_KEY} characters")
    return key


async def start(caller: Caller, at: StepRef | None) -> None:
    """Start a step whose rows are committed. The engine being away is no failure: the reconciler starts it then."""
    if at is None:
        return
    try:
        await caller.parts.engine.start(at)
    except Unavailable:
        _log.warning("the engine does not answer; %s is started once it does", at.workflow_id)


async def cancel(caller: Caller, run_id: str) -> None:
    """Cancel one run. Raises NotFound, Conflict (it has ended)."""
    async with caller.transaction() as tx:
        left = await queue.cancel(tx, run_id)
    if left.workflow is not None:
        try:
            await caller.parts.engine.cancel(left.workflow)
        except Unavailable:
            _log.warning("the engine does not answer; %s sees its cancelled run in the database", run_id)
    await start(caller, left.start)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: its messages in order, and the data of its `end` event."""

    messages: list[JsonObject]
    end: JsonObject


async def finish(caller: Caller, run_id: str, wakeup: Wakeup) -> Outcome:
    """Wait until the run has ended, however long that takes. Raises NotFound when it is deleted meanwhile."""
    messages: list[JsonObject] = []
    seen = 0
    while True:
        async with caller.transaction() as tx:
            # The run first: one that had ended before its events were read has no more of them to come.
            run = await tx.runs.get(run_id)
            events = await tx.events.after(run_id, seen)
            if run.completed_at is not None and not events:
                return await _stored_outcome(tx, run)
        for event in events:
            seen = event.seq
            if event.kind == "message":
                messages.append(event.data)
            elif event.kind == "end":
                return Outcome(messages, event.data)
        if not events:
            await wakeup.wait()


async def _stored_outcome(tx: Transaction, run: RunRecord) -> Outcome:
    """The end of a run whose events are no longer kept, from its rows."""
    _, agent_type = await tx.agents.own_thread(run.agent_id)
    legacy = agent_type in LEGACY_TYPES
    options = TurnOptions.model_validate(run.request)
    messages = [
        printed
        for message in await tx.messages.of_run(run.id)
        if message.role in ("assistant", "tool") or (message.role == "approval" and message.tool_calls)
        for printed in print_message(message, legacy=legacy, use_assistant_message=options.use_assistant_message)
    ]
    steps = await tx.steps.of_run(run.id)
    usage = {
        "step_count": len(steps),
        "prompt_tokens": sum(step.prompt_tokens for step in steps),
        "completion_tokens": sum(step.completion_tokens for step in steps),
        "cached_input_tokens": sum(step.cached_input_tokens for step in steps),
        "cache_write_tokens": sum(step.cache_write_tokens for step in steps),
        "reasoning_tokens": sum(step.reasoning_tokens for step in steps),
    }
    return Outcome(messages, {"stop_reason": run.stop_reason or "error", "usage": usage, "error": run.error})


def wanted(messages: list[JsonObject], types: Collection[str] | None) -> list[JsonObject]:
    """The messages of the types a request asked for."""
    return messages if types is None else [message for message in messages if message["message_type"] in types]


def usage_of(end: JsonObject) -> JsonObject:
    """The usage of a run, from the data of its `end` event."""
    counts: dict[str, Any] = end["usage"]
    return usage_statistics(
        steps=counts["step_count"],
        prompt=counts["prompt_tokens"],
        completion=counts["completion_tokens"],
        cached=counts["cached_input_tokens"],
        cache_write=counts.get("cache_write_tokens", 0),  # events of earlier versions have none
        reasoning=counts["reasoning_tokens"],
    )


def response(outcome: Outcome, types: Collection[str] | None) -> Json:
    """A finished turn as the answer of a request that waited for it; a failed model as the status it stands for."""
    if (error := outcome.end.get("error")) is not None:
        return model_failure(error["error_type"], error["message"], NO_RETRY)
    return Json(
        {
            "messages": wanted(outcome.messages, types),
            "stop_reason": stop_message(outcome.end["stop_reason"]),
            "usage": usage_of(outcome.end),
            "logprobs": None,
            "turns": None,
        }
    )
