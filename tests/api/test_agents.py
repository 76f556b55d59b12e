"""Agents over HTTP: made, listed, changed, deleted, and their blocks and tools."""

import asyncio
from typing import Any

import httpx

from o.domain.json import JsonObject
from tests.support.engine import Engine, script

SDK = {"X-Stainless-Package-Version": "1.12.1"}
MISSING = "agent-00000000-0000-4000-8000-00000000dead"


async def test_a_new_agent_has_what_the_contract_says(http: httpx.AsyncClient) -> None:
    body = {
        "model": "openai/gpt-4o-mini",
        "memory_blocks": [{"label": "human", "value": "Na\u0000me: Bob"}, {"label": "notes", "value": ""}],
        "tags": ["a", "b", "a"],
        "secrets": {"KEY": "value"},
        "metadata": {"x": [1]},
        "unknown_field": True,
    }
    answer = await http.post("/v1/agents/", json=body)
    assert answer.status_code == 200, answer.text
    agent = answer.json()
    assert agent["agent_type"] == "letta_v1_agent"
    assert agent["name"].isalpha()
    assert agent["model"] == agent["llm_config"]["handle"] == "openai/gpt-4o-mini"
    assert agent["model_settings"] == {
        "provider_type": "openai",
        "max_output_tokens": 16384,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "reasoning": {"reasoning_effort": "minimal"},
        "strict": False,
        "response_format": None,
    }
    assert {block["label"]: block["value"] for block in agent["blocks"]} == {"human": "Name: Bob", "notes": ""}
    assert agent["memory"]["blocks"] == agent["blocks"]
    assert {tool["name"] for tool in agent["tools"]} == {"conversation_search", "memory_insert", "memory_replace"}
    assert agent["tags"] == ["a", "b"]
    assert [(secret["key"], secret["value"]) for secret in agent["secrets"]] == [("KEY", "value")]
    assert len(agent["message_ids"]) == 1
    assert agent["tool_rules"] == []
    assert agent["embedding"] == "local/all-minilm-l6-v2"
    assert agent["compaction_settings"]["mode"] == "sliding_window"


async def test_a_legacy_agent_speaks_by_tool_and_starts_with_a_greeting(http: httpx.AsyncClient) -> None:
    agent = (await http.post("/v1/agents/", json={"agent_type": "memgpt_v2_agent"})).json()
    assert {"tool_name": "send_message", "type": "exit_loop", "prompt_template": None} in agent["tool_rules"]
    listed = (await http.get(f"/v1/agents/{agent['id']}/messages")).json()
    assert [message["message_type"] for message in listed] == ["system_message", "assistant_message", "user_message"]
    quiet = {"agent_type": "memgpt_v2_agent", "initial_message_sequence": []}
    agent = (await http.post("/v1/agents/", json=quiet)).json()
    assert len(agent["message_ids"]) == 1


async def test_relations_are_empty_for_the_library_unless_asked_for(http: httpx.AsyncClient, agent_id: str) -> None:
    url = f"/v1/agents/{agent_id}"
    bare = (await http.get(url, headers=SDK)).json()
    assert (bare["blocks"], bare["tools"], bare["memory"]["blocks"]) == ([], [], [])
    asked = (await http.get(url, headers=SDK, params={"include": ["agent.blocks", "agent.tools"]})).json()
    assert [block["label"] for block in asked["memory"]["blocks"]] == ["human"]
    assert len(asked["tools"]) == 3
    old = (await http.get(url, headers=SDK, params={"include_relationships": ["memory"]})).json()
    assert (len(old["blocks"]), old["tools"]) == (1, [])
    assert (await http.get(url)).json()["tools"] == asked["tools"]


