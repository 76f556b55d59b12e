"""`o approvals` and its policies against a real API."""

import json
from collections.abc import Iterator

import httpx
import pytest

from o.cli.app import main
from tests.support.engine import script
from tests.support.servers import Platform

SEARCH = {"tool_calls": [{"name": "conversation_search", "arguments": {"query": "a long lost letter"}}]}


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture
def agent(platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    monkeypatch.setenv("O_BASE_URL", platform.url)
    monkeypatch.delenv("O_API_KEY", raising=False)
    code, out, err = _run(capsys, "agents", "create", "Careful One", "--model", "scripted/json", "--json")
    assert code == 0, err
    agent_id = str(json.loads(out)["id"])
    yield agent_id
    _run(capsys, "agents", "rm", agent_id, "--yes")


def _ask(platform: Platform, agent: str) -> None:
    said = {"input": script(SEARCH, {"text": "Well."})}
    answer = httpx.post(f"{platform.url}/v1/agents/{agent}/messages", json=said, timeout=30)
    assert answer.json()["stop_reason"]["stop_reason"] == "requires_approval", answer.text


def test_a_policy_asks_and_a_person_answers(platform: Platform, agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    policies = ("approvals", "policies")
    code, out, err = _run(
        capsys, *policies, "add", "ask", "conversation_*", "--argument", "query=*lost*", "--agent", agent, "--json"
    )
    assert code == 0, err
    policy = json.loads(out)
    assert (policy["arguments"], policy["agent_id"]) == ({"query": "*lost*"}, agent)
    listed = _run(capsys, *policies, "ls", "--agent", agent)[1]
    assert policy["id"] in listed and "query: *lost*" in listed
    _ask(platform, agent)
    listed = _run(capsys, "approvals", "ls", "--agent", agent)[1]
    assert "Careful One" in listed and "a long lost letter" in listed and "7d" in listed
    [waiting] = json.loads(_run(capsys, "approvals", "ls", "--agent", agent, "--json")[1])
    shown = _run(capsys, "approvals", "show", waiting["id"])[1]
    assert "conversation_search(" in shown and agent in shown
    code, out, err = _run(capsys, "approvals", "deny", waiting["id"], "--reason", "not yours")
    assert code == 0 and "denied; run-" in out, err
    code, _, err = _run(capsys, "approvals", "approve", waiting["id"])
    assert code == 1 and "waits no longer" in err
    assert "is removed" in _run(capsys, *policies, "rm", policy["id"])[1]


def test_the_only_one_that_waits_needs_no_name(
    platform: Platform, agent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for waiting in json.loads(_run(capsys, "approvals", "ls", "--json")[1]):  # other tests' agents
        _run(capsys, "approvals", "deny", waiting["id"])
    code, _, err = _run(capsys, "approvals", "show")
    assert code == 1 and "no tool call waits" in err
    policy = json.loads(_run(capsys, "approvals", "policies", "add", "ask", "--agent", agent, "--json")[1])
    _ask(platform, agent)
    assert json.loads(_run(capsys, "approvals", "show", "--json")[1])["agent_id"] == agent
    assert json.loads(_run(capsys, "approvals", "approve", "--json")[1])["background"] is True
    assert _run(capsys, "approvals", "policies", "rm", policy["id"], "--json")[0] == 0


@pytest.mark.parametrize("argument", ["path", "=x", "path={above: 5}"])
def test_arguments_are_written_as_name_and_pattern(
    agent: str, capsys: pytest.CaptureFixture[str], argument: str
) -> None:
    code, _, err = _run(capsys, "approvals", "policies", "add", "deny", "--argument", argument)
    assert code == 2 and "--argument" in err
