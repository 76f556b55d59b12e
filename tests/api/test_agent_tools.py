"""The tools of one agent: attached, guarded, and run by hand."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from activities.tool_runs import ToolRunner
from o import ids
from o.domain.messages import ToolReturn
from o.domain.tool_run import ToolRunRequest
from tests.api.test_tools import DICE, HELLO, put

SDK = {"X-Stainless-Package-Version": "1.12.1"}


class Recorder:
    """Answers every run and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ToolRunRequest]] = []

    async def run(self, org_id: str, asked: ToolRunRequest) -> ToolReturn:
        self.asked.append((org_id, asked))
        if asked.arguments.get("name") == "nobody":
            return ToolReturn("x", "Error executing function hello: ValueError: no", "error", stderr=("Traceback",))
        return ToolReturn("x", "Hello", stdout=("said",), stderr=("warned",))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def tool_runner(recorder: Recorder) -> ToolRunner:
    return recorder


async def attached(http: httpx.AsyncClient, agent_id: str, **params: Any) -> list[str]:
    answer = await http.get(f"/v1/agents/{agent_id}/tools", params=params)
    assert answer.status_code == 200, answer.text
    return [tool["name"] for tool in answer.json()]


async def guarded(http: httpx.AsyncClient, agent_id: str) -> list[str]:
    rules = (await http.get(f"/v1/agents/{agent_id}")).json()["tool_rules"]
    return [rule["tool_name"] for rule in rules if rule["type"] == "requires_approval"]


async def test_tools_are_attached_and_detached_any_number_of_times(http: httpx.AsyncClient, agent_id: str) -> None:
    tool = await put(http)
    before = await attached(http, agent_id)
    path = f"/v1/agents/{agent_id}/tools"
    for _ in range(2):
        state = (await http.patch(f"{path}/attach/{tool['id']}")).json()
        assert [each["name"] for each in state["tools"]].count("roll_dice") == 1
    quiet = await http.patch(f"{path}/attach/{tool['id']}", headers=SDK)
    assert (quiet.status_code, quiet.content) == (200, b"null")
    assert set(await attached(http, agent_id)) == {*before, "roll_dice"}
    for _ in range(2):
        state = (await http.patch(f"{path}/detach/{tool['id']}")).json()
        assert "roll_dice" not in {each["name"] for each in state["tools"]}
    for unknown in (f"{path}/attach/{ids.new('tool')}", f"{path}/detach/{ids.new('tool')}"):
        assert (await http.patch(unknown)).status_code == 404
    stranger = f"/v1/agents/{ids.new('agent')}/tools"
    for refused in (
        await http.patch(f"{stranger}/attach/{tool['id']}"),
        await http.patch(f"{stranger}/detach/{tool['id']}"),
        await http.get(stranger),
    ):
        assert refused.status_code == 404 and "Agent not found" in refused.json()["detail"]


async def test_attached_tools_come_in_pages_of_ten(http: httpx.AsyncClient, agent_id: str) -> None:
    for number in range(12):
        tool = await put(http, HELLO.replace("hello", f"hello_{number:02}"))
        await http.patch(f"/v1/agents/{agent_id}/tools/attach/{tool['id']}")
    path = f"/v1/agents/{agent_id}/tools"
    first = (await http.get(path)).json()
    assert [tool["name"] for tool in first] == [f"hello_{number:02}" for number in range(11, 1, -1)]
    rest = (await http.get(path, params={"after": first[-1]["id"]})).json()
    assert [tool["name"] for tool in rest][:2] == ["hello_01", "hello_00"]
    assert (await http.get(path, params={"after": rest[-1]["id"]})).json() == []
    assert await attached(http, agent_id, before=rest[0]["id"], limit=1) == ["hello_02"]
    assert (await attached(http, agent_id, order="asc", limit=100))[-1] == "hello_11"
    assert (await http.get(path, params={"after": ids.new("tool")})).status_code == 404


