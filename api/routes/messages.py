"""Messages to an agent: said and awaited, streamed, or left to run; listed; cancelled."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api import turns
from api.deps import Asking, Caller, JsonRoute
from api.errors import documented
from api.responses import Json
from api.routes.params import AgentPath, Limit, MessageCursor, Order
from api.schemas.messages import (
    CancelRuns,
    LettaResponse,
    MessageType,
    SendAsync,
    SendMessage,
    SendOrStream,
    StreamMessage,
    WireMessage,
)
from api.schemas.runs import Run, print_run
from api.streaming import View, stream
from api.turns import Manner
from o.domain.agent import LEGACY_TYPES
from o.domain.json import JsonObject
from o.domain.messages import Message
from o.domain.wire import print_message
from o.errors import Conflict, InvalidArgument, NotFound

router = APIRouter(tags=["agents"], route_class=JsonRoute)

# A client that sends this knows the marker that voids what a superseded attempt has shown.
MARKER_HEADER = "x-o-reset-marker"

_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The turn, or its events as they come.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.post(
    "/v1/agents/{agent_id}/messages",
    operation_id="send_message",
    response_model=LettaResponse,
    responses={**documented(402, 404, 409, 429, 504), **_STREAMED},
)
async def send_message(agent_id: AgentPath, body: SendOrStream, request: Request, caller: Asking) -> Response:
    """Say something to an agent; the answer comes when its turn has ended, or as events if `streaming` is set."""
    if body.streaming:
        return await stream_turn(caller, request, body, agent_id, run_type="send_message_streaming")
    return await wait_for_turn(caller, request, body, agent_id, Manner("send_message"))


@router.post(
    "/v1/agents/{agent_id}/messages/stream",
    operation_id="create_agent_message_stream",
    responses={**documented(402, 404, 409), **_STREAMED},
)
async def create_agent_message_stream(
    agent_id: AgentPath, body: StreamMessage, request: Request, caller: Asking
) -> Response:
    """Say something to an agent and read its turn as it goes."""
    return await stream_turn(caller, request, body, agent_id, run_type="send_message_streaming")


@router.post(
    "/v1/agents/{agent_id}/messages/async",
    operation_id="create_agent_message_async",
    response_model=Run,
    responses=documented(404, 409),
)
async def create_agent_message_async(agent_id: AgentPath, body: SendAsync, request: Request, caller: Asking) -> Json:
    """Say something to an agent and do not wait: the answer is the run, to ask about later."""
    if body.callback_url is not None:
        raise InvalidArgument("callback_url: is not called yet; leave it out and poll GET /v1/runs/{id}")
    manner = Manner("send_message_async", background=True)
    accepted = await turns.accept(caller, request, body, manner, run_id=turns.new_run_id(), agent_id=agent_id)
    async with caller.transaction() as tx:
        return Json(print_run(await tx.runs.get(accepted.run_id)))


@router.get(
    "/v1/agents/{agent_id}/messages",
    operation_id="list_messages",
    response_model=list[WireMessage],
    responses=documented(404),
)
async def list_messages(
    agent_id: AgentPath,
    caller: Asking,
    after: MessageCursor = None,
    before: MessageCursor = None,
    limit: Limit = 100,
    order: Order = "desc",
    conversation_id: Annotated[str | None, Query(max_length=200)] = None,
    use_assistant_message: bool = True,
    include_return_message_types: Annotated[list[MessageType] | None, Query()] = None,
) -> Json:
    """The agent's messages. Cursors are absolute: `after` is newer, `before` older.

    With `order=desc` the answer holds the newest ones, the oldest of them first.
    """
    async with caller.transaction() as tx:
        thread_id, agent_type = await tx.agents.own_thread(agent_id)
        if conversation_id is not None and conversation_id != "default":
            thread = await tx.conversations.get(conversation_id)
            if thread.agent_id != agent_id:
                raise NotFound(f"Conversation not found with id '{conversation_id}'")
            thread_id = thread.id
        found = await tx.messages.list(conversation_id=thread_id, after=after, before=before, limit=limit, order=order)
    if order == "desc":
        found.reverse()
    printed = printed_messages(agent_type, found, use_assistant_message=use_assistant_message)
    return Json(turns.wanted(printed, include_return_message_types))


@router.post(
    "/v1/agents/{agent_id}/messages/cancel",
    operation_id="cancel_message",
    response_model=dict[str, str],
    responses=documented(404, 409),
)
async def cancel_message(agent_id: AgentPath, caller: Asking, body: CancelRuns | None = None) -> Json:
    """Cancel runs of an agent: those named, or all that are active. Tells of each whether that was possible."""
    async with caller.transaction() as tx:
        thread = await tx.conversations.default_of(agent_id)
        active = [run.id for run in await tx.runs.active_of(agent_id)]
        pending = await tx.approvals.pending(thread.id)
    run_ids = list(dict.fromkeys(body.run_ids)) if body and body.run_ids is not None else None
    if run_ids is None:
        run_ids = active + ([pending.run_id] if pending is not None else [])
    if not run_ids:
        raise Conflict("No active runs found to cancel")
    return Json(await cancel_runs(caller, run_ids, agent_id))


async def cancel_runs(caller: Caller, run_ids: list[str], agent_id: str) -> JsonObject:
    """Cancel these runs as far as they are the agent's and have not ended; the queued ones first, lest they start."""
    results = dict.fromkeys(run_ids, "failed")
    for run_id in reversed(run_ids):
        try:
            async with caller.transaction() as tx:
                run = await tx.runs.get(run_id)
            if run.agent_id == agent_id:
                await turns.cancel(caller, run_id)
                results[run_id] = "cancelled"
        except (NotFound, Conflict):
            continue  # there is nothing to cancel, and the answer says so
    return dict(results)


