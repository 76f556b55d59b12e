"""Calls between agents: the runs that one agent's tool call asks of others, and what comes back of them."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from o import ids
from o.contracts.turn import StepRef
from o.domain.agent import LEGACY_TYPES
from o.domain.messages import Message, TextPart
from o.domain.request import TurnOptions
from o.domain.wire import print_message
from o.errors import NotFound, PendingApproval
from o.store import queue
from o.store.queue import Accepted, TurnRequest
from o.store.records import RunRecord
from o.store.repositories.agents import AgentFilter
from o.store.repositories.runs import AskedBy
from o.store.session import Transaction

# Agents in a row that may have led to a run, and agents that one call may speak to.
_MOST_DEEP = 8
_MOST_ASKED = 50


class AskRefused(ValueError):
    """The other agent is not asked; the words are for the model."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What one tool call says to another agent, and whether its step waits for the reply."""

    at: StepRef
    call_id: str
    message: str
    awaited: bool


async def matching(tx: Transaction, at: StepRef, all_of: Sequence[str], any_of: Sequence[str]) -> list[str]:
    """Ids of the agents with all tags of `all_of` and one of `any_of`, where given; never the one that asks.

    Raises:
        AskRefused: no tag is given, or there are more than one call may speak to.
    """
    if not all_of and not any_of:
        raise AskRefused("name at least one tag in match_all or match_some")
    found = await tx.agents.list(
        AgentFilter(tags=tuple(all_of or any_of), match_all_tags=bool(all_of), limit=_MOST_ASKED + 1, order="asc")
    )
    meant = [agent.id for agent in found if agent.id != at.agent_id and (not any_of or set(any_of) & set(agent.tags))]
    if len(found) > _MOST_ASKED:
        raise AskRefused(f"more than {_MOST_ASKED} agents have these tags; name tags that fewer have")
    return meant


async def ask(tx: Transaction, asking: Asking, agent_id: str) -> Accepted:
    """Say something to one other agent: a run of its own conversation, accepted once however often this is called.

    Raises:
        AskRefused: there is no such agent, it led to this call, too many did, it waits for a person, or for this call.
    """
    at = asking.at
    if agent_id == at.agent_id:
        raise AskRefused("you cannot send a message to yourself")
    asker = await tx.agents.get(at.agent_id)
    this = await tx.runs.get(at.run_id)
    ancestors = (*this.ancestors, at.agent_id)
    if agent_id in ancestors:
        raise AskRefused(f"the agent {agent_id} asked for this itself and waits for you: answer it in your reply")
    if len(ancestors) >= _MOST_DEEP:
        raise AskRefused(f"{_MOST_DEEP} agents have asked each other in a row; answer with what you know")
    try:
        conversation_id, _ = await tx.agents.own_thread(agent_id)
    except NotFound as error:
        raise AskRefused(f"there is no agent with the id '{agent_id[:80]}'") from error
    run_id = _run_id(asking, agent_id)
    known = await tx.runs.find(run_id)
    if known is None and asking.awaited and await tx.runs.would_wait_for(conversation_id, at.run_id):
        raise AskRefused(f"the agent {agent_id} is waiting for you, so it could never answer; go on without it")
    if known is not None:
        return Accepted(run_id, None if known.completed_at else queue.step_ref(known), attached=True)
    manner = "waits for your reply" if asking.awaited else "does not wait for a reply"
    text = f"[Message from the agent {asker.name} ({asker.id}), who {manner}]\n{asking.message}"
    message_id = ids.new("message")
    said = Message(
        id=message_id,
        role="user",
        content=(TextPart(text),),
        created_at=tx.now(),
        otid=message_id.removeprefix("message-"),
        sender_id=at.agent_id,
        agent_id=agent_id,
        conversation_id=conversation_id,
        run_id=run_id,
    )
    request = TurnRequest(
        agent_id=agent_id,
        conversation_id=conversation_id,
        input=(said,),
        options=TurnOptions(),
        run_type="send_message_async",
        background=True,
        queue=True,
        body_hash="",
        asked_by=AskedBy(at, asking.call_id, asking.awaited, ancestors),
    )
    try:
        return await queue.accept(tx, request)
    except PendingApproval as error:
        raise AskRefused(f"the agent {agent_id} waits for a person's approval and hears nobody else") from error


async def replies(tx: Transaction, runs: Sequence[RunRecord]) -> str:
    """What the asked agents answered: the text of one, or a JSON list of what each of several said."""
    answers = [(run, *await _reply(tx, run)) for run in runs]
    if len(answers) == 1:
        return answers[0][1]
    listed = [{"agent_id": run.agent_id, "ok": ok, "reply": text} for run, text, ok in answers]
    return json.dumps(listed, ensure_ascii=False)


async def _reply(tx: Transaction, run: RunRecord) -> tuple[str, bool]:
    if run.completed_at is None:
        return "(no reply yet: it is still at work, and its answer will not come back to you)", False
    _, agent_type = await tx.agents.own_thread(run.agent_id)
    said = [
        event["content"]
        for message in await tx.messages.of_run(run.id)
        if message.role == "assistant"
        for event in print_message(message, legacy=agent_type in LEGACY_TYPES)
        if event["message_type"] == "assistant_message"
    ]
    if run.stop_reason == "requires_approval":
        said.append("(it now waits for a person's approval before it can go on)")
    if run.status != "completed":
        said.append(f"(it could not finish: {run.stop_reason})")
    return "\n\n".join(said) or "(it ended without saying anything)", run.status == "completed"


def _run_id(asking: Asking, agent_id: str) -> str:
    """The same for every attempt at the call."""
    parent = uuid.UUID(asking.at.run_id.removeprefix("run-"))
    return f"run-{uuid.uuid5(parent, f'{asking.at.index}/{asking.call_id}/{agent_id}')}"
