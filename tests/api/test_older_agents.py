"""The older agent types: every step calls a tool, and says with the call whether another step follows."""

import json
from typing import Any

import httpx
import pytest

from o.domain.json import JsonObject
from tests.api.conftest import made
from tests.api.test_approvals import kinds, reply, say
from tests.support.engine import Engine

THINKS = {"handle": "scripted/json", "model": "json", "put_inner_thoughts_in_kwargs": True}


def call(name: str, **arguments: object) -> JsonObject:
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


def tell(text: str, *, more: bool = False) -> JsonObject:
    return call("send_message", message=text, request_heartbeat=more)


def search(*, more: bool) -> JsonObject:
    return call("conversation_search", query="x", request_heartbeat=more)


async def older(http: httpx.AsyncClient, kind: str = "memgpt_agent", **more: Any) -> str:
    return await made(http, **{"model": "scripted/json", "agent_type": kind, **more})


async def rows(http: httpx.AsyncClient, agent_id: str) -> list[JsonObject]:
    """What the last request left in the history, after the person's message."""
    listed = (await http.get(f"/v1/agents/{agent_id}/messages", params={"use_assistant_message": False})).json()
    asked = max(n for n, m in enumerate(listed) if m["message_type"] == "user_message" and "turns" in m["content"])
    return list(listed[asked + 1 :])


@pytest.mark.parametrize("kind", ["memgpt_agent", "memgpt_v2_agent", "split_thread_agent"])
async def test_it_speaks_through_send_message_and_its_text_is_a_thought(http: httpx.AsyncClient, kind: str) -> None:
    agent_id = await older(http, kind)
    answer = await say(http, agent_id, {"text": "I greet back.", **tell("Hello.")})
    assert [(m["message_type"], m.get("content") or m.get("reasoning")) for m in answer["messages"]] == [
        ("reasoning_message", "I greet back."),
        ("assistant_message", "Hello."),
    ]
    assert answer["stop_reason"]["stop_reason"] == "end_turn"
    spelled = await say(http, agent_id, tell("Hello."), use_assistant_message=False)
    assert kinds(spelled) == ["tool_call_message", "tool_return_message"]
    assert json.loads(spelled["messages"][0]["tool_call"]["arguments"]) == {
        "message": "Hello.",
        "request_heartbeat": False,
    }


async def test_the_turn_goes_on_where_a_heartbeat_asks_for_it(http: httpx.AsyncClient) -> None:
    agent_id = await older(http, include_base_tool_rules=False)
    ended = await say(http, agent_id, search(more=False), tell("Never."))
    assert (ended["stop_reason"]["stop_reason"], ended["usage"]["step_count"]) == ("end_turn", 1)
    went_on = await say(http, agent_id, search(more=True), tell("Found."))
    assert (went_on["stop_reason"]["stop_reason"], went_on["usage"]["step_count"]) == ("end_turn", 2)
    stored = await rows(http, agent_id)
    assert [m["message_type"] for m in stored] == [
        "tool_call_message",
        "tool_return_message",
        "user_message",
        "tool_call_message",
        "tool_return_message",
    ]
    beat = json.loads(stored[2]["content"])
    assert beat["type"] == "heartbeat" and beat["reason"] and beat["time"]
    assert all(message["message_type"] != "user_message" for message in went_on["messages"])


async def test_rules_let_it_go_on_or_end(http: httpx.AsyncClient) -> None:
    agent_id = await older(http)  # with its base rules: send_message ends the turn, all else goes on
    went_on = await say(http, agent_id, search(more=False), tell("Found."))
    assert (went_on["stop_reason"]["stop_reason"], went_on["usage"]["step_count"]) == ("end_turn", 2)
    asked = await say(http, agent_id, tell("Found.", more=True), tell("Never."))
    assert (asked["stop_reason"]["stop_reason"], asked["usage"]["step_count"]) == ("tool_rule", 1)
    wrong = await say(http, agent_id, call("no_such_tool"), tell("Sorry."))
    assert wrong["usage"]["step_count"] == 2 and kinds(wrong)[:2] == ["tool_call_message", "tool_return_message"]
    few = await say(http, agent_id, search(more=True), search(more=True), max_steps=2)
    assert few["stop_reason"]["stop_reason"] == "max_steps"
    required = await older(http, tool_rules=[{"type": "required_before_exit", "tool_name": "conversation_search"}])
    answer = await say(http, required, tell("Early."), search(more=False), tell("Late."))
    assert [m["content"] for m in answer["messages"] if m["message_type"] == "assistant_message"] == ["Early.", "Late."]


@pytest.mark.parametrize("kind", ["memgpt_agent", "react_agent"])
async def test_text_alone_fails_the_run(http: httpx.AsyncClient, kind: str) -> None:
    tools = {"tools": ["conversation_search"]} if kind == "react_agent" else {}
    agent_id = await older(http, kind, **tools)
    answer = await http.post(f"/v1/agents/{agent_id}/messages/async", json={"input": '{"turns": [{"text": "Hi."}]}'})
    run_id = answer.json()["id"]
    await http.post(f"/v1/runs/{run_id}/stream", json={})
    run = (await http.get(f"/v1/runs/{run_id}")).json()
    assert (run["status"], run["stop_reason"]) == ("failed", "no_tool_call")
    assert (await say(http, agent_id, search(more=False)))["usage"]["step_count"] >= 1, "the agent works on"


