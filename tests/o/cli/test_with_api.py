"""The client commands against a real API and worker; the model is the scripted one, which repeats what it hears."""

import io
import json

import pytest

from o.cli.app import main
from tests.support.servers import Platform

NAME = "Terminal Tester"


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture
def agent(platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("O_BASE_URL", platform.url)
    monkeypatch.delenv("O_API_KEY", raising=False)
    code, out, err = _run(capsys, "agents", "create", NAME, "--model", "scripted/echo", "--human", "Ada", "--json")
    assert code == 0, err
    return str(json.loads(out)["id"])


def test_agents_are_listed_shown_and_removed(agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert agent in _run(capsys, "agents", "ls")[1]
    shown = _run(capsys, "agents", "show", agent)[1]
    assert "scripted/echo" in shown and "Ada" in shown
    assert json.loads(_run(capsys, "agents", "show", agent, "--json")[1])["name"] == NAME
    assert _run(capsys, "agents", "rm", agent, "--yes")[0] == 0
    code, _, err = _run(capsys, "agents", "show", agent)
    assert code == 1
    assert err.startswith("o: ")


def test_an_unknown_or_ambiguous_name_is_told(agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "o agents ls" in _run(capsys, "chat", "nobody of this name", "-m", "hi")[2]
    _run(capsys, "agents", "create", NAME, "--model", "scripted/echo")
    assert "several agents" in _run(capsys, "chat", NAME, "-m", "hi")[2]


def test_a_chat_streams_and_its_run_can_be_read(agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run(capsys, "chat", agent, "-m", "good morning")
    assert code == 0, err
    assert "good morning" in out
    whole = json.loads(_run(capsys, "chat", agent, "-m", "once more", "--json")[1])
    assert whole["stop_reason"]["stop_reason"] == "end_turn"
    runs = json.loads(_run(capsys, "runs", "ls", "--agent", agent, "--json")[1])
    assert [run["status"] for run in runs] == ["completed", "completed"]
    assert runs[0]["id"] in _run(capsys, "runs", "ls", "--agent", agent)[1]
    shown = _run(capsys, "runs", "show", runs[0]["id"])[1]
    assert "step 0: scripted/echo" in shown and "end_turn" in shown and "AgentRunId" in shown
    assert len(json.loads(_run(capsys, "runs", "show", runs[0]["id"], "--json")[1])["steps"]) == 1
    code, _, err = _run(capsys, "runs", "cancel", runs[0]["id"])
    assert code == 1 and "has ended already (completed)" in err


def test_every_line_of_a_pipe_is_a_message(
    agent: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("first line\n\nsecond line\n"))
    code, out, err = _run(capsys, "chat", agent)
    assert code == 0, err
    assert out.index("first line") < out.index("second line")


def test_the_openapi_document_is_printed(agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "/v1/agents/" in json.loads(_run(capsys, "openapi")[1])["paths"]
