"""The agents of `examples/`: applied from their files, then run with a scripted model."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from o.cli.app import main
from o.embedded.layout import Layout
from tests.support.sandbox import started
from tests.support.servers import Platform

EXAMPLES = Path(__file__).parents[2] / "examples"
Turn = dict[str, Any]


class Applied:
    """An example that was applied, and the API to talk to its agents."""

    def __init__(self, http: httpx.Client, project: str) -> None:
        self.http = http
        self.project = project

    def agent(self, name: str) -> dict[str, Any]:
        found = [
            agent
            for agent in self.http.get("/v1/agents/", params={"name": name}).json()
            if agent["metadata"].get("o.apply") == self.project
        ]
        assert len(found) == 1
        agent: dict[str, Any] = found[0]
        return agent

    def send(self, name: str, *turns: Turn) -> list[dict[str, Any]]:
        """Let the model play these turns; the messages that come back."""
        return self.post(name, {"messages": [{"role": "user", "content": json.dumps({"turns": turns})}]})

    def post(self, name: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        answer = self.http.post(f"/v1/agents/{self.agent(name)['id']}/messages", json=body)
        assert answer.is_success, answer.text
        messages: list[dict[str, Any]] = answer.json()["messages"]
        return messages

    def block(self, name: str, label: str) -> str:
        return str({block["label"]: block["value"] for block in self.agent(name)["blocks"]}[label])


def run(capsys: pytest.CaptureFixture[str], *line: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(line))
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture(scope="module")
def sandbox(layout: Layout) -> Iterator[None]:
    """The executor where the platform's worker looks for it."""
    with started(path=layout.data_dir / "run" / "sandbox.sock"):
        yield


@pytest.fixture
def applied(
    request: pytest.FixtureRequest,
    platform: Platform,
    sandbox: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Applied]:
    """The example that the test is named for, applied; the second time there is nothing to do."""
    monkeypatch.setenv("O_BASE_URL", platform.url)
    monkeypatch.delenv("O_API_KEY", raising=False)
    name = request.node.name.removeprefix("test_")
    line = ("apply", str(EXAMPLES / f"{name}.py"), "--yes", "--model", "scripted/json", "--project", name)
    code, _, err = run(capsys, *line)
    assert code == 0, err
    code, out, err = run(capsys, *line)
    assert (code, out.splitlines()[-1]) == (0, "Nothing to do."), out + err
    with httpx.Client(base_url=platform.url, timeout=60) as http:
        yield Applied(http, name)


def calls(*named: tuple[str, dict[str, Any]]) -> Turn:
    return {"tool_calls": [{"name": name, "arguments": arguments} for name, arguments in named]}


def say(text: str) -> Turn:
    return {"text": text}


def returns(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What tools returned: status and text."""
    return [(each["status"], each["tool_return"]) for each in messages if each["message_type"] == "tool_return_message"]


def test_companion(applied: Applied) -> None:
    messages = applied.send(
        "Companion",
        calls(("memory_replace", {"label": "human", "old_string": "Nothing is known yet.", "new_string": "Is Ada."})),
        calls(("memory_insert", {"label": "promises", "new_string": "Ask about the garden."})),
        say("Nice to meet you, Ada."),
    )
    assert [status for status, _ in returns(messages)] == ["success", "success"]
    assert messages[-1]["content"] == "Nice to meet you, Ada."
    assert applied.block("Companion", "human") == "Is Ada."
    assert applied.block("Companion", "promises") == "Ask about the garden."


def test_tool_builder(applied: Applied) -> None:
    code = "def double(n):\n    return 2 * n\nprint(double(21))"
    messages = applied.send(
        "Tool Builder",
        calls(("check_python", {"code": code})),
        calls(("run_code", {"code": code, "language": "python"})),
        say("It works."),
    )
    assert returns(messages) == [("success", "valid; it defines double")]
    asked = messages[-1]
    assert asked["message_type"] == "approval_request_message"
    assert asked["tool_call"]["name"] == "run_code"
    answer = {"type": "approval", "tool_call_id": asked["tool_call"]["tool_call_id"], "approve": True}
    messages = applied.post("Tool Builder", {"messages": [{"type": "approval", "approvals": [answer]}]})
    ((status, returned),) = returns(messages)
    assert status == "success" and "42" in returned
    assert messages[-1]["content"] == "It works."


def test_researcher(applied: Applied) -> None:
    kept = 'Moss needs no roots\nSource: moss.example <https://moss.example/a>\n"without roots"'
    given = {"url": "https://moss.example/a", "claim": "Moss needs no roots", "quote": "without roots"}
    messages = applied.send(
        "Researcher",
        calls(("fetch_webpage", {"url": "http://169.254.169.254/latest/meta-data"})),
        calls(("finding", given)),
        calls(("archival_memory_insert", {"content": kept, "tags": ["moss"]})),
        calls(("archival_memory_search", {"query": "moss roots"})),
        say("Moss lives without roots."),
    )
    fetched, found, _, searched = returns(messages)
    assert fetched[0] == "error"
    assert found == ("success", kept)
    assert searched[0] == "success" and "moss.example" in searched[1]
    assert messages[-1]["content"] == "Moss lives without roots."


def test_pair(applied: Applied) -> None:
    critic = applied.agent("Critic")["id"]
    assert applied.block("Writer", "team") == f"The critic is {critic}."
    applied.http.patch(f"/v1/agents/{critic}", json={"model": "scripted/echo"}).raise_for_status()
    messages = applied.send(
        "Writer",
        calls(
            ("send_message_to_agent_and_wait_for_reply", {"message": "My draft: rain.", "other_agent_id": critic}),
        ),
        say("Rain falls."),
    )
    ((status, reply),) = returns(messages)
    assert status == "success" and "My draft: rain." in reply
    assert messages[-1]["content"] == "Rain falls."


def test_reporter(applied: Applied) -> None:
    report = {"label": "report", "old_string": "No report yet.", "new_string": "Two, rising."}
    messages = applied.send(
        "Reporter",
        calls(("conversation_search", {"query": "number"})),
        calls(("summarise", {"numbers": [1, 3]})),
        calls(("memory_replace", report)),
        say("Two, rising."),
    )
    _, summed, written = returns(messages)
    assert summed[0] == "success" and '"trend": "rising"' in summed[1].replace("'", '"')
    assert written[0] == "success"
    assert applied.block("Reporter", "report") == "Two, rising."
