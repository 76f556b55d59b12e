"""Policies over HTTP: made, listed, changed, removed, and what they do to calls."""

import json
from typing import Any

import httpx
import pytest

from tests.api.conftest import made
from tests.api.test_approvals import SEARCH, kinds, say, waiting
from tests.support.engine import Engine, script

DENY = {"action": "deny", "tool_name": "conversation_*", "reason": "The archive is closed."}


async def policy(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await http.post("/v1/policies/", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_policies_are_made_listed_changed_and_removed(http: httpx.AsyncClient, actor: str) -> None:
    arguments = {"path": "/etc/*", "size": {"above": 5, "below": 9}, "word": {"equals": None}}
    first = await policy(http, action="ask", arguments=arguments, agent_id=actor, timeout_seconds=60)
    assert first["arguments"] == arguments
    assert (first["tool_name"], first["on_timeout"], first["tag"]) == ("*", "deny", None)
    second = await policy(http, **DENY, tag="prod")
    assert [each["id"] for each in (await http.get("/v1/policies/")).json()] == [second["id"], first["id"]]
    assert (await http.get("/v1/policies/", params={"agent_id": actor})).json() == [first]
    assert (await http.get("/v1/policies/", params={"after": second["id"]})).json() == [first]
    changed = await http.patch(f"/v1/policies/{first['id']}", json={"timeout_seconds": None, "tool_name": "rm"})
    assert changed.json() == {**first, "timeout_seconds": None, "tool_name": "rm"}
    assert (await http.get(f"/v1/policies/{first['id']}")).json() == changed.json()
    assert (await http.patch(f"/v1/policies/{first['id']}", json={})).json() == changed.json()
    assert (await http.delete(f"/v1/policies/{first['id']}")).status_code == 200
    gone = await http.get(f"/v1/policies/{first['id']}")
    assert gone.status_code == 404 and "o approvals policies ls" in gone.text


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"action": "maybe"},
        {"action": "deny", "tool_name": ""},
        {"action": "deny", "arguments": {"x": {"regex": "(a+)+$"}}},
        {"action": "deny", "arguments": {"x": {}}},
        {"action": "deny", "arguments": {"x": {"above": "NaN"}}},
        {"action": "ask", "timeout_seconds": 0},
        {"action": "ask", "on_timeout": "wait"},
        {"action": "deny", "agent_id": "agent-1"},
        {"action": "deny", "tag": "a", "agent_id": "agent-00000000-0000-4000-8000-000000000000"},
    ],
)
async def test_what_no_policy_can_be(http: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    assert (await http.post("/v1/policies/", json=wrong)).status_code == 422


async def test_a_policy_of_nobody_or_of_agent_and_tag_is_refused(http: httpx.AsyncClient, actor: str) -> None:
    nobody = {"action": "deny", "agent_id": "agent-00000000-0000-4000-8000-000000000000"}
    assert (await http.post("/v1/policies/", json=nobody)).status_code == 404
    one = await policy(http, action="deny", tag="prod")
    both = await http.patch(f"/v1/policies/{one['id']}", json={"agent_id": actor})
    assert both.status_code == 400 and "not both" in both.text
    assert (await http.get(f"/v1/policies/{one['id']}")).json() == one
    assert (await http.patch(f"/v1/policies/{one['id']}", json={"action": None})).status_code == 400


async def test_a_denied_call_is_told_to_the_model(http: httpx.AsyncClient, actor: str) -> None:
    await policy(http, **DENY)
    answer = await say(http, actor, {"tool_calls": [SEARCH]}, {"text": "I see."})
    assert kinds(answer) == ["tool_call_message", "tool_return_message", "assistant_message"]
    returned = answer["messages"][1]
    assert returned["status"] == "error" and "The archive is closed." in returned["tool_return"]


async def test_a_policy_asks_and_another_makes_an_exception(http: httpx.AsyncClient, engine: Engine) -> None:
    tagged = await made(http, model="scripted/json", tags=["prod"])
    await policy(http, action="ask", tag="prod", timeout_seconds=3600, reason="Who looks?")
    await policy(http, action="allow", tag="prod", tool_name="conversation_search", arguments={"query": "public *"})
    public = {"name": "conversation_search", "arguments": {"query": "public notes"}}
    answer = await say(http, tagged, {"tool_calls": [public]}, {"tool_calls": [SEARCH]}, {"text": "Done."})
    assert answer["stop_reason"]["stop_reason"] == "requires_approval"
    assert kinds(answer) == ["tool_call_message", "tool_return_message", "approval_request_message"]
    approval = await waiting(http, tagged)
    assert approval["expires_at"][:13] != approval["created_at"][:13]
    run = (await http.post(f"/v1/approvals/{approval['id']}/approve")).json()
    assert (await engine.ended(run["id"])).stop_reason == "end_turn"
    untagged = await made(http, model="scripted/json")
    free = await say(http, untagged, {"tool_calls": [SEARCH]}, {"text": "Done."})
    assert free["stop_reason"]["stop_reason"] == "end_turn"


async def test_a_policy_made_while_a_call_waits_is_heard(http: httpx.AsyncClient, engine: Engine, actor: str) -> None:
    asking = await policy(http, action="ask", tool_name="conversation_search")
    await say(http, actor, {"tool_calls": [SEARCH]}, {"text": "I see."})
    approval = await waiting(http, actor)
    await http.delete(f"/v1/policies/{asking['id']}")
    await policy(http, **DENY)
    run = (await http.post(f"/v1/approvals/{approval['id']}/approve")).json()
    await engine.ended(run["id"])
    returned = (await http.get(f"/v1/runs/{run['id']}/messages")).json()[1]
    assert returned["status"] == "error" and "The archive is closed." in returned["tool_return"]


@pytest.mark.parametrize("arguments", [{}, {"query": "*"}])
async def test_what_a_policy_asks_about_is_streamed_once(
    http: httpx.AsyncClient, actor: str, arguments: dict[str, str]
) -> None:
    await policy(http, action="ask", tool_name="conversation_search", arguments=arguments)
    body = {"input": script({"text": "May I?", "tool_calls": [SEARCH]}), "streaming": True, "stream_tokens": True}
    answer = await http.post(f"/v1/agents/{actor}/messages", json=body)
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    shown = [event for event in events if event["message_type"].endswith(("call_message", "request_message"))]
    assert {event["message_type"] for event in shown} == {"approval_request_message"}
    assert json.loads("".join(event["tool_call"].get("arguments") or "" for event in shown)) == SEARCH["arguments"]
    assert {event["id"] for event in shown} == {(await waiting(http, actor))["message_id"]}


async def test_what_a_policy_denies_is_streamed_as_a_call_even_where_a_rule_asks(http: httpx.AsyncClient) -> None:
    rule = {"type": "requires_approval", "tool_name": "conversation_search"}
    agent_id = await made(http, model="scripted/json", tool_rules=[rule])
    await policy(http, **DENY)
    body = {"input": script({"tool_calls": [SEARCH]}, {"text": "Well."}), "streaming": True, "stream_tokens": True}
    answer = await http.post(f"/v1/agents/{agent_id}/messages", json=body)
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert [event["message_type"] for event in events[1:-2]] == [
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
    ]