async def test_agents_are_listed_in_pages(http: httpx.AsyncClient) -> None:
    made = [(await http.post("/v1/agents/", json={"name": f"A {n}", "tags": [f"t{n}"]})).json()["id"] for n in range(3)]
    await http.post("/v1/agents/", json={"name": "Shy", "hidden": True})

    async def listed(**params: Any) -> list[str]:
        return [agent["id"] for agent in (await http.get("/v1/agents/", params=params)).json()]

    assert await listed() == made[::-1]
    assert await listed(order="asc") == made
    assert await listed(limit=2) == made[:0:-1]
    assert await listed(after=made[1]) == [made[0]]
    assert await listed(before=made[1]) == [made[2]]
    assert await listed(name="A 1") == [made[1]]
    assert await listed(query_text="a 2") == [made[2]]
    assert await listed(tags=["t0", "t1"]) == [made[1], made[0]]
    assert await listed(tags=["t0", "t1"], match_all_tags=True) == []
    assert len(await listed(show_hidden_agents=True)) == 4
    project = {"name": "Mine", "project_id": "p-1"}
    made.append((await http.post("/v1/agents/", json=project)).json()["id"])
    assert await listed(project_id="p-1") == made[3:]
    creator = (await http.get(f"/v1/agents/{made[0]}")).json()["created_by_id"]
    assert await listed(created_by_id=creator) == made[::-1]
    assert await listed(created_by_id="user-nobody") == []
    await http.delete(f"/v1/agents/{made[3]}")
    assert (await http.get("/v1/agents/count")).json() == 3


async def test_an_agent_is_changed_where_something_is_said(http: httpx.AsyncClient, agent_id: str) -> None:
    url = f"/v1/agents/{agent_id}"
    before = (await http.get(url)).json()
    changes = {"name": "New", "tags": ["x"], "description": None, "context_window_limit": 9000, "tool_ids": []}
    after = (await http.patch(url, json=changes)).json()
    assert (after["name"], after["tags"], after["tools"]) == ("New", ["x"], [])
    assert after["llm_config"]["context_window"] == 9000
    assert after["blocks"] == before["blocks"]
    rules = [{"type": "run_first", "tool_name": "conversation_search"}]
    moved = (await http.patch(url, json={"model": "openai/gpt-4o-mini", "tool_rules": rules * 2})).json()
    assert moved["model"] == "openai/gpt-4o-mini"
    assert len(moved["tool_rules"]) == 1
    limits = {"model_settings": {"provider_type": "openai", "max_output_tokens": 77, "temperature": 0.5}}
    limited = (await http.patch(url, json=limits)).json()
    assert limited["llm_config"]["max_tokens"] == limited["model_settings"]["max_output_tokens"] == 77
    assert (await http.patch(url, json={"max_tokens": None})).json()["llm_config"]["max_tokens"] == 16384


async def test_a_deleted_agent_is_gone_with_its_work(http: httpx.AsyncClient, actor: str, engine: Engine) -> None:
    slow = {"input": script({"text": "never said", "delay": 60})}
    run = (await http.post(f"/v1/agents/{actor}/messages/async", json=slow)).json()
    await engine.asked(1)
    answer = await http.delete(f"/v1/agents/{actor}")
    assert answer.status_code == 200
    assert "message" in answer.json()
    assert (await http.get(f"/v1/agents/{actor}")).status_code == 404
    assert (await http.delete(f"/v1/agents/{actor}")).status_code == 404
    assert (await http.get("/v1/runs/")).json() == []
    async with asyncio.timeout(20):  # it is not left waiting for the model
        await engine.client.get_workflow_handle(f"{run['id']}/step-0").result()


