"""Messages over HTTP: awaited, streamed, left to run; listed, cancelled, refused."""

import json
from typing import Any

import httpx
import pytest

from api import streaming
from o.domain.json import JsonObject
from o.store.session import Store
from tests.emulators.openai_server import Emulator
from tests.support.engine import Engine, script


def events_of(text: str) -> list[JsonObject | str]:
    """The data of server-sent events, in order; an event with a name is prefixed by it."""
    found: list[Any] = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        if lines["data"] == "[DONE]":
            found.append("DONE")
            continue
        data = json.loads(lines["data"])
        found.append({**data, "event": lines["event"]} if "event" in lines else data)
    return found


def kinds(events: list[JsonObject | str]) -> list[str]:
    return [event if isinstance(event, str) else str(event["message_type"]) for event in events]


async def test_an_answer_is_awaited(http: httpx.AsyncClient, agent_id: str) -> None:
    answer = await http.post(f"/v1/agents/{agent_id}/messages", json={"input": "Hello"})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    (said,) = body["messages"]
    assert said["content"] == "You said: Hello"
    assert said["run_id"].startswith("run-")
    assert said["step_id"].startswith("step-")
    assert body["stop_reason"] == {"message_type": "stop_reason", "stop_reason": "end_turn"}
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] == 3
    assert body["usage"]["step_count"] == 1


