import json
import os
import sys
from pathlib import Path

import pytest

from o.cli.app import main
from o.embedded import ports
from o.settings import Settings, variable


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in {variable(field) for field in Settings.model_fields} & set(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("O_DATA_DIR", str(tmp_path / "data"))


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    code = ended.value.code
    assert isinstance(code, int) or code is None
    return code or 0


def test_help_lists_the_commands_without_loading_them(capsys: pytest.CaptureFixture[str]) -> None:
    for module in [name for name in sys.modules if name.startswith("o.cli.") and name != "o.cli.app"]:
        del sys.modules[module]
    assert _run("--help") == 0
    assert "doctor" in capsys.readouterr().out
    assert "o.cli.doctor" not in sys.modules


@pytest.mark.parametrize(
    "command",
    [
        *("up", "chat", "config", "doctor", "server", "worker", "executor", "local-model", "migrate", "openapi"),
        *("agents ls", "agents create", "agents show", "agents rm", "runs ls", "runs show", "runs cancel"),
        *("keys create", "keys ls", "keys revoke", "models", "spend", "budgets ls", "budgets set", "budgets rm"),
        *("providers ls", "providers add", "providers check", "providers rotate", "providers rm"),
        *("aliases ls", "aliases set", "aliases rm"),
        *("apply", "tools ls", "tools show", "tools create", "tools rm", "tools run", "tools test"),
    ],
)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert _run(*command.split(), "--help") == 0
    assert f"Usage: o {command}" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["conifg", "up --port many", "agents", "runs show", "config --loud", "migrate --down"])
def test_misuse_ends_with_two(capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert _run(*line.split()) == 2


def test_a_typo_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    _run("conifg")
    assert "Did you mean 'config'?" in capsys.readouterr().err


def test_bad_settings_are_misuse_in_one_line_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("O_PORT", "no")
    monkeypatch.setenv("O_WORKERS", "-4")
    assert _run("config") == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_config_says_where_a_value_came_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert _run("config", "--json") == 0
    printed = capsys.readouterr().out
    assert "sk-secret" not in printed
    entries = {entry["variable"]: entry for entry in json.loads(printed)}
    assert entries["OPENAI_API_KEY"]["origin"] == "environment"
    assert entries["O_PORT"] == {
        "name": "port",
        "variable": "O_PORT",
        "value": "8283",
        "origin": "default",
        "meaning": "port of the API",
    }
    assert _run("config") == 0
    assert "O_PORT" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["agents ls", "runs ls", "chat -m hello", "openapi"])
def test_without_an_api_the_way_to_one_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("O_BASE_URL", f"http://127.0.0.1:{ports.free()}")
    assert _run(*line.split()) == 1
    error = capsys.readouterr().err
    assert "start it with `o up`" in error and "O_BASE_URL" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("line", ["keys ls", "keys create ci", "keys revoke key-1", "migrate"])
def test_without_a_database_the_way_to_one_is_named(capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert _run(*line.split()) == 1
    assert "start it with `o up`" in capsys.readouterr().err


def test_the_doctor_names_a_fix_for_everything_that_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("O_PORT", "O_TEMPORAL_PORT", "O_UI_PORT"):
        monkeypatch.setenv(name, str(ports.free()))
    assert _run("doctor", "--json") == 1
    findings = json.loads(capsys.readouterr().out)
    assert len(findings) == 12
    assert [finding["part"] for finding in findings if finding["ok"]] == ["ports"]
    assert all(finding["fix"] for finding in findings if not finding["ok"])
