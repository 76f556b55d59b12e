"""Tool rules over HTTP: what a rule does to a turn and to its run."""

import httpx

from tests.api.conftest import made
from tests.api.test_approvals import SEARCH, kinds, say


async def test_preset_arguments_override_and_misfits_fail_the_run(http: httpx.AsyncClient) -> None:
    first = {"type": "run_first", "tool_name": "conversation_search", "args": {"query": "set by the rule"}}
    agent_id = await made(http, model="scripted/json", tool_rules=[first])
    answer = await say(http, agent_id, {"tool_calls": [SEARCH]}, {"text": "Done."})
    assert "set by the rule" in answer["messages"][0]["tool_call"]["arguments"]
    wrong = await made(http, model="scripted/json", tool_rules=[{**first, "args": {"limit": True}}])
    answer = await say(http, wrong, {"tool_calls": [SEARCH]}, {"text": "Never."})
    assert (answer["stop_reason"]["stop_reason"], kinds(answer)) == (
        "invalid_tool_call",
        ["tool_call_message", "tool_return_message"],
    )
    assert "'limit' must be of type integer" in answer["messages"][1]["tool_return"]
    run = (await http.get(f"/v1/runs/{answer['messages'][0]['run_id']}")).json()
    assert run["status"] == "failed"


async def test_a_tool_that_may_not_be_called_now_is_refused_and_the_turn_goes_on(http: httpx.AsyncClient) -> None:
    rules = [
        {"type": "run_first", "tool_name": "conversation_search"},
        {"type": "max_count_per_step", "tool_name": "conversation_search", "max_count_limit": 1},
    ]
    agent_id = await made(http, model="scripted/json", tool_rules=rules)
    insert = {"name": "memory_insert", "arguments": {"label": "human", "new_string": "x"}}
    turns = [{"tool_calls": [call]} for call in (insert, SEARCH, SEARCH)]
    answer = await say(http, agent_id, *turns, {"text": "Done."})
    returns = [m for m in answer["messages"] if m["message_type"] == "tool_return_message"]
    assert [each["status"] for each in returns] == ["error", "success", "error"]
    assert "valid tools include: [conversation_search]" in returns[0]["tool_return"]
    assert "Cannot call conversation_search" in returns[2]["tool_return"]
    assert answer["stop_reason"]["stop_reason"] == "end_turn"


async def test_a_tool_owed_before_the_end_is_asked_for(http: httpx.AsyncClient) -> None:
    rules = [{"type": "required_before_exit", "tool_name": "conversation_search"}]
    agent_id = await made(http, model="scripted/json", tool_rules=rules)
    answer = await say(http, agent_id, {"text": "Already done."}, {"tool_calls": [SEARCH]}, {"text": "Now."})
    assert kinds(answer) == ["assistant_message", "tool_call_message", "tool_return_message", "assistant_message"]
    listed = (await http.get(f"/v1/agents/{agent_id}/messages")).json()
    beat = next(m for m in listed if m["message_type"] == "user_message" and "heartbeat" in m["content"])
    assert "conversation_search" in beat["content"] and '"time"' in beat["content"]
