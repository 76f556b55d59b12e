"""Short ways to write model requests and to gather their events."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from o.domain.messages import Message, Part, Role, TextPart, ToolCall, ToolReturn
from o.domain.model import ModelEvent, ModelReply, ModelRequest, ReplyBuilder, Sampling, ToolChoice, ToolSpec
from o.providers.base import Provider

NOTE = ToolSpec(
    "take_note",
    "Write a note down.",
    {"type": "object", "properties": {"text": {"type": "string", "description": "The note."}}, "required": ["text"]},
)
LOOK = ToolSpec(
    "look_up",
    "Look a word up.",
    {"type": "object", "properties": {"word": {"type": "string"}, "limit": {"type": "integer", "minimum": 1}}},
)


def message(
    role: Role,
    text: str | tuple[Part, ...] = "",
    *,
    calls: tuple[ToolCall, ...] = (),
    returns: tuple[ToolReturn, ...] = (),
) -> Message:
    content = ((TextPart(text),) if text else ()) if isinstance(text, str) else text
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return Message("message-1", role, content, when, tool_calls=calls, tool_returns=returns)


def request(
    model: str,
    *said: Message | str,
    tools: tuple[ToolSpec, ...] = (),
    choice: ToolChoice | None = None,
    sampling: Sampling | None = None,
    parallel: bool = False,
) -> ModelRequest:
    """A request of a system message and what was said; a plain text is a user message."""
    messages = tuple(message("user", each) if isinstance(each, str) else each for each in said)
    return ModelRequest(
        model,
        (message("system", "You are brief."), *messages),
        tools,
        choice or ToolChoice(),
        parallel,
        sampling or Sampling(),
    )


async def gather(events: AsyncIterator[ModelEvent]) -> list[ModelEvent]:
    return [event async for event in events]


async def reply(provider: Provider, asked: ModelRequest) -> ModelReply:
    builder = ReplyBuilder()
    async for event in provider.stream(asked):
        assert not builder.finished, "nothing may come after Finished"
        builder.add(event)
    assert builder.finished
    return builder.reply()
