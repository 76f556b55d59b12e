"""Code run by hand: once, unseen by the engine's history, and ended when its client leaves."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import httpx
import psycopg
import pytest

import api.tool_runs
from activities.tool_runs import ToolRunner
from o.domain.messages import ToolReturn
from o.domain.tool_run import ToolRunRequest
from o.errors import InvalidArgument
from tests.api.test_tools import GREET, HELLO, TYPESCRIPT
from tests.support.engine import Engine

SECRET = "hunter2-hunter2"


class Actor:
    """Does what the argument `do` says."""

    def __init__(self) -> None:
        self.asked: list[ToolRunRequest] = []
        self.began, self.stopped = asyncio.Event(), asyncio.Event()

    async def run(self, org_id: str, asked: ToolRunRequest) -> ToolReturn:
        self.asked.append(asked)
        match asked.arguments.get("do"):
            case "hang":
                self.began.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    self.stopped.set()
            case "refuse":
                raise InvalidArgument("pip_requirements: there is no package 'nmupy'")
            case "break":
                raise RuntimeError(f"broken {SECRET}")
            case "fail":
                return ToolReturn("x", "Error executing function hello: ValueError: no", "error", stderr=("Trace\0",))
            case _:
                return ToolReturn("x", f"Hello {asked.environment.get('WHO')} \udcff\0", stdout=("out",))
        raise AssertionError


@pytest.fixture
def actor_of_tools() -> Actor:
    return Actor()


@pytest.fixture
def tool_runner(actor_of_tools: Actor) -> ToolRunner | None:
    return actor_of_tools


async def run(http: httpx.AsyncClient, source: str = HELLO, **more: Any) -> httpx.Response:
    return await http.post("/v1/tools/run", json={"source_code": source, "args": {}, **more})


def rows(database_url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as owner:
        return owner.execute("SELECT request, result FROM tool_runs").fetchall()


async def test_code_is_run_once_and_nothing_of_it_stays(
    http: httpx.AsyncClient, actor_of_tools: Actor, engine: Engine, database_url: str
) -> None:
    body: dict[str, Any] = {
        "args": {"name": SECRET},
        "env_vars": {"WHO": "Ada"},
        "pip_requirements": [{"name": "numpy", "version": "2.3.1"}],
        "sandbox": {"timeout": 9},
    }
    answer = (await run(http, **body)).json()
    assert (answer["id"], answer["tool_call_id"], answer["message_type"]) == ("null", "null", "tool_return_message")
    assert (answer["status"], answer["tool_return"]) == ("success", "Hello Ada ?\0")
    assert (answer["stdout"], answer["stderr"], answer["name"]) == (["out"], [], "hello")
    (asked,) = actor_of_tools.asked
    assert (asked.source, asked.function, asked.arguments) == (HELLO, "hello", {"name": SECRET})
    assert (asked.environment, asked.requirements, asked.limits.timeout) == ({"WHO": "Ada"}, ("numpy==2.3.1",), 9)
    assert (asked.tool_id, asked.agent_id) == (None, None)
    assert rows(database_url) == []
    histories = [
        (await engine.client.get_workflow_handle(each.id).fetch_history()).to_json()
        async for each in engine.client.list_workflows("WorkflowType = 'RunTool'")
    ]
    assert SECRET not in "".join(histories) and "Ada" not in "".join(histories)


async def test_what_goes_wrong_in_a_run_is_its_answer(
    http: httpx.AsyncClient, actor_of_tools: Actor, caplog: pytest.LogCaptureFixture, database_url: str
) -> None:
    failed = await run(http, args={"do": "fail"})
    assert failed.status_code == 200 and failed.json()["status"] == "error"
    assert (failed.json()["is_err"], failed.json()["stderr"]) == (True, ["Trace\0"])
    refused = (await run(http, args={"do": "refuse"})).json()
    assert (refused["status"], refused["tool_return"]) == ("error", "pip_requirements: there is no package 'nmupy'")
    broken = (await run(http, args={"do": "break"})).json()
    assert broken["status"] == "error" and "hello ended without a result" in broken["tool_return"]
    assert len(actor_of_tools.asked) == 3, "what broke was not run again"
    assert SECRET not in caplog.text and SECRET not in json.dumps(broken)
    assert rows(database_url) == []


async def test_code_that_cannot_be_run_is_refused(http: httpx.AsyncClient, actor_of_tools: Actor) -> None:
    cases: list[tuple[str, dict[str, Any], int, str]] = [
        ("def f(:", {}, 400, "line 1"),
        ("x = 1", {}, 400, "defines no function"),
        (HELLO, {"name": "goodbye"}, 400, "no function named 'goodbye'"),
        (HELLO, {"args": [1]}, 422, "args: "),
        (HELLO, {"env_vars": {"A B": "x"}}, 422, "env_vars."),
        (HELLO, {"env_vars": {"A": "x\0"}}, 422, "env_vars.A: "),
        (HELLO, {"sandbox": {"network": ["a b"]}}, 422, "sandbox.network.0: is no host"),
        (TYPESCRIPT, {"source_type": "typescript"}, 400, "name: say which function"),
    ]
    for source, more, status, words in cases:
        answer = await run(http, source, **more)
        assert answer.status_code == status and words in answer.json()["detail"], answer.text
    assert actor_of_tools.asked == []


async def test_the_function_is_the_named_one_or_the_last(http: httpx.AsyncClient, actor_of_tools: Actor) -> None:
    bare = "def first(x): return x\ndef second(x):\n    def third(): return x\n    return third()\n"
    await run(http, bare)
    await run(http, bare, name="first")
    await run(http, bare, json_schema={"name": "first"})
    await run(http, TYPESCRIPT, source_type="typescript", json_schema=GREET)
    assert [asked.function for asked in actor_of_tools.asked] == ["second", "first", "first", "greet"]
    assert actor_of_tools.asked[-1].parameters == GREET["parameters"]


async def test_a_client_that_leaves_ends_its_run(
    http: httpx.AsyncClient, app: Any, actor_of_tools: Actor, engine: Engine, database_url: str
) -> None:
    body = json.dumps({"source_code": HELLO, "args": {"do": "hang"}}).encode()
    sent = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not sent.is_set():
            sent.set()
            return {"type": "http.request", "body": body}
        await actor_of_tools.began.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        pass

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/tools/run", "raw_path": b"/v1/tools/run"}
    scope |= {"query_string": b"", "headers": headers, "http_version": "1.1", "scheme": "http"}
    async with asyncio.timeout(30):
        await app(scope, receive, send)
        await actor_of_tools.stopped.wait()
    assert rows(database_url) == []
    assert len(actor_of_tools.asked) == 1


async def test_a_run_that_no_worker_takes_is_given_up(
    http: httpx.AsyncClient, app: Any, monkeypatch: pytest.MonkeyPatch, actor_of_tools: Actor, database_url: str
) -> None:
    """The engine takes it, but nobody who polls does."""
    monkeypatch.setattr(api.tool_runs, "_PATIENCE", 0.2)

    async def nobody(asked: object) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    monkeypatch.setattr(app.state.parts.engine, "run_tool", nobody)
    refused = await run(http)
    assert refused.status_code == 503 and "no worker took the tool" in refused.json()["detail"]
    assert actor_of_tools.asked == [] and rows(database_url) == []
