"""What people do first with letta-client 1.12.1, synchronously.

The client is untyped here on purpose: requests are written as people write them, as plain dicts.
"""

import json
import threading
from typing import Any

import letta_client
import pytest

from tests.support.servers import Platform


def script(*turns: dict[str, Any]) -> str:
    """A message that tells the scripted model what to answer."""
    return json.dumps({"turns": list(turns)})


def make(letta: Any, **more: Any) -> Any:
    return letta.agents.create(
        **{
            "model": "scripted/json",
            "embedding": "local/all-minilm-l6-v2",
            "memory_blocks": [
                {"label": "human", "value": "The human's name is Bob."},
                {"label": "persona", "value": "I am helpful."},
            ],
            **more,
        }
    )


def said(messages: Any) -> list[str]:
    return [message.content for message in messages if message.message_type == "assistant_message"]


def test_the_quickstart(letta: Any) -> None:
    agent = make(letta, name="Quick")
    assert {block.label for block in agent.memory.blocks} == {"human", "persona"}
    answer = letta.agents.messages.create(
        agent_id=agent.id, messages=[{"role": "user", "content": script({"text": "Hello, Bob."})}]
    )
    assert answer.stop_reason.stop_reason == "end_turn"
    assert said(answer.messages)
    assert answer.usage.step_count == 1
    assert answer.usage.total_tokens
    again = letta.agents.messages.create(agent_id=agent.id, input=script({"text": "Again."}))
    assert again.messages[0].run_id != answer.messages[0].run_id
    listed = letta.agents.messages.list(agent_id=agent.id).items
    assert [m.message_type for m in listed][:3] == ["system_message", "user_message", "assistant_message"]


def test_health_and_models(letta: Any) -> None:
    assert letta.health().status == "ok"
    assert "scripted/json" in {model.handle for model in letta.models.list()}
    assert letta.models.embeddings.list() == [], "no process with local models runs here, so it is not offered"


def test_agents_are_paged_until_nothing_is_left(letta: Any) -> None:
    made = [make(letta, tags=["paged"], memory_blocks=[]).id for _ in range(3)]
    assert [agent.id for agent in letta.agents.list(tags=["paged"], limit=2)] == made[::-1]
    bare = letta.agents.retrieve(made[0])
    assert (bare.blocks, bare.tools) == ([], [])
    full = letta.agents.retrieve(made[0], include=["agent.tools", "agent.tags"])
    assert full.tags == ["paged"]
    assert full.tools
    letta.agents.delete(made[0])
    with pytest.raises(letta_client.NotFoundError):
        letta.agents.retrieve(made[0])


def test_messages_are_paged_until_nothing_is_left(letta: Any) -> None:
    agent = make(letta)
    for number in range(3):
        letta.agents.messages.create(agent_id=agent.id, input=script({"text": f"Number {number}"}))
    whole = [message.id for message in letta.agents.messages.list(agent_id=agent.id, order="asc", limit=3)]
    assert len(whole) == len(set(whole)) == 7


def test_a_memory_edit_is_seen_in_the_next_turn(letta: Any) -> None:
    agent = make(letta)
    call = {"name": "memory_replace", "arguments": {"label": "human", "old_string": "Bob", "new_string": "Ann"}}
    answer = letta.agents.messages.create(
        agent_id=agent.id, input=script({"text": "Noted.", "tool_calls": [call]}, {"text": "Done."})
    )
    assert [m.message_type for m in answer.messages] == [
        "assistant_message",
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
    ]
    assert answer.messages[2].status == "success"
    assert answer.usage.step_count == 2
    assert letta.agents.blocks.retrieve("human", agent_id=agent.id).value == "The human's name is Ann."
    system = next(iter(letta.agents.messages.list(agent_id=agent.id, order="asc", limit=1)))
    assert "The human's name is Ann." in system.content


def test_blocks_and_tools(letta: Any) -> None:
    agent = make(letta)
    changed = letta.agents.blocks.update("human", agent_id=agent.id, value="Nobody")
    assert changed.value == "Nobody"
    assert {block.label for block in letta.agents.blocks.list(agent_id=agent.id)} == {"human", "persona"}
    names = {tool.name for tool in letta.agents.tools.list(agent_id=agent.id, limit=1)}
    assert names == {"conversation_search", "memory_insert", "memory_replace"}
    without = letta.agents.blocks.detach(changed.id, agent_id=agent.id)
    assert [block.label for block in without.blocks] == ["persona"]
    assert len(letta.agents.blocks.attach(changed.id, agent_id=agent.id).blocks) == 2
    assert letta.agents.update(agent.id, name="Renamed").name == "Renamed"


def test_steps_are_streamed_whole(letta: Any) -> None:
    agent = make(letta)
    call = {"name": "conversation_search", "arguments": {"query": "x"}}
    text = script({"tool_calls": [call]}, {"text": "All done."})
    with pytest.deprecated_call():  # the library prefers create(streaming=True), people still write this
        stream = letta.agents.messages.stream(agent_id=agent.id, messages=[{"role": "user", "content": text}])
    events = list(stream)
    assert [event.message_type for event in events] == [
        "ping",
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
        "stop_reason",
        "usage_statistics",
    ]