async def test_a_block_is_read_and_changed_by_its_label(http: httpx.AsyncClient, agent_id: str) -> None:
    url = f"/v1/agents/{agent_id}/core-memory/blocks"
    (block,) = (await http.get(url)).json()
    assert (await http.get(f"{url}/human")).json() == block
    changed = (await http.patch(f"{url}/human", json={"value": "Name: Ann", "limit": 10})).json()
    assert (changed["id"], changed["value"], changed["limit"]) == (block["id"], "Name: Ann", 10)
    (system,) = (await http.get(f"/v1/agents/{agent_id}/messages")).json()
    assert "Name: Ann" in system["content"]
    assert (await http.patch(f"{url}/human", json={})).json() == changed
    assert (await http.get(f"{url}/nothing")).status_code == 404
    assert (await http.get(f"/v1/agents/{agent_id}/core-memory")).json()["blocks"] == [changed]
    other = (await http.post("/v1/agents/", json={"block_ids": [block["id"]]})).json()
    assert [shared["id"] for shared in other["blocks"]] == [block["id"]]
    without = await http.patch(f"/v1/agents/{other['id']}/core-memory/blocks/detach/{block['id']}")
    assert without.json()["blocks"] == []
    assert (await http.patch(f"/v1/agents/{other['id']}/core-memory/blocks/detach/{block['id']}")).status_code == 404
    again = await http.patch(f"/v1/agents/{other['id']}/core-memory/blocks/attach/{block['id']}")
    assert again.json()["blocks"] == [changed]


async def test_the_tools_of_an_agent_are_paged_by_id(http: httpx.AsyncClient, agent_id: str) -> None:
    url = f"/v1/agents/{agent_id}/tools"
    tools = [tool["id"] for tool in (await http.get(url)).json()]
    assert tools == sorted(tools, reverse=True)
    page = (await http.get(url, params={"after": tools[0], "limit": 1})).json()
    assert [tool["id"] for tool in page] == tools[1:2]
    assert (await http.get(url, params={"after": tools[-1]})).json() == []
    page = (await http.get(url, params={"before": tools[2], "limit": 1})).json()
    assert [tool["id"] for tool in page] == tools[1:2]
    assert (await http.get(url, params={"after": "tool-unknown"})).status_code == 404


async def test_models_are_listed(http: httpx.AsyncClient) -> None:
    handles = [model["handle"] for model in (await http.get("/v1/models/")).json()]
    assert {"openai/gpt-4o", "scripted/echo", "scripted/json", "scripted/silent"} <= set(handles)
    only = (await http.get("/v1/models/", params={"provider_name": "openai"})).json()
    assert [model["max_context_window"] for model in only if model["name"] == "gpt-4o"] == [128_000]
    listed = {model["handle"]: model["embedding_dim"] for model in (await http.get("/v1/models/embedding")).json()}
    assert listed["openai/text-embedding-3-small"] == 1536


_AN_AGENT_THAT_CANNOT_BE_MADE: list[tuple[JsonObject, int, str]] = [
    ({"model": "noslash"}, 400, "model"),
    ({"model": "scripted/unknown"}, 404, "unknown"),
    ({"embedding": "nobody/none"}, 404, "embedding"),
    ({"name": "a/b"}, 422, "name"),
    ({"name": ""}, 422, "name"),
    ({"name": 5}, 422, "name"),
    ({"agent_type": "clever_agent"}, 422, "agent_type"),
    ({"tools": ["no_such_tool"]}, 400, "no_such_tool"),
    ({"tool_ids": ["tool-1"]}, 422, "tool_ids"),
    ({"tool_ids": ["tool-00000000-0000-4000-8000-00000000dead"]}, 400, "tool_ids"),
    ({"block_ids": ["block-00000000-0000-4000-8000-00000000dead"]}, 404, "Block not found"),
    ({"folder_ids": ["source-x"]}, 404, "folder_ids"),
    ({"identity_ids": ["identity-x"]}, 404, "identity_ids"),
    ({"memory_blocks": [{"label": "a", "value": ""}, {"label": "a", "value": ""}]}, 409, "conflict"),
    ({"memory_blocks": [{"label": "a"}]}, 422, "memory_blocks.0.value"),
    ({"memory_blocks": [{"label": "a", "value": "", "limit": -1}]}, 422, "limit"),
    ({"context_window_limit": 0}, 422, "context_window_limit"),
    ({"context_window_limit": 10**30}, 422, "context_window_limit"),
    ({"max_tokens": 10, "max_reasoning_tokens": 10}, 400, "max_reasoning_tokens"),
    ({"timezone": "Mars/Base"}, 422, "timezone"),
    ({"timezone": "../../etc/passwd"}, 422, "timezone"),
    ({"metadata": {"a\u0000": 1}}, 422, "NUL"),
    ({"metadata": [1]}, 422, "metadata"),
    ({"secrets": {"KEY": 5}}, 422, "secrets"),
    ({"tool_rules": [{"type": "run_first"}]}, 422, "tool_name"),
    ({"tool_rules": [{"type": "nonsense", "tool_name": "x"}]}, 422, "tool_rules"),
    ({"tool_rules": [{"type": "run_first", "tool_name": n} for n in ("a", "b")]}, 400, "run_first"),
    ({"agent_type": "voice_convo_agent"}, 400, "enable_sleeptime"),
    ({"enable_sleeptime": True}, 400, "enable_sleeptime"),
    ({"model_settings": {"temperature": 9}}, 422, "temperature"),
]


