"""Agents that move in: an older type, with approvals, through letta-client."""

from typing import Any

from tests.letta.test_quickstart import make, said, script


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


def test_an_older_agent_thinks_acts_and_speaks(letta: Any) -> None:
    agent = make(letta, agent_type="memgpt_agent")
    append = {"label": "human", "content": "Likes tea.", "request_heartbeat": True}
    text = script(
        {"text": "I shall keep that.", **call("core_memory_append", **append)},
        call("send_message", message="Noted, Bob.", request_heartbeat=False),
    )
    answer = letta.agents.messages.create(agent_id=agent.id, input=text)
    assert [message.message_type for message in answer.messages] == [
        "reasoning_message",
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
    ]
    assert (answer.stop_reason.stop_reason, answer.usage.step_count) == ("end_turn", 2)
    assert "Likes tea." in letta.agents.blocks.retrieve("human", agent_id=agent.id).value
    streamed = letta.agents.messages.create(agent_id=agent.id, input=text, streaming=True, stream_tokens=True)
    assert "".join(said(streamed)) == "Noted, Bob."


def test_an_older_agent_waits_for_an_approval(letta: Any) -> None:
    rules = [{"type": "requires_approval", "tool_name": "conversation_search"}]
    agent = make(letta, agent_type="memgpt_v2_agent", tool_rules=rules)
    text = script(
        call("conversation_search", query="x", request_heartbeat=True), call("send_message", message="Here it is.")
    )
    asked = letta.agents.messages.create(agent_id=agent.id, input=text)
    assert asked.stop_reason.stop_reason == "requires_approval"
    call_id = asked.messages[-1].tool_call.tool_call_id
    approval = {"type": "approval", "tool_call_id": call_id, "approve": True}
    answer = letta.agents.messages.create(agent_id=agent.id, messages=[{"type": "approval", "approvals": [approval]}])
    assert [message.message_type for message in answer.messages] == ["tool_return_message", "assistant_message"]
