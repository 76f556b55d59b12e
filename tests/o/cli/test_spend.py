"""`o spend` and `o budgets` against a real API."""

import json
from collections.abc import Iterator

import pytest

from o.cli.app import main
from tests.support.servers import Platform


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture
def agent(platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    monkeypatch.setenv("O_BASE_URL", platform.url)
    monkeypatch.delenv("O_API_KEY", raising=False)
    code, out, err = _run(capsys, "agents", "create", "Spender", "--model", "scripted/echo", "--json")
    assert code == 0, err
    agent_id = str(json.loads(out)["id"])
    yield agent_id
    _run(capsys, "agents", "rm", agent_id, "--yes")


def test_budgets_are_set_listed_and_removed(agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run(
        capsys, "budgets", "set", "--agent", agent, "--per", "day", "--tokens", "500", "--usd", "1.50", "--json"
    )
    assert code == 0, err
    made = json.loads(out)
    assert (made["agent_id"], made["period"], made["max_tokens"], made["max_cost_usd"]) == (agent, "day", 500, 1.5)
    listed = _run(capsys, "budgets", "ls", "--agent", agent)[1]
    assert made["id"] in listed and "500" in listed and "1.5" in listed
    assert "per day" in _run(capsys, "budgets", "set", "--agent", agent, "--per", "day", "--usd", "2")[1]
    [replaced] = json.loads(_run(capsys, "budgets", "ls", "--agent", agent, "--json")[1])
    assert replaced == {**made, "max_tokens": None, "max_cost_usd": 2.0}
    assert "is removed" in _run(capsys, "budgets", "rm", made["id"])[1]
    code, _, err = _run(capsys, "budgets", "rm", made["id"])
    assert code == 1 and "o budgets ls" in err


def test_a_budget_without_a_limit_or_with_a_wrong_one_is_refused(
    agent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = _run(capsys, "budgets", "set", "--agent", agent, "--per", "day")
    assert code == 2 and "--tokens" in err
    assert _run(capsys, "budgets", "set", "--agent", agent, "--per", "week", "--tokens", "1")[0] == 2
    code, _, err = _run(capsys, "budgets", "set", "--agent", agent, "--per", "day", "--usd", "much")
    assert code == 1 and "max_cost_usd" in err


def test_spend_is_shown(agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run(capsys, "spend", "--agent", agent, "--days", "2", "--by", "model")
    assert code == 0, err
    assert out.split() == ["model", "requests", "prompt", "cached", "reply", "reasoning", "USD"]
    assert json.loads(_run(capsys, "spend", "--agent", agent, "--json")[1]) == []
    assert _run(capsys, "spend", "--by", "hour")[0] == 2