async def test_an_agent_that_cannot_be_made(http: httpx.AsyncClient) -> None:
    for body, status, says in _AN_AGENT_THAT_CANNOT_BE_MADE:
        answer = await http.post("/v1/agents/", json=body)
        assert answer.status_code == status, answer.text
        assert says in str(answer.json()["detail"])
        assert (await http.get("/v1/agents/count")).json() == 0


async def test_changes_that_nothing_would_come_of_are_refused(http: httpx.AsyncClient, agent_id: str) -> None:
    before = (await http.get(f"/v1/agents/{agent_id}")).json()
    for field, value in (("enable_sleeptime", True), ("message_ids", before["message_ids"])):
        answer = await http.patch(f"/v1/agents/{agent_id}", json={field: value, "name": "New"})
        assert answer.status_code == 400
        assert field in answer.json()["detail"]
    assert (await http.patch(f"/v1/agents/{agent_id}", json={"enable_sleeptime": False})).status_code == 200
    answer = await http.post(
        "/v1/conversations/", params={"agent_id": agent_id}, json={"isolated_block_labels": ["human"]}
    )
    assert answer.status_code == 400
    assert "isolated_block_labels" in answer.json()["detail"]
    allowed = await http.post("/v1/conversations/", params={"agent_id": agent_id}, json={"model": None, "hidden": True})
    assert allowed.status_code == 200


async def test_deep_documents_are_refused(http: httpx.AsyncClient) -> None:
    deep: JsonObject = {}
    for _ in range(40):
        deep = {"a": deep}
    answer = await http.post("/v1/agents/", json={"metadata": deep})
    assert answer.status_code == 422
    assert "nested" in answer.json()["detail"]


_IDS_OF_NOTHING_AND_OF_THE_WRONG_FORM: list[tuple[str, str, JsonObject]] = [
    ("GET", "/v1/agents/{bad}", {}),
    ("PATCH", "/v1/agents/{bad}", {}),
    ("DELETE", "/v1/agents/{bad}", {}),
    ("GET", "/v1/agents/{bad}/core-memory", {}),
    ("GET", "/v1/agents/{bad}/core-memory/blocks", {}),
    ("GET", "/v1/agents/{bad}/core-memory/blocks/human", {}),
    ("PATCH", "/v1/agents/{bad}/core-memory/blocks/human", {}),
    ("PATCH", "/v1/agents/{bad}/core-memory/blocks/attach/block-00000000-0000-4000-8000-00000000dead", {}),
    ("PATCH", "/v1/agents/{bad}/core-memory/blocks/detach/block-00000000-0000-4000-8000-00000000dead", {}),
    ("GET", "/v1/agents/{bad}/tools", {}),
    ("GET", "/v1/agents/{bad}/messages", {}),
    ("POST", "/v1/agents/{bad}/messages", {}),
    ("POST", "/v1/agents/{bad}/messages/stream", {}),
    ("POST", "/v1/agents/{bad}/messages/async", {}),
    ("POST", "/v1/agents/{bad}/messages/cancel", {}),
    ("GET", "/v1/conversations/{bad}", {}),
    ("GET", "/v1/conversations/{bad}/messages", {}),
    ("POST", "/v1/conversations/{bad}/messages", {}),
    ("POST", "/v1/conversations/{bad}/cancel", {}),
    ("POST", "/v1/conversations/{bad}/stream", {}),
]


