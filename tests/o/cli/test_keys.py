import json

import pytest

from o.cli.app import main


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out + captured.err


@pytest.fixture(autouse=True)
def use(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("O_DATABASE_URL", database_url)


def test_a_key_is_shown_once_listed_and_revoked(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = _run(capsys, "keys", "create", "ci", "--json")
    made = json.loads(printed)
    assert code == 0
    code, printed = _run(capsys, "keys", "ls")
    assert made["id"] in printed and made["key"] not in printed
    assert _run(capsys, "keys", "revoke", made["id"])[0] == 0
    listed = json.loads(_run(capsys, "keys", "ls", "--json")[1])
    assert [(key["id"], key["name"], key["revoked_at"] is None) for key in listed] == [(made["id"], "ci", False)]


def test_an_unknown_key_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = _run(capsys, "keys", "revoke", "key-00000000-0000-4000-8000-000000000000")
    assert code == 1
    assert "o keys ls" in printed


def test_migrate_says_that_nothing_is_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = _run(capsys, "migrate", "--json")
    told = json.loads(printed)
    assert code == 0 and told["before"] == told["after"] is not None
