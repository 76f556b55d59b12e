"""What O offers to clients that speak MCP: its agents, and what they remember."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import orjson
from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api import turns
from api.deps import Caller
from api.errors import complaint
from api.schemas.common import AgentId, Name, Text
from api.schemas.messages import SendMessage
from api.turns import Manner, Outcome
from o.domain.json import JsonObject
from o.errors import InvalidArgument, NotFound
from o.store.repositories.agents import AgentFilter
from o.store.repositories.archives import PassageSearch

_AGENTS = 100
# Where a description says what to do next, a model does it.
_WAITING = "The agent is still at it (run {run_id}). Ask again later with search_memory, or wait longer."

_AgentId = Annotated[AgentId, Field(description="Id of the agent, from list_agents.")]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ListAgents(_Arguments):
    query: Annotated[Name, Field(description="Words in the agent's name.")] | None = None
    limit: Annotated[int, Field(ge=1, le=_AGENTS, description="Most agents to list.")] = 20


class SendToAgent(_Arguments):
    agent_id: _AgentId
    message: Annotated[Text, Field(min_length=1, description="What to say.")]
    timeout: Annotated[float, Field(gt=0, le=900, description="Seconds to wait for the answer.")] = 120.0


class SearchMemory(_Arguments):
    agent_id: _AgentId
    query: Annotated[Name, Field(description="Words to look for.")]
    limit: Annotated[int, Field(ge=1, le=50, description="Most findings of each kind.")] = 5


class ListBlocks(_Arguments):
    agent_id: _AgentId


class ReadBlock(_Arguments):
    agent_id: _AgentId
    label: Annotated[Name, Field(description="Label of the block, from list_blocks.")]


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool of ours: what clients are told of it, and what carries it out."""

    name: str
    description: str
    arguments: type[_Arguments]
    run: Callable[[Caller, Request, _Arguments], Awaitable[str]]
    read_only: bool = True

    @property
    def schema(self) -> JsonObject:
        return self.arguments.model_json_schema()


async def called(caller: Caller, request: Request, name: str, arguments: JsonObject) -> str:
    """Carry out a call; what it answers is for a model to read.

    Raises:
        NotFound: no such tool, or nothing of that id. InvalidArgument: the arguments. Others as the API's routes.
    """
    tool = OFFERED.get(name)
    if tool is None:
        raise NotFound(f"there is no tool '{name[:100]}'")
    try:
        checked = tool.arguments.model_validate(arguments)
    except ValidationError as error:
        raise InvalidArgument(complaint(error.errors())) from None
    return await tool.run(caller, request, checked)


async def _list_agents(caller: Caller, request: Request, asked: _Arguments) -> str:
    assert isinstance(asked, ListAgents)
    async with caller.transaction() as tx:
        found = await tx.agents.list(AgentFilter(query_text=asked.query, limit=asked.limit))
    return _text([{"id": one.id, "name": one.name, "description": one.description, "tags": one.tags} for one in found])


async def _send_message(caller: Caller, request: Request, asked: _Arguments) -> str:
    assert isinstance(asked, SendToAgent)
    body = SendMessage(input=asked.message)
    run_id = turns.new_run_id()
    with caller.parts.events.follow(run_id) as wakeup:
        await turns.accept(caller, request, body, Manner("send_message"), run_id=run_id, agent_id=asked.agent_id)
        try:
            async with asyncio.timeout(asked.timeout):
                return _said(await turns.finish(caller, run_id, wakeup))
        except TimeoutError:
            return _WAITING.format(run_id=run_id)


async def _search_memory(caller: Caller, request: Request, asked: _Arguments) -> str:
    assert isinstance(asked, SearchMemory)
    async with caller.transaction() as tx:
        await tx.agents.get(asked.agent_id)
        said = await tx.messages.search(
            asked.agent_id, query=asked.query, roles=None, start=None, end=None, limit=asked.limit
        )
        archives = [archive.id for archive in await tx.archives.of_agent(asked.agent_id)]
        kept = await tx.archives.search(archives, PassageSearch(asked.query, limit=asked.limit)) if archives else []
    return _text(
        {
            "conversation": [{"at": one.created_at, "role": one.role, "text": one.text} for one in said],
            "archive": [{"at": one.created_at, "text": one.text, "tags": one.tags} for one in kept],
        }
    )


async def _list_blocks(caller: Caller, request: Request, asked: _Arguments) -> str:
    assert isinstance(asked, ListBlocks)
    async with caller.transaction() as tx:
        await tx.agents.get(asked.agent_id)
        blocks = await tx.blocks.all_of_agent(asked.agent_id)
    return _text([{"label": one.label, "description": one.description, "characters": len(one.value)} for one in blocks])


async def _read_block(caller: Caller, request: Request, asked: _Arguments) -> str:
    assert isinstance(asked, ReadBlock)
    async with caller.transaction() as tx:
        await tx.agents.get(asked.agent_id)
        return (await tx.blocks.of_agent(asked.agent_id, asked.label)).value


def _said(outcome: Outcome) -> str:
    """What an agent answered, without its thoughts and calls."""
    if (error := outcome.end.get("error")) is not None:
        raise InvalidArgument(f"the agent's turn failed: {error['message']}")
    texts = []
    for message in outcome.messages:
        if message["message_type"] == "assistant_message":
            content = message["content"]
            parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
            texts.append("\n".join(parts))
    if outcome.end["stop_reason"] == "requires_approval":
        texts.append("[The agent waits for somebody to approve a tool call.]")
    return "\n\n".join(texts) or "[The agent said nothing.]"


def _text(value: object) -> str:
    return orjson.dumps(value).decode()


OFFERED: dict[str, OfferedTool] = {
    tool.name: tool
    for tool in (
        OfferedTool("list_agents", "List the agents that can be talked to, newest first.", ListAgents, _list_agents),
        OfferedTool(
            "send_message",
            "Say something to an agent and wait for its answer. The agent remembers the conversation.",
            SendToAgent,
            _send_message,
            read_only=False,
        ),
        OfferedTool(
            "search_memory",
            "Search what was said in an agent's conversations and what it keeps in its archives.",
            SearchMemory,
            _search_memory,
        ),
        OfferedTool("list_blocks", "List the memory blocks an agent always has in mind.", ListBlocks, _list_blocks),
        OfferedTool("read_block", "Read one memory block of an agent.", ReadBlock, _read_block),
    )
}
