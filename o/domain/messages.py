"""The transcript: one `Message` is one stored row; its parts print as one or more wire messages."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import TypeAdapter

Role = Literal["system", "user", "assistant", "tool", "approval", "summary"]
ReturnStatus = Literal["success", "error"]


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str
    type: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image by reference (`url`) or by value (`data`, base64, with its `media_type`)."""

    url: str | None = None
    media_type: str | None = None
    data: str | None = None
    type: Literal["image"] = "image"


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """What a model thought aloud.

    Attributes:
        signature: the vendor's proof that it is unchanged; goes back to that vendor as it came, to nobody else.
        signed_by: whose proof that is (`anthropic`).
    """

    reasoning: str
    signature: str | None = None
    signed_by: str | None = None
    type: Literal["reasoning"] = "reasoning"


@dataclass(frozen=True, slots=True)
class RedactedReasoningPart:
    """What a model thought, readable by its vendor (`signed_by`) alone, to whom it goes back as it came."""

    redacted: str
    signed_by: str
    type: Literal["redacted_reasoning"] = "redacted_reasoning"


Part = TextPart | ImagePart | ReasoningPart | RedactedReasoningPart


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's request to run a tool. `arguments` is the JSON text as the model wrote it, valid or not."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolReturn:
    """What came back from one tool call; `status="error"` is for the model to read and act on.

    `images` are what a tool shows besides its text; a model that cannot see is told that there are some.
    """

    tool_call_id: str
    content: str
    status: ReturnStatus = "success"
    name: str | None = None
    stdout: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()
    images: tuple[ImagePart, ...] = ()


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's answer to one pending tool call. `returned` is set when a client ran the tool itself."""

    tool_call_id: str
    approve: bool
    reason: str | None = None
    returned: ToolReturn | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a conversation.

    Attributes:
        seq: position in the transcript; None while its run still waits in the queue.
        tool_calls: of an assistant message, or of an approval message that asks.
        tool_returns: of a tool message: all returns of one step.
        approvals: of an approval message that answers.
    """

    id: str
    role: Role
    content: tuple[Part, ...]
    created_at: datetime
    tool_calls: tuple[ToolCall, ...] = ()
    tool_returns: tuple[ToolReturn, ...] = ()
    approvals: tuple[Approval, ...] = ()
    name: str | None = None
    otid: str | None = None
    sender_id: str | None = None
    agent_id: str | None = None
    conversation_id: str | None = None
    run_id: str | None = None
    step_id: str | None = None
    seq: int | None = None

    @property
    def text(self) -> str:
        """The text parts, joined by blank lines."""
        return "\n\n".join(part.text for part in self.content if isinstance(part, TextPart))


PARTS: TypeAdapter[tuple[Part, ...]] = TypeAdapter(tuple[Part, ...])
TOOL_CALLS: TypeAdapter[tuple[ToolCall, ...]] = TypeAdapter(tuple[ToolCall, ...])
TOOL_RETURNS: TypeAdapter[tuple[ToolReturn, ...]] = TypeAdapter(tuple[ToolReturn, ...])
APPROVALS: TypeAdapter[tuple[Approval, ...]] = TypeAdapter(tuple[Approval, ...])
