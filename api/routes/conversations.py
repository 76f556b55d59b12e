"""Conversations: threads of their own with an agent, one turn at a time; a busy one refuses (409)."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from api.agent_config import conversation_config
from api.deps import Asking, Caller, JsonRoute
from api.errors import documented
from api.responses import Json
from api.routes.messages import MARKER_HEADER, cancel_runs, printed_messages, stream_turn, wait_for_turn
from api.routes.params import AgentQuery, ConversationPath, Cursor, Limit, MessageCursor, Order
from api.schemas.common import AgentId, Body, Flag, Line, Name, Text
from api.schemas.messages import FollowRun, LettaResponse, MessageType, StreamMessage, WireMessage
from api.schemas.models import ModelSettings
from api.schemas.runs import Conversation, print_conversation
from api.streaming import View, stream
from api.turns import Manner, wanted
from o.domain.json import JsonObject
from o.domain.request import TurnOptions
from o.errors import Conflict, InvalidArgument, NotFound
from o.ids import pattern
from o.store.prompts import start_conversation
from o.store.records import ConversationRecord
from o.store.repositories.runs import RunFilter
from o.store.session import Transaction

router = APIRouter(prefix="/v1/conversations", tags=["conversations"], route_class=JsonRoute)

_STREAM = {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The events of a turn."}


class ConversationMessage(StreamMessage):
    """Messages to a conversation. `agent_id` says whose own thread `default` is."""

    streaming: Flag = Field(default=True)
    agent_id: AgentId | None = None


class CreateConversation(Body):
    """Ways in which a thread may differ from its agent. Blocks of its own are not offered yet, so they are refused."""

    isolated_block_labels: Annotated[list[Name], Field(max_length=200)] | None = None
    model: Line | None = None
    model_settings: ModelSettings | None = None


class UpdateConversation(Body):
    """What may change of a thread; null changes nothing."""

    summary: Text | None = None
    model: Line | None = None
    model_settings: ModelSettings | None = None


async def _thread(tx: Transaction, conversation_id: str, agent_id: str | None) -> ConversationRecord:
    """The conversation a path means. Raises NotFound; InvalidArgument for `default` without an agent."""
    if conversation_id.startswith("agent-"):
        return await tx.conversations.default_of(conversation_id)
    if conversation_id != "default":
        return await tx.conversations.get(conversation_id)
    if agent_id is None:
        raise InvalidArgument("agent_id: must be given with the conversation 'default'")
    return await tx.conversations.default_of(agent_id)


@router.post("/", operation_id="create_conversation", response_model=Conversation, responses=documented(404))
async def create_conversation(
    caller: Asking,
    agent_id: Annotated[str, Query(pattern=pattern("agent"), description="Id of the agent.")],
    body: CreateConversation | None = None,
) -> Json:
    """Begin a thread with an agent; it shares the agent's memory and model, not its history."""
    if body is not None and body.isolated_block_labels:
        raise InvalidArgument(
            "isolated_block_labels: a conversation has no own yet, it shares the agent's; leave it out"
        )
    changes = await _own_model(caller, body, agent_id) if body is not None else {}
    async with caller.transaction() as tx:
        thread_id = await start_conversation(tx, agent_id)
        if changes:
            await tx.conversations.update(thread_id, changes)
        return await _printed(tx, await tx.conversations.get(thread_id))


@router.patch(
    "/{conversation_id}", operation_id="update_conversation", response_model=Conversation, responses=documented(404)
)
async def update_conversation(conversation_id: ConversationPath, caller: Asking, body: UpdateConversation) -> Json:
    """Change a thread's summary or its model. The turn that is running goes on with the model it began with."""
    async with caller.transaction() as tx:
        thread = await tx.conversations.get(conversation_id)
    changes = await _own_model(caller, body, thread.agent_id, thread.llm_config)
    if body.summary is not None:
        changes["summary"] = body.summary
    async with caller.transaction() as tx:
        if changes:
            await tx.conversations.update(conversation_id, changes)
        return await _printed(tx, await tx.conversations.get(conversation_id))


async def _own_model(
    caller: Caller, body: CreateConversation | UpdateConversation, agent_id: str, own: JsonObject | None = None
) -> JsonObject:
    """The columns that give a thread the model a body asks for; none where it asks for none."""
    if body.model is None and body.model_settings is None:
        return {}
    async with caller.transaction() as tx:
        of_agent = (await tx.agents.get(agent_id)).llm_config
    config = await conversation_config(body.model, body.model_settings, caller.catalogue, before=own, of_agent=of_agent)
    return {"model": config.get("handle"), "llm_config": config}


async def _printed(tx: Transaction, thread: ConversationRecord) -> Json:
    context = await tx.messages.context_ids([thread.id])
    return Json(print_conversation(thread, context.get(thread.id, [])))


@router.get("/", operation_id="list_conversations", response_model=list[Conversation], responses=documented())
async def list_conversations(
    caller: Asking,
    agent_id: AgentQuery = None,
    after: Cursor = None,
    limit: Limit = 50,
    order: Order = "desc",
    order_by: Literal["created_at"] = "created_at",
) -> Json:
    """Threads, besides the agents' own."""
    async with caller.transaction() as tx:
        threads = await tx.conversations.list(agent_id, after=after, limit=limit, order=order)
        context = await tx.messages.context_ids([thread.id for thread in threads])
    return Json([print_conversation(thread, context.get(thread.id, [])) for thread in threads])


