"""Approvals: tool calls that wait for a person, and the person's answer."""

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request

from api import turns
from api.deps import Asking, Caller, JsonRoute
from api.errors import documented
from api.responses import Json
from api.routes.params import AgentQuery, Limit, Order
from api.schemas.approvals import Answers, Approval, CallAnswer, Deny, print_approval
from api.schemas.messages import ApprovalAnswer, ClientTool, CreateApproval, SendMessage
from api.schemas.runs import Run, print_run
from api.turns import Manner
from o.domain.request import TurnOptions
from o.errors import Conflict, InvalidArgument
from o.ids import pattern
from o.store.records import ApprovalRecord
from o.store.repositories.approvals import ApprovalFilter, Asked
from o.store.session import Transaction

router = APIRouter(prefix="/v1/approvals", tags=["approvals"], route_class=JsonRoute)

ApprovalPath = Annotated[str, Path(pattern=pattern("approval"), description="Id of the approval.")]
ApprovalCursor = Annotated[
    str | None, Query(pattern=pattern("approval"), description="Id of the approval to go on from.")
]


@router.get("/", operation_id="list_approvals", response_model=list[Approval], responses=documented(404))
async def list_approvals(
    caller: Asking,
    status: Literal["pending", "answered", "expired", "cancelled", "all"] = "pending",
    agent_id: AgentQuery = None,
    before: ApprovalCursor = None,
    after: ApprovalCursor = None,
    limit: Limit = 100,
    order: Order = "desc",
) -> Json:
    """Tool calls that wait for a person; with `status` those that did, too."""
    what = ApprovalFilter(None if status == "all" else status, agent_id, after, before, limit, order)
    async with caller.transaction() as tx:
        found = await tx.approvals.list(what)
        asked = await tx.approvals.asked([approval.id for approval in found])
    return Json([print_approval(approval, asked[approval.id]) for approval in found])


@router.get("/{approval_id}", operation_id="retrieve_approval", response_model=Approval, responses=documented(404))
async def retrieve_approval(approval_id: ApprovalPath, caller: Asking) -> Json:
    """One approval."""
    async with caller.transaction() as tx:
        return Json(print_approval(*await _read(tx, approval_id)))


@router.post(
    "/{approval_id}/approve", operation_id="approve_approval", response_model=Run, responses=documented(404, 409)
)
async def approve_approval(approval_id: ApprovalPath, request: Request, caller: Asking) -> Json:
    """Approve every call that waits; they run in a run of their own, and the turn goes on."""
    return await _answer_all(caller, request, approval_id, approve=True, reason=None)


@router.post("/{approval_id}/deny", operation_id="deny_approval", response_model=Run, responses=documented(404, 409))
async def deny_approval(approval_id: ApprovalPath, request: Request, caller: Asking, body: Deny | None = None) -> Json:
    """Deny every call that waits; the model is told, with the reason, and the turn goes on."""
    return await _answer_all(caller, request, approval_id, approve=False, reason=body.reason if body else None)


@router.post(
    "/{approval_id}/answers", operation_id="answer_approval", response_model=Run, responses=documented(404, 409)
)
async def answer_approval(approval_id: ApprovalPath, body: Answers, request: Request, caller: Asking) -> Json:
    """Answer each call that waits for itself; the answers must cover them all."""
    return await _answer(caller, request, approval_id, {each.tool_call_id: each for each in body.answers})


async def _answer_all(caller: Caller, request: Request, approval_id: str, *, approve: bool, reason: str | None) -> Json:
    async with caller.transaction() as tx:
        calls = (await tx.approvals.get(approval_id)).calls
    return await _answer(
        caller,
        request,
        approval_id,
        {call_id: CallAnswer(tool_call_id=call_id, approve=approve, reason=reason) for call_id in calls},
    )


async def _answer(caller: Caller, request: Request, approval_id: str, answers: Mapping[str, CallAnswer]) -> Json:
    """Accept an answer as if the client that asked had sent it; a repeated one names the run that carries it out.

    Raises:
        Conflict: it was answered otherwise, it expired, or it was cancelled.
        InvalidArgument: not all calls are answered, or one is approved that only the client can run.
    """
    async with caller.transaction() as tx:
        approval, asked = await _read(tx, approval_id)
        if approval.status != "pending":
            return Json(print_run(await tx.runs.get(await _carried_out(tx, approval, answers))))
        options = TurnOptions.model_validate((await tx.runs.get(approval.run_id)).request)
    for call in asked.calls:
        if call.name in asked.of_client and call.id in answers and answers[call.id].approve:
            raise InvalidArgument(
                f"the client that asked runs {call.name} itself: send the return of {call.id} as a message, or deny it"
            )
    accepted = await turns.accept(
        caller,
        request,
        _as_message(answers, options),
        Manner("send_message_async", background=True, approval_id=approval_id),
        run_id=turns.new_run_id(),
        agent_id=approval.agent_id,
        conversation_id=approval.conversation_id,
    )
    async with caller.transaction() as tx:
        return Json(print_run(await tx.runs.get(accepted.run_id)))


async def _read(tx: Transaction, approval_id: str) -> tuple[ApprovalRecord, Asked]:
    approval = await tx.approvals.get(approval_id)
    return approval, (await tx.approvals.asked([approval_id]))[approval_id]


async def _carried_out(tx: Transaction, approval: ApprovalRecord, answers: Mapping[str, CallAnswer]) -> str:
    """Id of the run that carries out this very answer. Raises Conflict where there is none."""
    if approval.status == "answered" and approval.answered_by_run_id is not None:
        stored = await tx.messages.of_run(approval.answered_by_run_id)
        given = {each.tool_call_id: each for message in stored for each in message.approvals}
        decided = {call_id: each.approve for call_id, each in given.items() if each.returned is None}
        if decided == {call_id: answer.approve for call_id, answer in answers.items()}:
            return approval.answered_by_run_id
    raise Conflict(f"Approval '{approval.id}' waits no longer: it is {approval.status}")


def _as_message(answers: Mapping[str, CallAnswer], options: TurnOptions) -> SendMessage:
    """The answer as a message of the client that asked, with the options of its request."""
    return SendMessage(
        messages=[
            CreateApproval(
                approvals=[
                    ApprovalAnswer(tool_call_id=call_id, approve=answer.approve, reason=answer.reason)
                    for call_id, answer in answers.items()
                ]
            )
        ],
        max_steps=options.max_steps,
        use_assistant_message=options.use_assistant_message,
        override_model=options.override_model,
        override_system=options.override_system,
        client_tools=[
            ClientTool(name=tool.name, description=tool.description, parameters=tool.parameters)
            for tool in options.client_tools
        ]
        or None,
    )