async def test_a_reacting_agent_has_no_blocks_in_view_and_its_text_is_an_answer(http: httpx.AsyncClient) -> None:
    agent_id = await older(http, "react_agent")
    answer = await say(http, agent_id, {"text": "Hi."})
    assert (kinds(answer), answer["stop_reason"]["stop_reason"]) == (["assistant_message"], "end_turn")
    system = (await http.get(f"/v1/agents/{agent_id}/messages", params={"order": "asc"})).json()[0]
    assert "<memory_blocks>" not in system["content"]


async def test_a_workflow_agent_begins_every_request_anew(http: httpx.AsyncClient) -> None:
    agent_id = await older(http, "workflow_agent", tools=["conversation_search"], include_base_tool_rules=False)
    for _ in range(2):
        await say(http, agent_id, search(more=False))
    state = (await http.get(f"/v1/agents/{agent_id}")).json()
    assert state["message_buffer_autoclear"] is True and len(state["message_ids"]) == 4


async def test_thoughts_within_calls_are_stored_as_thoughts_and_run_without_them(http: httpx.AsyncClient) -> None:
    agent_id = await older(http, llm_config=THINKS)
    state = (await http.get(f"/v1/agents/{agent_id}")).json()
    assert state["llm_config"]["put_inner_thoughts_in_kwargs"] is True
    insert = {"thinking": "Worth keeping.", "label": "human", "content": "likes tea", "request_heartbeat": True}
    answer = await say(http, agent_id, call("core_memory_append", **insert), tell("Noted."))
    assert kinds(answer) == ["reasoning_message", "tool_call_message", "tool_return_message", "assistant_message"]
    thought, made_call, returned, _ = answer["messages"]
    assert (thought["reasoning"], thought["source"]) == ("Worth keeping.", "non_reasoner_model")
    assert "thinking" not in json.loads(made_call["tool_call"]["arguments"])
    assert returned["status"] == "success" and "likes tea" in returned["tool_return"]


@pytest.mark.parametrize("thoughts", [True, False])
async def test_deltas_add_up_to_what_is_stored(http: httpx.AsyncClient, thoughts: bool) -> None:
    agent_id = await older(http, llm_config={**THINKS, "put_inner_thoughts_in_kwargs": thoughts})
    thought = {"thinking": "Where was it?"} if thoughts else {}
    turns = [
        {"text": "Hm.", **call("conversation_search", **thought, query="x", request_heartbeat=True)},
        call("send_message", **thought, message="Here it is.", request_heartbeat=False),
    ]
    body = {"input": json.dumps({"turns": turns}), "streaming": True, "stream_tokens": True}
    answer = await http.post(f"/v1/agents/{agent_id}/messages", json=body)
    streamed: dict[tuple[str, str], str] = {}
    for line in answer.text.splitlines():
        event = json.loads(line[6:]) if line.startswith("data: {") else {}
        text = event.get("content") or event.get("reasoning") or (event.get("tool_call") or {}).get("arguments")
        if text and event["message_type"] != "tool_return_message":
            key = (event["message_type"], event["otid"])
            streamed[key] = streamed.get(key, "") + text
    listed = (await http.get(f"/v1/agents/{agent_id}/messages")).json()[-(7 if thoughts else 5) :]
    stored = {
        (m["message_type"], m["otid"]): m.get("content") or m.get("reasoning") or m["tool_call"]["arguments"]
        for m in listed
        if m["message_type"] not in ("tool_return_message", "user_message")
    }
    assert streamed == stored
    assert [m["message_type"] for m in listed].count("reasoning_message") == (3 if thoughts else 1)


async def test_it_goes_on_after_a_denial_and_by_its_heartbeat_after_an_approval(
    http: httpx.AsyncClient, engine: Engine
) -> None:
    rules = [{"type": "requires_approval", "tool_name": "conversation_search"}]
    agent_id = await older(http, tool_rules=rules, include_base_tool_rules=False)
    for approve, more, steps in ((False, False, 2), (True, True, 2), (True, False, 1)):
        asked = await say(http, agent_id, search(more=more), tell("So be it."))
        assert asked["stop_reason"]["stop_reason"] == "requires_approval"
        call_id = asked["messages"][-1]["tool_call"]["tool_call_id"]
        answer = await reply(http, agent_id, {"type": "approval", "tool_call_id": call_id, "approve": approve})
        assert answer.json()["usage"]["step_count"] == steps, answer.text


async def test_it_goes_on_when_the_client_has_run_its_tool(http: httpx.AsyncClient) -> None:
    agent_id = await older(http, include_base_tool_rules=False)
    tool = {"name": "read_meter", "parameters": {"type": "object", "properties": {}}}
    asked = await say(http, agent_id, call("read_meter"), tell("It says 42."), client_tools=[tool])
    assert json.loads(asked["messages"][-1]["tool_call"]["arguments"]) == {}
    returned = {
        "type": "tool",
        "tool_call_id": asked["messages"][-1]["tool_call"]["tool_call_id"],
        "tool_return": "42",
        "status": "success",
    }
    answer = (await reply(http, agent_id, returned, client_tools=[tool])).json()
    assert kinds(answer) == ["tool_return_message", "assistant_message"]
