"""Agents with what belongs to them, read for printing."""

import uuid
from collections.abc import Collection, Sequence

from api.deps import Caller
from api.schemas.agent_state import Relations, print_agent
from o.domain.json import JsonObject
from o.domain.wire import print_message
from o.store.records import AgentRecord
from o.store.session import Transaction


def secret_context(agent_id: str, key: str) -> str:
    """What an agent's secret is bound to when it is encrypted: it opens nowhere else."""
    return f"agent_secrets/{agent_id}/{key}"


async def print_agents(
    caller: Caller, tx: Transaction, agents: Sequence[AgentRecord], include: Collection[str]
) -> list[JsonObject]:
    """These agents as the wire has them, with the relations in `include`; a few queries, however many agents."""
    agent_ids = [agent.id for agent in agents]
    attached = await tx.agents.attached(agent_ids, blocks="agent.blocks" in include, tools="agent.tools" in include)
    printed = []
    for agent in agents:
        own = attached[agent.id]
        relations = Relations(
            blocks=own.blocks,
            tools=own.tools,
            secrets=await _secrets(caller, tx, agent) if "agent.secrets" in include else (),
            pending_approval=await _pending(tx, own.conversation_id) if "agent.pending_approval" in include else None,
            message_ids=own.message_ids,
        )
        printed.append(print_agent(agent, relations, include))
    return printed


async def _secrets(caller: Caller, tx: Transaction, agent: AgentRecord) -> list[JsonObject]:
    return [
        {
            "id": f"agent-env-{uuid.uuid5(uuid.UUID(agent.id.removeprefix('agent-')), secret.key)}",
            "key": secret.key,
            "value": caller.parts.keyring.decrypt(secret.value, context=secret_context(agent.id, secret.key)),
            "value_enc": None,
            "description": secret.description,
            "agent_id": agent.id,
        }
        for secret in await tx.agents.secrets(agent.id)
    ]


async def _pending(tx: Transaction, conversation_id: str) -> JsonObject | None:
    pending = await tx.approvals.pending(conversation_id)
    if pending is None:
        return None
    return print_message(await tx.messages.get(pending.message_id), legacy=False)[-1]
