"""What a client asks for with a message, besides the message: kept with the run, read by its steps."""

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from o.domain.agent import MAX_STEPS_DEFAULT
from o.domain.loop import Plan
from o.domain.model import ToolSpec


class TurnOptions(BaseModel):
    """Options of one request.

    Attributes:
        max_steps: most steps the run may take, ≥ 1.
        stream_tokens: whether somebody reads along token by token; without, no deltas are stored.
        client_tools: tools the client runs itself; calls of them wait like approvals.
        late_input: whether the input's messages come into the transcript only after the approved tools ran.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    max_steps: int = Field(default=MAX_STEPS_DEFAULT, ge=1)
    stream_tokens: bool = False
    use_assistant_message: bool = True
    include_return_message_types: tuple[str, ...] | None = None
    override_model: str | None = None
    override_system: str | None = None
    client_tools: tuple[ToolSpec, ...] = ()
    late_input: bool = False


PLAN: TypeAdapter[Plan] = TypeAdapter(Plan)