async def test_ids_of_nothing_and_of_the_wrong_form(http: httpx.AsyncClient) -> None:
    for method, path, params in _IDS_OF_NOTHING_AND_OF_THE_WRONG_FORM:
        body = {"json": {"input": "x"}} if method in ("POST", "PATCH") else {}
        wrong = await http.request(method, path.format(bad="block-1"), params=params, **body)  # type: ignore[arg-type]
        assert wrong.status_code == 422, wrong.text
        assert "_id" in wrong.json()["detail"]
        absent = await http.request(method, path.format(bad=MISSING), params=params, **body)  # type: ignore[arg-type]
        assert absent.status_code == 404, absent.text
        assert "not found" in absent.json()["detail"]


_LIMITS_AND_ORDERS_OF_LISTS: list[str] = [
    "/v1/agents/",
    "/v1/runs/",
    "/v1/steps/",
    "/v1/conversations/",
    "/v1/agents/{agent}/messages",
    "/v1/agents/{agent}/tools",
    "/v1/agents/{agent}/core-memory/blocks",
    "/v1/conversations/{agent}/messages",
]


async def test_limits_and_orders_of_lists(http: httpx.AsyncClient, agent_id: str) -> None:
    for path in _LIMITS_AND_ORDERS_OF_LISTS:
        url = path.format(agent=agent_id)
        for params in ({"limit": -1}, {"limit": 0}, {"limit": "many"}, {"limit": 10**40}, {"order": "up"}):
            answer = await http.get(url, params=params)
            assert answer.status_code == 422, (params, answer.text)
            assert next(iter(params)) in answer.json()["detail"]


_CURSORS_OF_WHAT_IS_GONE: list[tuple[str, str, int]] = [
    ("/v1/agents/", MISSING, 200),
    ("/v1/runs/", "run-nowhere", 404),
    ("/v1/steps/", "step-00000000-0000-4000-8000-00000000dead", 404),
    ("/v1/agents/{agent}/messages", "message-00000000-0000-4000-8000-00000000dead", 404),
    ("/v1/agents/{agent}/core-memory/blocks", "block-nowhere", 404),
    ("/v1/conversations/{agent}/messages", "message-00000000-0000-4000-8000-00000000dead", 200),
]


async def test_cursors_of_what_is_gone(http: httpx.AsyncClient, agent_id: str) -> None:
    for path, cursor, status in _CURSORS_OF_WHAT_IS_GONE:
        for name in ("after", "before"):
            answer = await http.get(path.format(agent=agent_id), params={name: cursor})
            assert answer.status_code == status, answer.text


_OTHER_REFUSALS: list[tuple[str, str, int]] = [
    ("GET", "/v1/runs/run-nowhere", 404),
    ("DELETE", "/v1/runs/run-nowhere", 404),
    ("GET", "/v1/runs/run-nowhere/messages", 404),
    ("GET", "/v1/runs/run-nowhere/usage", 404),
    ("GET", "/v1/runs/run-nowhere/metrics", 404),
    ("GET", "/v1/runs/run-nowhere/steps", 404),
    ("POST", "/v1/runs/run-nowhere/stream", 404),
    ("GET", "/v1/runs/?statuses=nonsense", 400),
    ("GET", "/v1/runs/?stop_reason=nonsense", 422),
    ("GET", "/v1/runs/?agent_id=nonsense", 422),
    ("GET", "/v1/steps/nonsense", 422),
    ("GET", "/v1/steps/step-00000000-0000-4000-8000-00000000dead", 404),
    ("GET", "/v1/steps/step-00000000-0000-4000-8000-00000000dead/messages", 404),
    ("GET", "/v1/steps/step-00000000-0000-4000-8000-00000000dead/metrics", 404),
    ("POST", "/v1/conversations/", 422),
    ("POST", f"/v1/conversations/?agent_id={MISSING}", 404),
    ("GET", "/v1/conversations/default", 400),
    ("GET", "/v1/conversations/conv-00000000-0000-4000-8000-00000000dead", 404),
    ("GET", "/v1/nowhere", 404),
    ("PUT", "/v1/agents/", 405),
]