async def wait_for_turn(
    caller: Caller,
    request: Request,
    body: SendMessage,
    agent_id: str,
    manner: Manner,
    conversation_id: str | None = None,
) -> Json:
    """Accept a turn and answer when it has ended."""
    run_id = turns.new_run_id()
    with caller.parts.events.follow(run_id) as wakeup:
        accepted = await turns.accept(
            caller, request, body, manner, run_id=run_id, agent_id=agent_id, conversation_id=conversation_id
        )
        if not accepted.attached:
            return turns.response(await turns.finish(caller, run_id, wakeup), body.include_return_message_types)
    with caller.parts.events.follow(accepted.run_id) as wakeup:
        return turns.response(await turns.finish(caller, accepted.run_id, wakeup), body.include_return_message_types)


async def stream_turn(
    caller: Caller,
    request: Request,
    body: StreamMessage | SendOrStream,
    agent_id: str,
    *,
    run_type: str,
    queue: bool = True,
    conversation_id: str | None = None,
) -> Response:
    """Accept a turn and answer with its events."""
    manner = Manner(run_type, background=body.background, queue=queue, stream_tokens=body.stream_tokens)
    accepted = await turns.accept(
        caller,
        request,
        body,
        manner,
        run_id=turns.new_run_id(),
        agent_id=agent_id,
        conversation_id=conversation_id,
    )
    view = View(
        tokens=body.stream_tokens,
        pings=body.include_pings,
        numbered=body.background,
        markers=MARKER_HEADER in request.headers,
        types=body.include_return_message_types,
    )
    return stream(caller, accepted.run_id, view)


def printed_messages(
    agent_type: str, messages: list[Message], *, use_assistant_message: bool = True
) -> list[JsonObject]:
    """Stored messages of an agent of this type as the wire has them."""
    legacy = agent_type in LEGACY_TYPES
    return [
        printed
        for message in messages
        for printed in print_message(message, legacy=legacy, use_assistant_message=use_assistant_message)
    ]
