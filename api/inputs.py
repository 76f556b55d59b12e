"""Request bodies as the values the queue accepts: messages with ids and times, options, digests."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from api.responses import dumps
from api.schemas.messages import (
    ApprovalAnswer,
    Base64Image,
    Content,
    CreateApproval,
    CreateMessage,
    CreateToolReturn,
    SendMessage,
    ToolAnswer,
    UrlImage,
)
from o import ids
from o.domain.messages import Approval, ImagePart, Message, Part, TextPart, ToolReturn


def digest(body: SendMessage) -> str:
    """What tells a repeated request from a new one."""
    return hashlib.sha256(dumps(body.model_dump(mode="json"))).hexdigest()


def client_otids(body: SendMessage) -> tuple[str, ...]:
    """The otids the client chose, if it chose one for every message."""
    otids = [item.otid for item in body.items if item.otid]
    return tuple(otids) if len(otids) == len(body.items) else ()


def stored_input(
    body: SendMessage,
    images: Mapping[str, ImagePart],
    *,
    run_id: str,
    agent_id: str,
    conversation_id: str,
    at: datetime,
) -> tuple[Message, ...]:
    """The messages of a request, as they are stored; `images` are those it names by URL."""
    return tuple(
        _message(item, images, run_id=run_id, agent_id=agent_id, conversation_id=conversation_id, at=at)
        for item in body.items
    )


def _message(
    item: CreateMessage | CreateApproval | CreateToolReturn,
    images: Mapping[str, ImagePart],
    *,
    run_id: str | None,
    agent_id: str,
    conversation_id: str,
    at: datetime,
) -> Message:
    message_id = ids.new("message")
    spoken = isinstance(item, CreateMessage)
    return Message(
        id=message_id,
        role=item.role if isinstance(item, CreateMessage) else "approval",
        content=parts(item.content, images) if isinstance(item, CreateMessage) else (),
        created_at=at,
        approvals=() if isinstance(item, CreateMessage) else _approvals(item, images),
        name=item.name if isinstance(item, CreateMessage) else None,
        otid=item.otid or (message_id.removeprefix("message-") if spoken else None),
        sender_id=item.sender_id if isinstance(item, CreateMessage) else None,
        agent_id=agent_id,
        conversation_id=conversation_id,
        run_id=run_id,
    )


def parts(content: str | Sequence[Content], images: Mapping[str, ImagePart] = {}) -> tuple[Part, ...]:
    """Content as stored parts; an image by URL that is not among `images` stays one."""
    if isinstance(content, str):
        return (TextPart(content),)
    found: list[Part] = []
    for part in content:
        if part.type == "text":
            found.append(TextPart(part.text))
            continue
        match part.source:
            case UrlImage(url=url):
                found.append(images.get(url) or ImagePart(url=url))
            case Base64Image(media_type=media_type, data=data):
                found.append(ImagePart(media_type=media_type, data=data))
    return tuple(found)


def _approvals(item: CreateApproval | CreateToolReturn, images: Mapping[str, ImagePart]) -> tuple[Approval, ...]:
    if isinstance(item, CreateToolReturn):
        return tuple(_returned(answer, images) for answer in item.tool_returns)
    if item.approvals is not None:
        return tuple(
            _returned(answer, images)
            if isinstance(answer, ToolAnswer)
            else Approval(answer.tool_call_id, answer.approve, answer.reason)
            for answer in item.approvals
        )
    # The older form; the validator saw to it that both are given.
    return (Approval(item.approval_request_id or "", bool(item.approve), item.reason),)


def _returned(answer: ToolAnswer | ApprovalAnswer, images: Mapping[str, ImagePart]) -> Approval:
    assert isinstance(answer, ToolAnswer)
    content = parts(answer.tool_return, images)
    returned = ToolReturn(
        answer.tool_call_id,
        "\n".join(part.text for part in content if isinstance(part, TextPart)),
        answer.status,
        stdout=tuple(answer.stdout or ()),
        stderr=tuple(answer.stderr or ()),
        images=tuple(part for part in content if isinstance(part, ImagePart)),
    )
    return Approval(answer.tool_call_id, approve=answer.status == "success", returned=returned)
