"""Agents with what belongs to them, read for printing."""

import uuid
from collections.abc import Collection, Sequence

from api.deps import Caller
from api.schemas.agent_state import Relations, print_agent
from o.domain.json import JsonObject
from o.domain.wire import print_message
from o.store.agent_secrets import secret_context
from o.store.records import AgentRecord, SecretRecord
from o.store.repositories.agents import Attached
from o.store.session import Transaction


async def print_one(caller: Caller, tx: Transaction, agent_id: str, include: Collection[str]) -> JsonObject:
    """One agent as the wire has it, in one query; a tool gets no secrets, for it was given its own. Raises NotFound."""
    include = set(include) - ({"agent.secrets"} if caller.scope else set())
    agent, attached = await tx.agents.get_attached(
        agent_id,
        blocks="agent.blocks" in include,
        tools="agent.tools" in include,
        secrets="agent.secrets" in include,
    )
    return await _print(caller, tx, agent, attached, include)


async def print_agents(
    caller: Caller, tx: Transaction, agents: Sequence[AgentRecord], include: Collection[str]
) -> list[JsonObject]:
    """These agents as the wire has them, with the relations in `include`; one more query, however many agents."""
    attached = await tx.agents.attached(
        [agent.id for agent in agents],
        blocks="agent.blocks" in include,
        tools="agent.tools" in include,
        secrets="agent.secrets" in include,
    )
    return [await _print(caller, tx, agent, attached[agent.id], include) for agent in agents]


async def _print(
    caller: Caller, tx: Transaction, agent: AgentRecord, attached: Attached, include: Collection[str]
) -> JsonObject:
    pending = "agent.pending_approval" in include
    relations = Relations(
        blocks=attached.blocks,
        tools=attached.tools,
        secrets=[_secret(caller, secret) for secret in attached.secrets],
        pending_approval=await _pending(tx, attached.conversation_id) if pending else None,
        message_ids=attached.message_ids,
    )
    return print_agent(agent, relations, include)


def _secret(caller: Caller, secret: SecretRecord) -> JsonObject:
    context = secret_context(secret.agent_id, secret.key)
    return {
        "id": f"agent-env-{uuid.uuid5(uuid.UUID(secret.agent_id.removeprefix('agent-')), secret.key)}",
        "key": secret.key,
        "value": caller.parts.keyring.decrypt(secret.value, context=context),
        "value_enc": None,
        "description": secret.description,
        "agent_id": secret.agent_id,
    }


async def _pending(tx: Transaction, conversation_id: str) -> JsonObject | None:
    pending = await tx.approvals.pending(conversation_id)
    if pending is None:
        return None
    return print_message(await tx.messages.get(pending.message_id), legacy=False)[-1]
