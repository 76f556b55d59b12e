"""The stored system message of each conversation: written when it begins, rewritten when memory changes."""

from collections.abc import Sequence

from o import ids
from o.domain.agent import Agent
from o.domain.messages import Message, TextPart
from o.domain.prompt import PromptFacts, compile_system
from o.store.records import ConversationRecord
from o.store.session import Transaction


async def start_conversation(tx: Transaction, agent_id: str, *, is_default: bool = False) -> str:
    """Make a conversation with its own system message, compiled from the agent's blocks as they are now.

    Returns its id. Raises NotFound when there is no such agent.
    """
    agent, previous = await _whole(tx, agent_id)
    conversation_id = ids.new("conv")
    await tx.conversations.add(conversation_id, agent_id, is_default=is_default)
    conversation = await tx.conversations.get(conversation_id)
    text = _compile(tx, agent, conversation, previous)
    message = Message(
        id=ids.new("message"),
        role="system",
        content=(TextPart(text),),
        created_at=tx.now(),
        agent_id=agent_id,
        conversation_id=conversation_id,
    )
    await tx.messages.add([message])
    return conversation_id


async def recompile(tx: Transaction, agent_ids: Sequence[str]) -> None:
    """Rewrite the system messages of these agents, in all their conversations, after an edit of memory or tools."""
    for agent_id in agent_ids:
        agent, previous = await _whole(tx, agent_id)
        for conversation in await tx.conversations.of_agents([agent_id]):
            await tx.messages.rewrite_system(conversation.id, _compile(tx, agent, conversation, previous))


async def _whole(tx: Transaction, agent_id: str) -> tuple[Agent, int]:
    """The agent and how many messages it exchanged, when nobody else is compiling it: of two edits at once, the later
    one would write what it read before the earlier was committed."""
    await tx.agents.lock(agent_id)
    return await tx.agents.whole(agent_id), await tx.messages.previous_count(agent_id)


def _compile(tx: Transaction, agent: Agent, conversation: ConversationRecord, previous: int) -> str:
    facts = PromptFacts(
        conversation="default" if conversation.is_default else conversation.id,
        previous_messages=previous,
        compiled_at=tx.now(),
    )
    return compile_system(agent, facts)