async def test_a_tool_that_asks_by_default_asks_once_attached(http: httpx.AsyncClient, agent_id: str) -> None:
    tool = await put(http, default_requires_approval=True)
    for _ in range(2):
        await http.patch(f"/v1/agents/{agent_id}/tools/attach/{tool['id']}")
    assert await guarded(http, agent_id) == ["roll_dice"]


async def test_approval_is_asked_for_by_body_or_query(http: httpx.AsyncClient, agent_id: str) -> None:
    path = f"/v1/agents/{agent_id}/tools/approval/conversation_search"
    quiet = await http.patch(path, json={"requires_approval": True}, headers=SDK)
    assert (quiet.status_code, quiet.content) == (200, b"null")
    state = (await http.patch(path, params={"requires_approval": True})).json()
    assert [rule["type"] for rule in state["tool_rules"]].count("requires_approval") == 1
    assert await guarded(http, agent_id) == ["conversation_search"]
    # The body counts where both are given.
    await http.patch(path, params={"requires_approval": True}, json={"requires_approval": False})
    assert await guarded(http, agent_id) == []
    for body in ({}, {"requires_approval": None}):
        refused = await http.patch(path, json=body)
        assert refused.status_code == 400 and "requires_approval: say true or false" in refused.json()["detail"]
    misspelt = path.replace("conversation_search", "conversation_serch")
    refused = await http.patch(misspelt, json={"requires_approval": True})
    assert refused.status_code == 404 and "'conversation_serch' is not attached" in refused.json()["detail"]
    assert (await http.patch(misspelt, json={"requires_approval": False})).status_code == 200


async def test_an_agents_tool_is_run_by_hand(
    http: httpx.AsyncClient, agent_id: str, recorder: Recorder, app: FastAPI
) -> None:
    more = {"pip_requirements": [{"name": "numpy", "version": "2.3.1"}], "return_char_limit": 77}
    tool = await put(http, HELLO, sandbox={"timeout": 7, "network": ["x.test"]}, **more)
    path = f"/v1/agents/{agent_id}/tools"
    await http.patch(f"{path}/attach/{tool['id']}")
    answer = await http.post(f"{path}/hello/run", json={"args": {"name": "Ada"}})
    assert answer.json() == {
        "status": "success",
        "func_return": "Hello",
        "stdout": ["said"],
        "stderr": ["warned"],
        "agent_state": None,
        "sandbox_config_fingerprint": None,
    }
    ((org_id, asked),) = recorder.asked
    assert org_id == ids.DEFAULT_ORG
    assert (asked.tool_id, asked.agent_id, asked.function, asked.source) == (tool["id"], agent_id, "hello", HELLO)
    assert (asked.arguments, asked.requirements, asked.return_char_limit) == ({"name": "Ada"}, ("numpy==2.3.1",), 77)
    assert (asked.limits.timeout, asked.limits.network) == (7, ("x.test",))
    failed = (await http.post(f"{path}/hello/run", json={"args": {"name": "nobody"}})).json()
    assert (failed["status"], failed["func_return"]) == ("error", None)
    assert failed["stderr"] == ["Traceback", "Error executing function hello: ValueError: no"]
    assert (await http.post(f"{path}/memory_insert/run", json={})).status_code == 200
    assert recorder.asked[-1][1].tool_type.startswith("letta_") and recorder.asked[-1][1].source == ""


async def test_only_attached_tools_are_run(http: httpx.AsyncClient, agent_id: str, recorder: Recorder) -> None:
    await put(http, DICE)
    refused = await http.post(f"/v1/agents/{agent_id}/tools/roll_dice/run", json={"args": {}})
    assert refused.status_code == 404 and "'roll_dice' is not attached" in refused.json()["detail"]
    assert (await http.post(f"/v1/agents/{ids.new('agent')}/tools/roll_dice/run", json={})).status_code == 404
    assert recorder.asked == []