@router.get(
    "/{conversation_id}", operation_id="retrieve_conversation", response_model=Conversation, responses=documented(404)
)
async def retrieve_conversation(conversation_id: ConversationPath, caller: Asking, agent_id: AgentQuery = None) -> Json:
    """One thread."""
    async with caller.transaction() as tx:
        return await _printed(tx, await _thread(tx, conversation_id, agent_id))


@router.get(
    "/{conversation_id}/messages",
    operation_id="list_conversation_messages",
    response_model=list[WireMessage],
    responses=documented(404),
)
async def list_conversation_messages(
    conversation_id: ConversationPath,
    caller: Asking,
    agent_id: AgentQuery = None,
    after: MessageCursor = None,
    before: MessageCursor = None,
    limit: Limit = 100,
    order: Order = "desc",
    order_by: Literal["created_at"] = "created_at",
    include_return_message_types: Annotated[list[MessageType] | None, Query()] = None,
) -> Json:
    """The messages of a thread, newest first unless asked otherwise. An unknown cursor is ignored."""
    async with caller.transaction() as tx:
        thread = await _thread(tx, conversation_id, agent_id)
        _, agent_type = await tx.agents.own_thread(thread.agent_id)
        known = {cursor for cursor in (after, before) if cursor and await _exists(tx, cursor)}
        found = await tx.messages.list(
            conversation_id=thread.id,
            after=after if after in known else None,
            before=before if before in known else None,
            limit=limit,
            order=order,
        )
    return Json(wanted(printed_messages(agent_type, found), include_return_message_types))


async def _exists(tx: Transaction, message_id: str) -> bool:
    try:
        return (await tx.messages.get(message_id)).seq is not None
    except NotFound:
        return False


@router.post(
    "/{conversation_id}/messages",
    operation_id="send_conversation_message",
    response_model=LettaResponse,
    responses={**documented(402, 404, 409, 429, 504), 200: _STREAM},
)
async def send_conversation_message(
    conversation_id: ConversationPath, body: ConversationMessage, request: Request, caller: Asking
) -> Response:
    """Say something in a thread; the answer is its events, or the whole turn if `streaming` is false."""
    async with caller.transaction() as tx:
        thread = await _thread(tx, conversation_id, body.agent_id)
    if body.streaming:
        return await stream_turn(
            caller,
            request,
            body,
            thread.agent_id,
            run_type="send_conversation_message",
            queue=False,
            conversation_id=thread.id,
        )
    manner = Manner("send_conversation_message", queue=False)
    return await wait_for_turn(caller, request, body, thread.agent_id, manner, thread.id)


@router.post(
    "/{conversation_id}/cancel",
    operation_id="cancel_conversation",
    response_model=dict[str, str],
    responses=documented(404, 409),
)
async def cancel_conversation(conversation_id: ConversationPath, caller: Asking, agent_id: AgentQuery = None) -> Json:
    """Cancel what is active in a thread."""
    async with caller.transaction() as tx:
        thread = await _thread(tx, conversation_id, agent_id)
        active = await tx.runs.list(RunFilter(conversation_id=thread.id, active=True, order="asc", limit=1000))
        pending = await tx.approvals.pending(thread.id)
    run_ids = [run.id for run in active] + ([pending.run_id] if pending is not None else [])
    if not run_ids:
        raise Conflict("No active runs found to cancel")
    return Json(await cancel_runs(caller, run_ids, thread.agent_id))


@router.post(
    "/{conversation_id}/stream",
    operation_id="retrieve_conversation_stream",
    responses={**documented(404), 200: _STREAM},
)
async def retrieve_conversation_stream(
    conversation_id: ConversationPath, request: Request, caller: Asking, body: FollowRun | None = None
) -> Response:
    """Follow a background run of a thread: the one named by run or otid, or the newest that is active."""
    body = body or FollowRun()
    async with caller.transaction() as tx:
        thread = await _thread(tx, conversation_id, body.agent_id)
        run_id = body.run_id
        if run_id is None and body.otid is not None:
            run_id = await tx.messages.run_of_otids(thread.id, [body.otid])
        if run_id is None:
            active = await tx.runs.list(RunFilter(conversation_id=thread.id, active=True, background=True, limit=1))
            run_id = active[0].id if active else None
        if run_id is None:
            raise InvalidArgument("No active runs found for this conversation.")
        run = await tx.runs.get(run_id)
    if run.conversation_id != thread.id:
        raise NotFound(f"Run not found with id '{run_id[:80]}'")
    if not run.background:
        raise InvalidArgument(f"Run '{run_id}' was not started in the background, so its events cannot be replayed")
    options = TurnOptions.model_validate(run.request)
    view = View(
        tokens=options.stream_tokens,
        pings=body.include_pings is not False,
        numbered=True,
        starting_after=body.starting_after,
        markers=MARKER_HEADER in request.headers,
        types=options.include_return_message_types,
    )
    return stream(caller, run_id, view)
