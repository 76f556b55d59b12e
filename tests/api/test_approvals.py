"""Approvals over HTTP: what waits, its answers, what the client runs itself, and what ends the waiting."""

import asyncio
import json
from typing import Any

import httpx
import psycopg
import pytest

from activities.tools import ToolContext
from o.domain.json import JsonObject
from tests.api.conftest import made
from tests.support.engine import Engine, script

RULE = {"type": "requires_approval", "tool_name": "conversation_search"}
SEARCH = {"name": "conversation_search", "arguments": {"query": "x"}}
METER = {"name": "read_meter", "description": "Reads it.", "parameters": {"type": "object", "properties": {}}}


async def say(http: httpx.AsyncClient, agent_id: str, *turns: JsonObject, **more: Any) -> dict[str, Any]:
    answer = await http.post(f"/v1/agents/{agent_id}/messages", json={"input": script(*turns), **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def reply(http: httpx.AsyncClient, agent_id: str, *answers: JsonObject, **more: Any) -> httpx.Response:
    body = {"messages": [{"type": "approval", "approvals": list(answers)}], **more}
    return await http.post(f"/v1/agents/{agent_id}/messages", json=body)


def kinds(answer: dict[str, Any]) -> list[str]:
    return [message["message_type"] for message in answer["messages"]]


@pytest.fixture
async def careful(http: httpx.AsyncClient) -> str:
    """An agent whose searches wait for a person."""
    return await made(http, model="scripted/json", tool_rules=[RULE], include_base_tool_rules=False)


async def waiting(http: httpx.AsyncClient, agent_id: str) -> dict[str, Any]:
    [approval] = (await http.get("/v1/approvals/", params={"agent_id": agent_id})).json()
    return dict(approval)


async def test_what_waits_is_listed_and_read(http: httpx.AsyncClient, careful: str) -> None:
    asked = await say(http, careful, {"tool_calls": [SEARCH]}, {"text": "Thanks."})
    approval = await waiting(http, careful)
    [call] = approval["calls"]
    assert (call["name"], json.loads(call["arguments"]), call["client"]) == (
        "conversation_search",
        {"query": "x"},
        False,
    )
    assert (approval["status"], approval["agent_name"], approval["on_timeout"]) == ("pending", "Tester", "deny")
    assert approval["message_id"] == asked["messages"][-1]["id"]
    assert (await http.get(f"/v1/approvals/{approval['id']}")).json() == approval
    assert (await http.get("/v1/approvals/", params={"status": "answered"})).json() == []
    unknown = await http.get("/v1/approvals/approval-00000000-0000-4000-8000-000000000000")
    assert unknown.status_code == 404 and "o approvals ls" in unknown.text
    assert (await http.get("/v1/approvals/", params={"status": "odd"})).status_code == 422


async def test_approvals_are_paged(http: httpx.AsyncClient) -> None:
    for _ in range(3):
        await say(http, await made(http, model="scripted/json", tool_rules=[RULE]), {"tool_calls": [SEARCH]})
    every = [each["id"] for each in (await http.get("/v1/approvals/")).json()]
    first = [each["id"] for each in (await http.get("/v1/approvals/", params={"limit": 2})).json()]
    rest = [each["id"] for each in (await http.get("/v1/approvals/", params={"after": first[-1]})).json()]
    assert first + rest == every and len(every) == 3


async def test_an_approval_is_given_by_its_own_route_in_a_run_of_its_own(
    http: httpx.AsyncClient, engine: Engine, careful: str
) -> None:
    await say(http, careful, {"tool_calls": [SEARCH]}, {"text": "Thanks."})
    approval = await waiting(http, careful)
    run = (await http.post(f"/v1/approvals/{approval['id']}/approve")).json()
    assert (run["background"], run["metadata"]["run_type"]) == (True, "send_message_async")
    assert (await engine.ended(run["id"])).stop_reason == "end_turn"
    shown = (await http.get(f"/v1/runs/{run['id']}/messages")).json()
    assert [m["message_type"] for m in shown] == [
        "approval_response_message",
        "tool_return_message",
        "assistant_message",
    ]
    again = await http.post(f"/v1/approvals/{approval['id']}/approve")
    assert again.json()["id"] == run["id"], "the same answer again is the same run"
    other = await http.post(f"/v1/approvals/{approval['id']}/deny", json={})
    assert other.status_code == 409 and "answered" in other.text
    [answered] = (await http.get("/v1/approvals/", params={"status": "answered"})).json()
    assert answered["answered_by_run_id"] == run["id"]


async def test_a_denial_tells_the_model_why(http: httpx.AsyncClient, engine: Engine, careful: str) -> None:
    await say(http, careful, {"tool_calls": [SEARCH]}, {"text": "A pity."})
    approval = await waiting(http, careful)
    run = (await http.post(f"/v1/approvals/{approval['id']}/deny", json={"reason": "too early"})).json()
    await engine.ended(run["id"])
    returned = (await http.get(f"/v1/runs/{run['id']}/messages")).json()[1]
    assert (returned["status"], returned["tool_return"]) == (
        "error",
        "Error: request to call tool denied. User reason: too early",
    )


async def test_calls_beside_those_that_wait_run_with_them_and_share_one_return_message(
    http: httpx.AsyncClient, careful: str
) -> None:
    insert = {"name": "memory_insert", "arguments": {"label": "human", "new_string": "tea"}}
    calls = [{**SEARCH, "id": "s1"}, {**insert, "id": "i1"}, {**SEARCH, "id": "s2"}, {"name": "read_meter", "id": "m1"}]
    asked = await say(http, careful, {"text": "Four.", "tool_calls": calls}, {"text": "Done."}, client_tools=[METER])
    assert kinds(asked) == ["assistant_message", "tool_call_message", "approval_request_message"]
    assert [call["tool_call_id"] for call in asked["messages"][1]["tool_calls"]] == ["i1"]
    assert [call["tool_call_id"] for call in asked["messages"][2]["tool_calls"]] == ["s1", "s2", "m1"]
    assert asked["stop_reason"]["stop_reason"] == "requires_approval"
    block = (await http.get(f"/v1/agents/{careful}/core-memory/blocks/human")).json()
    assert "tea" not in block["value"], "nothing of the reply runs before the answer"
    approval = await waiting(http, careful)
    assert (approval["withheld"], [call["client"] for call in approval["calls"]]) == (["i1"], [False, False, True])
    answer = await reply(
        http,
        careful,
        {"type": "approval", "tool_call_id": "s1", "approve": True},
        {"type": "approval", "tool_call_id": "s2", "approve": False, "reason": "once is enough"},
        {"type": "tool", "tool_call_id": "m1", "tool_return": "42", "status": "success"},
        client_tools=[METER],
    )
    assert kinds(answer.json()) == ["tool_return_message", "assistant_message"]
    returns = answer.json()["messages"][0]["tool_returns"]
    assert [(each["tool_call_id"], each["status"]) for each in returns] == [
        ("s1", "success"),
        ("i1", "success"),
        ("s2", "error"),
        ("m1", "success"),
    ]
    assert returns[3]["tool_return"] == "42"
    run_id = answer.json()["messages"][0]["run_id"]
    assert answer.json()["messages"][0]["step_id"] == asked["messages"][0]["step_id"], "the asking step goes on"
    assert (await http.get(f"/v1/runs/{run_id}")).json()["stop_reason"] == "end_turn"


async def test_approved_calls_run_side_by_side_where_their_tools_may(
    http: httpx.AsyncClient, engine: Engine, careful: str
) -> None:
    both = asyncio.Barrier(2)

    async def together(context: ToolContext, arguments: JsonObject) -> str:
        async with asyncio.timeout(20):
            await both.wait()
        return "met"

    engine.tools["conversation_search"] = together
    calls = [{**SEARCH, "id": "s1"}, {**SEARCH, "id": "s2"}]
    await say(http, careful, {"tool_calls": calls}, {"text": "Done."})
    answers = [{"type": "approval", "tool_call_id": call_id, "approve": True} for call_id in ("s1", "s2")]
    answer = (await reply(http, careful, *answers)).json()
    assert [each["tool_return"] for each in answer["messages"][0]["tool_returns"]] == ["met", "met"]


async def test_wrong_missing_and_repeated_answers(http: httpx.AsyncClient, careful: str) -> None:
    nothing = await reply(http, careful, {"type": "approval", "tool_call_id": "s1", "approve": True})
    assert nothing.status_code == 400 and "No tool call is currently awaiting approval" in nothing.text
    await say(http, careful, {"tool_calls": [{**SEARCH, "id": "s1"}, {**SEARCH, "id": "s2"}]}, {"text": "Ok."})
    yes = {"type": "approval", "tool_call_id": "s1", "approve": True}
    for wrong in ([yes], [yes, {**yes, "tool_call_id": "s3"}], [yes, yes], [yes, yes, {**yes, "tool_call_id": "s2"}]):
        refused = await reply(http, careful, *wrong)
        assert refused.status_code == 400 and "Invalid tool call IDs" in refused.text
    busy = await http.post(f"/v1/agents/{careful}/messages", json={"input": "hello?"})
    assert busy.status_code == 409 and busy.json()["detail"]["code"] == "PENDING_APPROVAL"
    approval = await waiting(http, careful)
    partial = await http.post(f"/v1/approvals/{approval['id']}/answers", json={"answers": [yes]})
    assert partial.status_code == 400
    both = [yes, {**yes, "tool_call_id": "s2"}]
    assert kinds((await reply(http, careful, *both)).json()) == ["tool_return_message", "assistant_message"]
    replayed = await reply(http, careful, *both)
    assert replayed.status_code == 200 and replayed.json()["stop_reason"]["stop_reason"] == "end_turn"
    assert kinds(replayed.json()) == ["assistant_message"], "nothing runs a second time"


async def test_the_older_form_answers_by_the_requests_id(http: httpx.AsyncClient, careful: str) -> None:
    asked = await say(http, careful, {"tool_calls": [SEARCH]}, {"text": "Ok."})
    body = {"approve": False, "approval_request_id": asked["messages"][-1]["id"], "reason": "not now"}
    answer = (await http.post(f"/v1/agents/{careful}/messages", json={"messages": [body]})).json()
    assert "not now" in answer["messages"][0]["tool_return"]
    await say(http, careful, {"tool_calls": [{**SEARCH, "id": "s1"}, {**SEARCH, "id": "s2"}]}, {"text": "Ok."})
    approval = await waiting(http, careful)
    body = {"approve": True, "approval_request_id": approval["message_id"]}
    refused = await http.post(f"/v1/agents/{careful}/messages", json={"messages": [body]})
    assert refused.status_code == 400, "it says nothing about several calls"


async def test_messages_after_an_answer_are_heard_when_the_tools_have_run(
    http: httpx.AsyncClient, careful: str
) -> None:
    await say(http, careful, {"tool_calls": [{**SEARCH, "id": "s1"}]})
    body = {
        "messages": [
            {"type": "approval", "approvals": [{"type": "approval", "tool_call_id": "s1", "approve": True}]},
            {"role": "user", "content": script({"text": "I heard both."})},
        ]
    }
    answer = (await http.post(f"/v1/agents/{careful}/messages", json=body)).json()
    assert kinds(answer) == ["tool_return_message", "assistant_message"]
    assert answer["messages"][1]["content"] == "I heard both."


async def test_a_long_return_of_a_client_is_cut(http: httpx.AsyncClient) -> None:
    agent_id = await made(http, model="scripted/json", context_window_limit=8000)
    asked = await say(http, agent_id, {"tool_calls": [{"name": "read_meter"}]}, {"text": "Ok."}, client_tools=[METER])
    returned = {
        "type": "tool",
        "tool_call_id": asked["messages"][-1]["tool_call"]["tool_call_id"],
        "tool_return": "x" * 9000,
        "status": "error",
    }
    body = {"messages": [{"type": "tool_return", "tool_returns": [returned]}], "client_tools": [METER]}
    answer = (await http.post(f"/v1/agents/{agent_id}/messages", json=body)).json()
    shown = answer["messages"][0]
    assert shown["status"] == "error" and shown["tool_return"].startswith("x" * 6400 + "…")
    assert "6400 of 9000" in shown["tool_return"]


async def test_what_the_client_carried_out_counts_for_the_rules(http: httpx.AsyncClient) -> None:
    rules = [{"type": "required_before_exit", "tool_name": "conversation_search"}]
    agent_id = await made(http, model="scripted/json", tool_rules=rules)
    mine = {**METER, "name": "conversation_search"}
    asked = await say(http, agent_id, {"tool_calls": [SEARCH]}, {"text": "Ok."}, client_tools=[mine])
    assert asked["stop_reason"]["stop_reason"] == "requires_approval", "the client's overrides the server's"
    call_id = asked["messages"][-1]["tool_call"]["tool_call_id"]
    returned = {"type": "tool", "tool_call_id": call_id, "tool_return": "found", "status": "success"}
    answer = (await reply(http, agent_id, returned, client_tools=[mine])).json()
    assert answer["stop_reason"]["stop_reason"] == "end_turn"


async def test_a_call_that_only_the_client_can_run_is_not_approved_by_others(http: httpx.AsyncClient) -> None:
    agent_id = await made(http, model="scripted/json")
    await say(http, agent_id, {"tool_calls": [{"name": "read_meter"}]}, {"text": "Ok."}, client_tools=[METER])
    approval = await waiting(http, agent_id)
    refused = await http.post(f"/v1/approvals/{approval['id']}/approve")
    assert refused.status_code == 400 and "the client that asked runs read_meter itself" in refused.text
    assert (await http.post(f"/v1/approvals/{approval['id']}/deny")).status_code == 200


async def test_what_is_pending_is_shown_with_the_agent_until_it_is_cancelled(
    http: httpx.AsyncClient, careful: str
) -> None:
    include = {"include": "agent.pending_approval"}
    asked = await say(http, careful, {"tool_calls": [SEARCH]})
    shown = (await http.get(f"/v1/agents/{careful}", params=include)).json()["pending_approval"]
    assert shown == asked["messages"][-1]
    run_id = asked["messages"][-1]["run_id"]
    assert (await http.post(f"/v1/agents/{careful}/messages/cancel")).json() == {run_id: "cancelled"}
    assert (await http.get(f"/v1/agents/{careful}", params=include)).json()["pending_approval"] is None
    assert (await http.get(f"/v1/runs/{run_id}")).json()["status"] == "cancelled"
    [approval] = (await http.get("/v1/approvals/", params={"status": "all", "agent_id": careful})).json()
    assert approval["status"] == "cancelled"
    late = await http.post(f"/v1/approvals/{approval['id']}/approve")
    assert late.status_code == 409 and "cancelled" in late.text
    assert (await say(http, careful, {"text": "Here."}))["stop_reason"]["stop_reason"] == "end_turn"
    listed = (await http.get(f"/v1/agents/{careful}/messages")).json()
    assert (
        "The user cancelled the request"
        in next(m for m in listed if m["message_type"] == "tool_return_message")["tool_return"]
    )


async def test_an_agent_is_deleted_with_what_waits(http: httpx.AsyncClient, careful: str) -> None:
    await say(http, careful, {"tool_calls": [SEARCH]})
    approval = await waiting(http, careful)
    assert (await http.delete(f"/v1/agents/{careful}")).status_code == 200
    assert (await http.get("/v1/approvals/")).json() == []
    assert (await http.post(f"/v1/approvals/{approval['id']}/approve")).status_code == 404


async def test_a_run_that_waits_for_a_person_is_not_forgotten(http: httpx.AsyncClient, careful: str) -> None:
    """Its approval would go with it, and nobody would have said no."""
    await say(http, careful, {"tool_calls": [SEARCH]}, {"text": "Thanks."})
    approval = await waiting(http, careful)
    path = f"/v1/runs/{approval['run_id']}"
    refused = await http.delete(path)
    assert refused.status_code == 409 and "approval" in refused.text
    assert (await waiting(http, careful)) == approval
    await http.post(f"/v1/agents/{careful}/messages/cancel", json={"run_ids": [approval["run_id"]]})
    assert (await http.delete(path)).status_code == 200


async def test_of_two_answers_at_once_one_counts_and_the_other_is_told(
    http: httpx.AsyncClient, engine: Engine, careful: str, database_url: str
) -> None:
    """Both saw it waiting; whoever said no must not believe that it was heard."""
    await say(http, careful, {"tool_calls": [SEARCH]}, {"text": "Thanks."})
    approval = await waiting(http, careful)
    path = f"/v1/approvals/{approval['id']}"
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("SELECT 1 FROM conversations WHERE id = %s FOR UPDATE", [approval["conversation_id"]])
        answers = [asyncio.create_task(http.post(f"{path}/{answer}")) for answer in ("approve", "deny")]
        await waiting_for_locks(database_url, 2)
    codes = sorted([(await answer).status_code for answer in answers])
    assert codes == [200, 409]
    answered = (await http.get(path)).json()["answered_by_run_id"]
    assert (await engine.ended(answered)).stop_reason == "end_turn"


async def waiting_for_locks(database_url: str, number: int) -> None:
    async with asyncio.timeout(10), await psycopg.AsyncConnection.connect(database_url, autocommit=True) as watcher:
        while True:
            found = await watcher.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if len(await found.fetchall()) >= number:
                return
            await asyncio.sleep(0.02)