async def test_a_stream_of_whole_messages(http: httpx.AsyncClient, agent_id: str) -> None:
    answer = await http.post(f"/v1/agents/{agent_id}/messages", json={"input": "Hi", "streaming": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer.text)
    assert kinds(events) == ["ping", "assistant_message", "stop_reason", "usage_statistics", "DONE"]
    assert events[0]["run_id"] == events[1]["run_id"]  # type: ignore[index]
    assert events[1]["seq_id"] is None  # type: ignore[index]


async def test_a_stream_of_tokens_shows_each_text_once(http: httpx.AsyncClient, agent_id: str) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream_tokens": True, "include_pings": False}
    events = events_of((await http.post(f"/v1/agents/{agent_id}/messages/stream", json=body)).text)
    assert kinds(events)[-3:] == ["stop_reason", "usage_statistics", "DONE"]
    assert set(kinds(events)[:-3]) == {"assistant_message"}
    deltas = [event for event in events[:-3] if isinstance(event, dict)]
    assert "".join(delta["content"] for delta in deltas) == "You said: Hi"
    listed = (await http.get(f"/v1/agents/{agent_id}/messages")).json()
    assert {delta["id"] for delta in deltas} == {listed[-1]["id"]}
    assert {delta["otid"] for delta in deltas} == {listed[-1]["otid"]}


async def test_a_background_stream_is_replayed_from_a_number(http: httpx.AsyncClient, agent_id: str) -> None:
    body = {"input": "Hi", "stream_tokens": True, "background": True, "include_pings": False}
    first = events_of((await http.post(f"/v1/agents/{agent_id}/messages/stream", json=body)).text)
    numbers = [event["seq_id"] for event in first if isinstance(event, dict)]
    assert numbers == sorted(set(numbers))
    run_id = first[0]["run_id"]  # type: ignore[index]
    for count, number in enumerate(numbers):
        again = {"starting_after": number, "include_pings": False}
        replay = events_of((await http.post(f"/v1/runs/{run_id}/stream", json=again)).text)
        assert replay == first[count + 1 :]


async def test_a_repeated_otid_is_answered_by_the_first_run(
    http: httpx.AsyncClient, agent_id: str, engine: Engine
) -> None:
    body = {"messages": [{"role": "user", "content": "Once", "otid": "my-otid"}]}
    first = (await http.post(f"/v1/agents/{agent_id}/messages", json=body)).json()
    again = (await http.post(f"/v1/agents/{agent_id}/messages", json=body)).json()
    assert first == again
    assert engine.requests() == 1


async def test_an_idempotency_key_holds_for_one_body(http: httpx.AsyncClient, agent_id: str, engine: Engine) -> None:
    url, key = f"/v1/agents/{agent_id}/messages", {"Idempotency-Key": "k1"}
    first = (await http.post(url, json={"input": "Once"}, headers=key)).json()
    assert (await http.post(url, json={"input": "Once"}, headers=key)).json() == first
    other = await http.post(url, json={"input": "Else"}, headers=key)
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["detail"]
    assert engine.requests() == 1


async def test_a_retry_of_the_library_attaches_to_its_run(
    http: httpx.AsyncClient, agent_id: str, engine: Engine
) -> None:
    url = f"/v1/agents/{agent_id}/messages"
    first = (await http.post(url, json={"input": "Once"})).json()
    again = await http.post(url, json={"input": "Once"}, headers={"x-stainless-retry-count": "1"})
    assert again.json() == first
    assert engine.requests() == 1


async def test_a_run_left_alone_is_asked_about_later(http: httpx.AsyncClient, agent_id: str, engine: Engine) -> None:
    run = (await http.post(f"/v1/agents/{agent_id}/messages/async", json={"input": "Hi"})).json()
    assert run["background"] is True
    assert run["metadata"]["run_type"] == "send_message_async"
    await engine.ended(run["id"])
    run = (await http.get(f"/v1/runs/{run['id']}")).json()
    assert (run["status"], run["stop_reason"]) == ("completed", "end_turn")
    messages = (await http.get(f"/v1/runs/{run['id']}/messages")).json()
    assert [message["message_type"] for message in messages] == ["user_message", "assistant_message"]
    assert (await http.get(f"/v1/runs/{run['id']}/usage")).json()["completion_tokens"] == 3
    (step,) = (await http.get(f"/v1/runs/{run['id']}/steps")).json()
    assert (await http.get(f"/v1/steps/{step['id']}")).json() == step
    assert [m["id"] for m in (await http.get(f"/v1/steps/{step['id']}/messages")).json()] == [messages[1]["id"]]
    assert (await http.get(f"/v1/steps/{step['id']}/metrics")).json()["step_ns"] > 0
    assert (await http.get(f"/v1/runs/{run['id']}/metrics")).json()["num_steps"] == 1
    assert (await http.get("/v1/steps/", params={"agent_id": agent_id})).json() == [step]
    assert (await http.delete(f"/v1/runs/{run['id']}")).json() is None
    assert (await http.get(f"/v1/runs/{run['id']}")).status_code == 404


async def test_a_callback_nobody_would_call_is_refused(http: httpx.AsyncClient, agent_id: str) -> None:
    body = {"input": "Hi", "callback_url": "https://example.com/done"}
    answer = await http.post(f"/v1/agents/{agent_id}/messages/async", json=body)
    assert answer.status_code == 400
    assert "callback_url" in answer.json()["detail"]
    assert "GET /v1/runs/" in answer.json()["detail"]
    assert (await http.get("/v1/runs/")).json() == []


async def test_a_run_whose_events_are_gone_is_answered_from_its_messages(
    http: httpx.AsyncClient, agent_id: str, store: Store
) -> None:
    url, key = f"/v1/agents/{agent_id}/messages", {"Idempotency-Key": "k"}
    first = (await http.post(url, json={"input": "Hi"}, headers=key)).json()
    streamed = await http.post(f"{url}/stream", json={"input": "Hi", "background": True})
    run_id = events_of(streamed.text)[0]["run_id"]  # type: ignore[index]
    assert (await http.post(f"/v1/runs/{run_id}/stream")).status_code == 200
    async with store.transaction() as tx:
        assert await tx.events.prune(older_than=-1) > 0
    gone = await http.post(f"/v1/runs/{run_id}/stream")
    assert gone.status_code == 410
    assert "no longer kept" in gone.json()["detail"]
    again = (await http.post(url, json={"input": "Hi"}, headers=key)).json()
    assert (again["stop_reason"], again["usage"]) == (first["stop_reason"], first["usage"])
    assert [(m["id"], m["content"]) for m in again["messages"]] == [(m["id"], m["content"]) for m in first["messages"]]


async def test_a_silent_stream_is_kept_alive(
    http: httpx.AsyncClient, actor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PING_EVERY", 0.2)
    body: JsonObject = {"input": script({"text": "At last.", "delay": 1.5})}
    events = events_of((await http.post(f"/v1/agents/{actor}/messages/stream", json=body)).text)
    pings = [event for event in events if isinstance(event, dict) and event["message_type"] == "ping"]
    assert len(pings) > 3
    assert len({event["id"] for event in pings}) == len(pings)
    body["include_pings"] = False
    assert "ping" not in kinds(events_of((await http.post(f"/v1/agents/{actor}/messages/stream", json=body)).text))


async def test_pages_of_messages(http: httpx.AsyncClient, agent_id: str) -> None:
    for number in range(3):
        await http.post(f"/v1/agents/{agent_id}/messages", json={"input": f"Message {number}"})
    url = f"/v1/agents/{agent_id}/messages"
    whole = (await http.get(url)).json()
    assert [message["message_type"] for message in whole] == [
        "system_message",
        *(["user_message", "assistant_message"] * 3),
    ]
    newest = (await http.get(url, params={"limit": 2})).json()
    assert newest == whole[-2:]  # the newest, the older of them first
    assert (await http.get(url, params={"limit": 2, "order": "asc"})).json() == whole[:2]
    assert (await http.get(url, params={"after": whole[2]["id"], "order": "asc"})).json() == whole[3:]
    assert (await http.get(url, params={"before": whole[2]["id"]})).json() == whole[:2]
    assert (await http.get(url, params={"after": whole[-1]["id"]})).json() == []
    only = {"include_return_message_types": "assistant_message"}
    assert len((await http.get(url, params=only)).json()) == 3


async def test_a_failed_model_is_a_status_that_forbids_a_retry(http: httpx.AsyncClient, actor: str) -> None:
    url, failing = f"/v1/agents/{actor}/messages", {"input": script({"error": "llm_authentication"})}
    answer = await http.post(url, json=failing)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "llm_authentication"
    assert answer.headers["x-should-retry"] == "false"
    events = events_of((await http.post(f"{url}/stream", json=failing)).text)
    assert kinds(events) == ["ping", "stop_reason", "error_message", "DONE"]
    assert events[2]["event"] == "error"  # type: ignore[index]
    assert (await http.post(url, json={"input": script({"text": "Better."})})).status_code == 200


@pytest.mark.parametrize(
    ("code", "status"), [("llm_refused", 400), ("llm_unknown_model", 404), ("llm_bad_request", 400)]
)
async def test_what_a_model_refuses_is_no_fault_of_the_server(
    http: httpx.AsyncClient, actor: str, code: str, status: int
) -> None:
    answer = await http.post(f"/v1/agents/{actor}/messages", json={"input": script({"error": code})})
    assert answer.status_code == status
    assert answer.json()["error"] == {"type": "llm_error", "message": "the script says so", "detail": None}


async def test_a_model_whose_provider_is_gone_is_named(http: httpx.AsyncClient) -> None:
    await http.put("/v1/aliases/", json={"handle": "team/fast", "targets": ["scripted/echo"]})
    agent = (await http.post("/v1/agents/", json={"model": "team/fast"})).json()["id"]
    await http.delete("/v1/aliases/", params={"handle": "team/fast"})
    answer = await http.post(f"/v1/agents/{agent}/messages", json={"input": "Hello"})
    assert answer.status_code == 404
    assert "there is no provider 'team'" in answer.json()["error"]["message"]


async def test_cancelling_says_what_could_be_cancelled(http: httpx.AsyncClient, actor: str, engine: Engine) -> None:
    url, slow = f"/v1/agents/{actor}/messages", {"input": script({"text": "never said", "delay": 60})}
    assert (await http.post(f"{url}/cancel")).status_code == 409
    first = (await http.post(f"{url}/async", json=slow)).json()["id"]
    second = (await http.post(f"{url}/async", json={**slow, "max_steps": 2})).json()["id"]
    assert (await http.post(f"{url}/cancel")).json() == {first: "cancelled", second: "cancelled"}
    for run_id in (first, second):
        assert (await engine.ended(run_id)).status == "cancelled"
    assert (await http.get("/v1/runs/", params={"agent_id": actor, "active": True})).json() == []
    again = await http.post(f"{url}/cancel", json={"run_ids": [first, "run-nowhere"]})
    assert again.json() == {first: "failed", "run-nowhere": "failed"}
    assert engine.requests() <= 1  # the second was never started
    answer = await http.post(url, json={"input": script({"text": "Here again."})})
    assert answer.json()["messages"][0]["content"] == "Here again."


async def test_a_busy_conversation_refuses_where_an_agent_queues(
    http: httpx.AsyncClient, actor: str, engine: Engine
) -> None:
    made = await http.post("/v1/conversations/", params={"agent_id": actor})
    thread = made.json()["id"]
    body = {"input": script({"text": "Hello."}), "streaming": False}
    said = await http.post(f"/v1/conversations/{thread}/messages", json=body)
    assert said.json()["messages"][0]["content"] == "Hello."
    listed = (await http.get(f"/v1/conversations/{thread}/messages")).json()
    assert [message["message_type"] for message in listed] == ["assistant_message", "user_message", "system_message"]
    slow = {"input": script({"text": "never said", "delay": 60})}
    running = (await http.post(f"/v1/agents/{actor}/messages/async", json=slow)).json()["id"]
    busy = await http.post(f"/v1/conversations/{actor}/messages", json={"input": "Hi"})
    assert busy.status_code == 409
    assert busy.json()["run_id"] == running
    assert "is currently being processed for this conversation" in busy.json()["detail"]
    assert (await http.post(f"/v1/conversations/{actor}/cancel")).json() == {running: "cancelled"}
    await engine.ended(running)
    assert (await http.get("/v1/conversations/", params={"agent_id": actor})).json()[0]["id"] == thread
    assert (await http.get(f"/v1/conversations/{thread}")).json()["agent_id"] == actor


async def test_a_vendor_is_asked_over_its_own_wire(http: httpx.AsyncClient, agent_id: str, vendor: Emulator) -> None:
    moved = await http.patch(f"/v1/agents/{agent_id}", json={"model": "openai/gpt-4o-mini"})
    assert moved.status_code == 200
    answer = await http.post(f"/v1/agents/{agent_id}/messages", json={"input": "Hello"})
    assert answer.json()["messages"][0]["content"].endswith("Hello")
    assert vendor.requests[-1]["model"] == "gpt-4o-mini"


_WHAT_CANNOT_BE_SENT: list[tuple[JsonObject, str]] = [
    ({}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "user", "content": "x"}], "input": "x"}, "messages"),
    ({"input": 5}, "input"),
    ({"input": []}, "input"),
    ({"input": "a\u0000b"}, "NUL"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "role"),
    ({"messages": [{"role": "user"}]}, "content"),
    ({"messages": [{"role": "user", "content": "x"}, {"type": "approval", "approvals": []}]}, "approvals"),
    ({"messages": [{"type": "approval"}]}, "approvals"),
    ({"messages": [{"type": "nonsense"}]}, "messages.0"),
    ({"input": "x", "max_steps": 0}, "max_steps"),
    ({"input": "x", "max_steps": "3"}, "max_steps"),
    ({"input": "x", "stream_tokens": True}, "stream_tokens"),
    ({"input": "x", "background": True}, "background"),
    ({"input": "x", "include_pings": False}, "include_pings"),
    ({"input": "x", "client_tools": [{"name": "no spaces please"}]}, "client_tools"),
    ({"input": [{"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}}]}, "url"),
]


async def test_what_cannot_be_sent(http: httpx.AsyncClient, agent_id: str) -> None:
    for body, says in _WHAT_CANNOT_BE_SENT:
        answer = await http.post(f"/v1/agents/{agent_id}/messages", json=body)
        assert answer.status_code == 422, answer.text
        assert says in answer.json()["detail"]
        assert isinstance(answer.json()["trace_id"], str)
        assert (await http.get("/v1/runs/", params={"agent_id": agent_id})).json() == []


_WHAT_IS_REFUSED_ON_SECOND_SIGHT: list[tuple[JsonObject, int]] = [
    ({"messages": [{"type": "approval", "approvals": [{"tool_call_id": "c", "approve": True}]}]}, 400),
    ({"messages": [{"type": "tool_return", "tool_returns": [{"tool_call_id": "c", "tool_return": "x"}]}]}, 400),
    ({"input": "x", "override_model": "scripted/unknown"}, 404),
    ({"input": "x", "override_model": "noslash"}, 400),
]


async def test_what_is_refused_on_second_sight(http: httpx.AsyncClient, agent_id: str) -> None:
    for body, status in _WHAT_IS_REFUSED_ON_SECOND_SIGHT:
        answer = await http.post(f"/v1/agents/{agent_id}/messages", json=body)
        assert answer.status_code == status, answer.text
        assert (await http.get("/v1/runs/", params={"agent_id": agent_id})).json() == []