def test_tokens_add_up_to_what_is_stored(letta: Any) -> None:
    agent = make(letta)
    call = {"name": "conversation_search", "arguments": {"query": "something to look for"}}
    text = script(
        {"text": "Let me look for that now.", "tool_calls": [call], "delta_delay": 0.02},
        {"text": "There is nothing at all.", "delta_delay": 0.02},
    )
    texts: dict[tuple[str, str], str] = {}
    arguments = ""
    stream = letta.agents.messages.create(agent_id=agent.id, input=text, streaming=True, stream_tokens=True)
    kinds = []
    for event in stream:
        kinds.append(event.message_type)
        if event.message_type == "assistant_message":
            texts[event.id, event.otid] = texts.get((event.id, event.otid), "") + event.content
        if event.message_type == "tool_call_message":
            arguments += event.tool_call.arguments or ""
    assert kinds.count("stop_reason") == kinds.count("usage_statistics") == 1
    assert kinds.count("assistant_message") > 2
    assert json.loads(arguments) == call["arguments"]
    stored = letta.agents.messages.list(agent_id=agent.id).items
    assert texts == {(m.id, m.otid): m.content for m in stored if m.message_type == "assistant_message"}


def test_a_background_stream_can_be_taken_up_again(letta: Any) -> None:
    agent = make(letta)
    text = script({"text": "One two three four five.", "delta_delay": 0.05})
    with letta.agents.messages.create(
        agent_id=agent.id, input=text, streaming=True, stream_tokens=True, background=True
    ) as stream:
        seen = []
        for event in stream:
            if event.message_type == "assistant_message":
                seen.append(event)
            if len(seen) == 2:
                break  # the connection is lost; the run goes on
    last = seen[-1]
    rest = letta.runs.messages.stream(last.run_id, starting_after=last.seq_id, include_pings=False)
    seen += [event for event in rest if event.message_type == "assistant_message"]
    assert "".join(event.content for event in seen) == "One two three four five."


def test_a_run_goes_on_by_itself(letta: Any) -> None:
    agent = make(letta)
    run = letta.agents.messages.create_async(
        agent_id=agent.id, messages=[{"role": "user", "content": script({"text": "Hi"})}]
    )
    events = list(letta.runs.messages.stream(run.id))
    assert events[-2].stop_reason == "end_turn"
    run = letta.runs.retrieve(run.id)
    assert (run.status, run.stop_reason) == ("completed", "end_turn")
    messages = letta.runs.messages.list(run.id).items
    assert [message.message_type for message in messages] == ["user_message", "assistant_message"]
    assert letta.runs.usage.retrieve(run.id).total_tokens
    (step,) = list(letta.runs.steps.list(run.id))
    assert (
        letta.steps.retrieve(step.id).model_handle == "scripted/json" if hasattr(step, "model_handle") else step.model
    )
    assert [r.id for r in letta.runs.list(agent_id=agent.id)] == [run.id]


def test_a_run_is_cancelled_while_it_is_read(letta: Any) -> None:
    agent = make(letta)
    text = script({"text": "This takes far too long to say.", "delta_delay": 2.0})
    stream = letta.agents.messages.create(agent_id=agent.id, input=text, streaming=True, stream_tokens=True)
    stops = []
    cancelled = False
    for event in stream:
        if event.message_type == "assistant_message" and not cancelled:
            cancelled = True
            result = letta.agents.messages.cancel(agent_id=agent.id)
            assert list(result.values()) == ["cancelled"]
        if event.message_type == "stop_reason":
            stops.append(event.stop_reason)
    assert stops == ["cancelled"]
    answer = letta.agents.messages.create(agent_id=agent.id, input=script({"text": "Yes."}))
    assert answer.stop_reason.stop_reason == "end_turn"
    with pytest.raises(letta_client.ConflictError):
        letta.agents.messages.cancel(agent_id=agent.id)


def test_an_approval_is_asked_for_and_given(letta: Any) -> None:
    rules = [{"type": "requires_approval", "tool_name": "conversation_search"}]
    agent = make(letta, tool_rules=rules)
    call = {"name": "conversation_search", "arguments": {"query": "x"}}
    text = script({"text": "May I?", "tool_calls": [call]}, {"text": "Thank you."})
    asked = letta.agents.messages.create(agent_id=agent.id, input=text)
    assert asked.stop_reason.stop_reason == "requires_approval"
    request = asked.messages[-1]
    assert request.message_type == "approval_request_message"
    with pytest.raises(letta_client.ConflictError) as refused:
        letta.agents.messages.create(agent_id=agent.id, input="Never mind")
    assert "Please approve or deny the pending request before continuing" in str(refused.value)
    state = letta.agents.retrieve(agent.id, include=["agent.pending_approval"])
    assert state.pending_approval is not None
    answer = letta.agents.messages.create(
        agent_id=agent.id,
        messages=[
            {
                "type": "approval",
                "approvals": [{"type": "approval", "tool_call_id": request.tool_call.tool_call_id, "approve": True}],
            }
        ],
    )
    assert said(answer.messages) == ["Thank you."]


