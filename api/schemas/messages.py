"""Messages on the wire: what a client may send, and the shapes of what it gets."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from api.schemas.common import Body, Count, Flag, FreeJson, Line, Name, Shape, Text
from o.domain.json import JsonObject
from o.domain.request import TurnOptions

MessageType = Literal[
    "system_message",
    "user_message",
    "assistant_message",
    "reasoning_message",
    "hidden_reasoning_message",
    "tool_call_message",
    "tool_return_message",
    "approval_request_message",
    "approval_response_message",
    "summary_message",
    "event_message",
]
_MAX_PARTS = 200
_MAX_DATA = 5 * 2**20  # characters of base64; vendors refuse larger images, then and in every later request


class TextContent(Body):
    type: Literal["text"] = "text"
    text: Text


class UrlImage(Body):
    type: Literal["url"]
    url: Annotated[Line, Field(pattern=r"^https?://\S+$")]


class Base64Image(Body):
    type: Literal["base64"]
    media_type: Annotated[Name, Field(pattern=r"^image/[a-z0-9.+-]+$")]
    data: Annotated[str, Field(max_length=_MAX_DATA, pattern=r"^[A-Za-z0-9+/=\s]*$")]


class ImageContent(Body):
    """An image by URL or by value. Images by file id are not stored here and refused."""

    type: Literal["image"]
    source: Annotated[UrlImage | Base64Image, Field(discriminator="type")]


Content = Annotated[TextContent | ImageContent, Field(discriminator="type")]
Contents = Annotated[list[Content], Field(min_length=1, max_length=_MAX_PARTS)]


class CreateMessage(Body):
    """One message to say."""

    type: Literal["message"] = "message"
    role: Literal["user", "system", "assistant"]
    content: Text | Contents
    name: Line | None = None
    otid: Line | None = None
    sender_id: Line | None = None
    group_id: Line | None = None


class ApprovalAnswer(Body):
    """A decision about one tool call that waits."""

    type: Literal["approval"] = "approval"
    tool_call_id: Name
    approve: Flag
    reason: Text | None = None


class ToolAnswer(Body):
    """What a tool returned that the client ran itself."""

    type: Literal["tool"] = "tool"
    tool_call_id: Name
    tool_return: Text | Annotated[list[Content], Field(max_length=_MAX_PARTS)]
    status: Literal["success", "error"] = "success"
    stdout: Annotated[list[Text], Field(max_length=1000)] | None = None
    stderr: Annotated[list[Text], Field(max_length=1000)] | None = None


def _answer_kind(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("type") or ("tool" if "tool_return" in value else "approval"))
    return str(getattr(value, "type", "approval"))


Answer = Annotated[
    Annotated[ApprovalAnswer, Tag("approval")] | Annotated[ToolAnswer, Tag("tool")], Discriminator(_answer_kind)
]


class CreateApproval(Body):
    """The answer to tool calls that wait: one decision for each, or the older form for a single call."""

    type: Literal["approval"] = "approval"
    approvals: Annotated[list[Answer], Field(min_length=1, max_length=_MAX_PARTS)] | None = None
    approve: Flag | None = None
    approval_request_id: Name | None = None
    reason: Text | None = None
    otid: Line | None = None
    group_id: Line | None = None

    @model_validator(mode="after")
    def _some_answer(self) -> "CreateApproval":
        if self.approvals is None and (self.approve is None or self.approval_request_id is None):
            raise ValueError("approvals: give one decision for each tool call that waits")
        return self


class CreateToolReturn(Body):
    """Returns of tools the client ran: an approval of another name."""

    type: Literal["tool_return"]
    tool_returns: Annotated[list[ToolAnswer], Field(min_length=1, max_length=_MAX_PARTS)]
    otid: Line | None = None
    group_id: Line | None = None


def _item_kind(value: Any) -> str:
    """The kind of an input item; the type may be missing, then the fields tell."""
    if isinstance(value, dict):
        approval = value.get("approve") is not None or value.get("approval_request_id") is not None
        return str(value.get("type") or ("approval" if approval else "message"))
    return str(getattr(value, "type", "message"))


Item = Annotated[
    Annotated[CreateMessage, Tag("message")]
    | Annotated[CreateApproval, Tag("approval")]
    | Annotated[CreateToolReturn, Tag("tool_return")],
    Discriminator(_item_kind),
]


class ClientTool(Body):
    """A tool the client runs itself: a call of it ends the turn until its return is sent."""

    name: Annotated[Name, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: Text | None = None
    parameters: FreeJson | None = None


class SendMessage(Body):
    """Messages to an agent, and how the turn they start is to go: `messages` or `input`, not both."""

    messages: Annotated[list[Item], Field(max_length=1000)] | None = None
    input: Text | Contents | None = None
    max_steps: Annotated[Count, Field(le=1000)] = 50
    use_assistant_message: Flag = True
    assistant_message_tool_name: Name = "send_message"
    assistant_message_tool_kwarg: Name = "message"
    include_return_message_types: Annotated[list[MessageType], Field(max_length=50)] | None = None
    client_tools: Annotated[list[ClientTool], Field(max_length=200)] | None = None
    override_model: Line | None = None
    override_system: Text | None = None
    system: Text | None = None
    include_compaction_messages: Flag = False

    @model_validator(mode="after")
    def _exactly_one(self) -> "SendMessage":
        if (self.messages is None) == (self.input is None):
            raise ValueError("messages: give either messages or input, and not both")
        if self.messages is not None and not self.messages:
            raise ValueError("messages: give at least one message")
        if any(not isinstance(item, CreateMessage) for item in (self.messages or [])[1:]):
            raise ValueError(
                "messages: an approval or tool return must be the first item, and the only one of its kind"
            )
        return self

    @property
    def items(self) -> list[CreateMessage | CreateApproval | CreateToolReturn]:
        if self.messages is not None:
            return list(self.messages)
        assert self.input is not None  # the validator saw to it
        return [CreateMessage(role="user", content=self.input)]

    def options(self, *, stream_tokens: bool = False) -> TurnOptions:
        """What the run keeps of the request."""
        return TurnOptions.model_validate(
            {
                "max_steps": self.max_steps,
                "stream_tokens": stream_tokens,
                "use_assistant_message": self.use_assistant_message,
                "include_return_message_types": self.include_return_message_types,
                "override_model": self.override_model,
                "override_system": self.override_system if self.override_system is not None else self.system,
                "client_tools": [
                    {
                        "name": tool.name,
                        "description": tool.description or "",
                        "parameters": tool.parameters or {"type": "object", "properties": {}},
                    }
                    for tool in self.client_tools or []
                ],
            }
        )


class StreamMessage(SendMessage):
    """Messages to an agent whose turn is read as it goes."""

    streaming: Flag = True
    stream_tokens: Flag = False
    include_pings: Flag = True
    background: Flag = False


class SendOrStream(SendMessage):
    """Messages to an agent; `streaming` says how the answer comes."""

    streaming: Flag = False
    stream_tokens: Flag = False
    include_pings: Flag = True
    background: Flag = False

    @model_validator(mode="after")
    def _options_of_streams(self) -> "SendOrStream":
        if not self.streaming:
            given = [("stream_tokens", self.stream_tokens), ("background", self.background)]
            given.append(("include_pings", not self.include_pings))
            if wrong := [name for name, changed in given if changed]:
                raise ValueError(f"{', '.join(wrong)}: only together with streaming=true")
        return self


class SendAsync(SendMessage):
    """Messages to an agent whose turn nobody waits for. A `callback_url` is refused: nobody would call it."""

    callback_url: Annotated[Line, Field(pattern=r"^https?://\S+$")] | None = None


class CancelRuns(Body):
    """Which runs to cancel; none named means all that are active."""

    run_ids: Annotated[list[Name], Field(max_length=1000)] | None = None


class FollowRun(Body):
    """From where to replay a run's stream: events with a higher `seq_id` are sent."""

    starting_after: Annotated[int, Field(ge=0, le=2**62)] = 0
    include_pings: Flag | None = None
    poll_interval: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] | None = None
    batch_size: Annotated[Count, Field(le=10_000)] | None = None
    run_id: Line | None = None
    otid: Line | None = None
    agent_id: Line | None = None


class WireMessage(Shape):
    """A message; `message_type` says which further fields it has. Several may share one id."""

    id: str
    date: str
    message_type: MessageType
    otid: str | None = None
    run_id: str | None = None
    step_id: str | None = None


class LettaResponse(Shape):
    """What a turn led to."""

    messages: list[WireMessage]
    stop_reason: JsonObject
    usage: JsonObject
