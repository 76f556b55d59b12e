"""Parameters that many routes take, with the contract's bounds."""

from typing import Annotated, Literal

from fastapi import Path, Query

from o.ids import pattern

AgentPath = Annotated[str, Path(pattern=pattern("agent"), description="Id of the agent.")]
BlockPath = Annotated[str, Path(pattern=pattern("block"), description="Id of the block.")]
StepPath = Annotated[str, Path(pattern=pattern("step"), description="Id of the step.")]
LabelPath = Annotated[str, Path(min_length=1, max_length=200, description="Label of the block.")]
RunPath = Annotated[str, Path(min_length=1, max_length=200, description="Id of the run.")]
ConversationPath = Annotated[
    str,
    Path(
        pattern=f"{pattern('conv')}|^default$|{pattern('agent')}",
        description="Id of the conversation; `default` (with agent_id) or an agent's id mean the agent's own.",
    ),
]

Order = Annotated[Literal["asc", "desc"], Query(description="Oldest first, or newest first.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Most items to return.")]
Cursor = Annotated[str | None, Query(max_length=200, description="Id of the item to go on from.")]
MessageCursor = Annotated[str | None, Query(pattern=pattern("message"), description="Id of the message to go on from.")]
AgentQuery = Annotated[str | None, Query(pattern=pattern("agent"), description="Id of an agent.")]
Words = Annotated[str | None, Query(max_length=1000)]