def test_a_streamed_question_shows_its_words_once(letta: Any) -> None:
    agent = make(letta, tool_rules=[{"type": "requires_approval", "tool_name": "conversation_search"}])
    call = {"name": "conversation_search", "arguments": {"query": "x"}}
    text = script({"text": "May I look?", "tool_calls": [call], "delta_delay": 0.02})
    events = list(letta.agents.messages.create(agent_id=agent.id, input=text, streaming=True, stream_tokens=True))
    assert "".join(said(events)) == "May I look?"
    requests = [event for event in events if event.message_type == "approval_request_message"]
    assert json.loads("".join(event.tool_call.arguments or "" for event in requests)) == call["arguments"]
    stored = letta.agents.messages.list(agent_id=agent.id).items
    shown = {event.id for event in events if event.message_type in ("assistant_message", "approval_request_message")}
    assert shown == {m.id for m in stored[-2:]}


def test_a_client_runs_a_tool_of_its_own(letta: Any) -> None:
    agent = make(letta)
    tool = {"name": "read_meter", "description": "Reads it.", "parameters": {"type": "object", "properties": {}}}
    text = script({"tool_calls": [{"name": "read_meter", "arguments": {}}]}, {"text": "It says 42."})
    asked = letta.agents.messages.create(agent_id=agent.id, input=text, client_tools=[tool])
    assert asked.stop_reason.stop_reason == "requires_approval"
    call_id = asked.messages[-1].tool_call.tool_call_id
    returned = {"type": "tool", "tool_call_id": call_id, "tool_return": "42", "status": "success"}
    answer = letta.agents.messages.create(
        agent_id=agent.id, messages=[{"type": "approval", "approvals": [returned]}], client_tools=[tool]
    )
    assert said(answer.messages) == ["It says 42."]


def test_a_conversation_is_a_thread_of_its_own(letta: Any) -> None:
    agent = make(letta)
    thread = letta.conversations.create(agent_id=agent.id)
    events = list(letta.conversations.messages.create(thread.id, input=script({"text": "Hello"})))
    assert said(events)
    # One page: newest first with absolute cursors, as the contract has it, the library's own paging repeats items.
    listed = letta.conversations.messages.list(thread.id).items
    assert [m.message_type for m in listed] == ["assistant_message", "user_message", "system_message"]
    assert len(letta.agents.messages.list(agent_id=agent.id).items) == 1
    assert letta.conversations.retrieve(thread.id).agent_id == agent.id
    assert thread.id in {found.id for found in letta.conversations.list(agent_id=agent.id)}


def test_a_failed_model_raises_and_the_agent_works_on(letta: Any) -> None:
    agent = make(letta)
    with pytest.raises(letta_client.APIStatusError) as failed:
        letta.agents.messages.create(agent_id=agent.id, input=script({"error": "llm_bad_request"}))
    assert failed.value.response.headers["x-should-retry"] == "false"
    stream = letta.agents.messages.create(
        agent_id=agent.id, input=script({"error": "llm_authentication"}), streaming=True
    )
    with pytest.raises(letta_client.APIStatusError, match="llm_authentication"):
        list(stream)
    assert said(letta.agents.messages.create(agent_id=agent.id, input=script({"text": "Better."})).messages)


def test_refusals_are_the_errors_the_library_has(letta: Any) -> None:
    agent = make(letta)
    with pytest.raises(letta_client.UnprocessableEntityError):
        letta.agents.retrieve("agent-1")
    with pytest.raises(letta_client.BadRequestError):
        letta.agents.create(model="noslash")
    with pytest.raises(letta_client.NotFoundError):
        letta.agents.create(model="scripted/unknown")
    with pytest.raises(letta_client.UnprocessableEntityError):
        letta.agents.messages.create(agent_id=agent.id, messages=[])
    with pytest.raises(letta_client.UnprocessableEntityError):
        letta.agents.messages.create(agent_id=agent.id, input="x", max_steps=-1)


def test_messages_to_a_busy_agent_wait_in_order(letta: Any, platform: Platform) -> None:
    agent = make(letta)
    slow = letta.agents.messages.create_async(
        agent_id=agent.id, messages=[{"role": "user", "content": script({"text": "first", "delay": 1.0})}]
    )
    answers: list[Any] = []

    def ask() -> None:
        answers.append(letta.agents.messages.create(agent_id=agent.id, input=script({"text": "second"})))

    waiting = threading.Thread(target=ask)
    waiting.start()
    waiting.join(30)
    assert said(answers[0].messages) == ["second"]
    assert letta.runs.retrieve(slow.id).status == "completed"
    listed = [m.content for m in letta.agents.messages.list(agent_id=agent.id) if m.message_type == "assistant_message"]
    assert listed == ["first", "second"]