async def test_other_refusals(http: httpx.AsyncClient) -> None:
    for method, path, status in _OTHER_REFUSALS:
        answer = await http.request(method, path)
        assert answer.status_code == status, answer.text
        assert answer.json()["detail"]


async def test_settings_of_a_model_are_kept_in_its_vendors_words(http: httpx.AsyncClient) -> None:
    added = {"name": "claude", "provider_type": "anthropic", "api_key": "sk-ant-nobody-is-asked-with-it"}
    assert (await http.post("/v1/providers/", json=added)).status_code == 200
    settings = {
        "provider_type": "anthropic",
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "effort": "max",
        "max_output_tokens": 8000,
    }
    made = await http.post("/v1/agents/", json={"model": "claude/claude-haiku-4-5", "model_settings": settings})
    assert made.status_code == 200, made.text
    assert settings.items() <= made.json()["model_settings"].items()
    assert "reasoning" not in made.json()["model_settings"]
    moved = await http.patch(
        f"/v1/agents/{made.json()['id']}",
        json={"model": "scripted/json", "model_settings": {"seed": 7, "top_p": 0.5, "verbosity": "low"}},
    )
    assert {"seed": 7, "top_p": 0.5, "verbosity": "low"}.items() <= moved.json()["model_settings"].items()
    assert moved.json()["model_settings"]["reasoning"] == {"reasoning_effort": "minimal"}
    assert "thinking" not in moved.json()["model_settings"]


async def test_a_conversation_may_have_a_model_of_its_own(http: httpx.AsyncClient, agent_id: str) -> None:
    shared = (await http.post("/v1/conversations/", params={"agent_id": agent_id})).json()
    assert (shared["model"], shared["model_settings"]) == (None, None)
    own = (
        await http.post("/v1/conversations/", params={"agent_id": agent_id}, json={"model": "scripted/silent"})
    ).json()
    assert own["model"] == "scripted/silent"
    assert own["context_window_limit"] == 128_000
    unknown = await http.patch(f"/v1/conversations/{own['id']}", json={"model": "scripted/unknown"})
    assert unknown.status_code == 404
    # What is only set differently stays with the agent's model, whichever that is.
    tuned = await http.patch(
        f"/v1/conversations/{shared['id']}",
        json={"model_settings": {"provider_type": "openai", "temperature": 0.2}, "summary": "About tea."},
    )
    assert tuned.status_code == 200, tuned.text
    assert (tuned.json()["model"], tuned.json()["summary"]) == (None, "About tea.")
    assert tuned.json()["model_settings"] == {"provider_type": "openai", "temperature": 0.2}
    assert (await http.patch(f"/v1/agents/{agent_id}", json={"model": "scripted/silent"})).status_code == 200
    for thread in (shared, own):
        said = f"/v1/conversations/{thread['id']}/messages"
        answer = await http.post(said, json={"input": "Hello", "streaming": False})
        assert answer.status_code == 200, answer.text
        assert not any(each["message_type"] == "assistant_message" for each in answer.json()["messages"])
    moved = await http.patch(f"/v1/conversations/{own['id']}", json={"model": "scripted/echo"})
    assert moved.json()["model"] == "scripted/echo"
    answer = await http.post(f"/v1/conversations/{own['id']}/messages", json={"input": "Hello", "streaming": False})
    assert answer.json()["messages"][-1]["content"] == "You said: Hello"
