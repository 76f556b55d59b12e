"""Agents and requests for tests below the API."""

from dataclasses import replace
from typing import Any

from o import ids
from o.domain.agent import AgentType
from o.domain.base_tools import base_tools_of
from o.domain.json import JsonObject
from o.domain.messages import Approval, Message, TextPart
from o.domain.request import TurnOptions
from o.store.prompts import start_conversation
from o.store.queue import TurnRequest
from o.store.repositories.blocks import Author
from o.store.session import Store, utc_now


async def make_agent(
    store: Store,
    *,
    org_id: str = ids.DEFAULT_ORG,
    model: str = "scripted/json",
    agent_type: AgentType = "letta_v1_agent",
    rules: list[JsonObject] | None = None,
    tools: list[JsonObject] | None = None,
    blocks: dict[str, str] | None = None,
    parallel: bool = True,
    **columns: Any,
) -> tuple[str, str]:
    """An agent with its base tools and a block `human`; returns its id and its own conversation's."""
    agent_id = ids.new("agent")
    async with store.transaction(org_id) as tx:
        await tx.tools.ensure_base()
        await tx.agents.add(
            {
                "id": agent_id,
                "name": "Tester",
                "agent_type": agent_type,
                "system": "You are tested.",
                "model": model,
                "llm_config": {"context_window": 32000, "parallel_tool_calls": parallel},
                "tool_rules": rules or [],
                **columns,
            }
        )
        attached = await tx.tools.by_names(base_tools_of(agent_type))
        await tx.agents.set_tools(agent_id, [tool.id for tool in attached])
        for label, value in (blocks or {"human": "Name: unknown"}).items():
            block_id = ids.new("block")
            await tx.blocks.add({"id": block_id, "label": label, "value": value}, Author(ids.DEFAULT_USER))
            await tx.agents.attach_block(agent_id, block_id)
        conversation_id = await start_conversation(tx, agent_id, is_default=True)
    return agent_id, conversation_id


def request(
    agent_id: str, conversation_id: str, text: str = "Hello", *, approvals: tuple[Approval, ...] = (), **more: Any
) -> TurnRequest:
    """A request with one message."""
    run_id = ids.new("run")
    message = Message(
        id=ids.new("message"),
        role="approval" if approvals else "user",
        content=() if approvals else (TextPart(text),),
        approvals=approvals,
        created_at=utc_now(),
        agent_id=agent_id,
        conversation_id=conversation_id,
        run_id=run_id,
    )
    built = TurnRequest(
        agent_id=agent_id,
        conversation_id=conversation_id,
        input=(message,),
        options=TurnOptions(),
        run_type="send_message",
        background=False,
        queue=True,
        body_hash=text,
    )
    return replace(built, **more)
