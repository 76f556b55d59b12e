import os
from pathlib import Path

import pytest

from o.settings import BadSettings, Settings, default_data_dir, variable, without_password


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("O_") or name in {variable(field) for field in Settings.model_fields}:
            monkeypatch.delenv(name)


def test_defaults_follow_the_data_dir_and_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O_DATA_DIR", "/srv/o")
    monkeypatch.setenv("O_PORT", "9000")
    settings = Settings.load()
    assert settings.key_file == Path("/srv/o/key")
    assert settings.local_model_socket == Path("/srv/o/run/local-model.sock")
    assert settings.base_url == "http://127.0.0.1:9000"


def test_flags_win_over_the_environment_which_wins_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O_PORT", "9000")
    monkeypatch.setenv("O_HOST", "0.0.0.0")
    settings = Settings.load(port=9001, ui_port=None)
    described = {entry.name: entry for entry in settings.describe()}
    assert (described["port"].value, described["port"].origin) == ("9001", "flag")
    assert (described["host"].value, described["host"].origin) == ("0.0.0.0", "environment")
    assert (described["ui_port"].value, described["ui_port"].origin) == ("8233", "default")
    assert all(entry.meaning for entry in described.values())


def test_standard_variables_keep_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.internal:7233")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("O_DATABASE_URL", "postgresql://o:hunter2@db/o?sslpassword=hunter3")
    settings = Settings.load()
    assert settings.temporal == "temporal.internal:7233"
    assert settings.ui_url is None
    shown = repr(settings.describe()) + repr(settings)
    assert "very-secret" not in shown and "hunter" not in shown
    assert "environment" in {entry.origin for entry in settings.describe() if entry.variable == "OPENAI_API_KEY"}


def test_every_bad_value_gets_one_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O_PORT", "eighty")
    monkeypatch.setenv("O_TOOL_TIMEOUT", "-1")
    monkeypatch.setenv("O_DATABASE_URL", "mysql://root:hunter2@db/o")
    monkeypatch.setenv("O_DEFAULT_MODEL", "gpt")
    with pytest.raises(BadSettings) as caught:
        Settings.load(workers=-1)
    lines = caught.value.message.splitlines()
    assert sorted(line.split(":")[0] for line in lines) == [
        "--workers",
        "O_DATABASE_URL",
        "O_DEFAULT_MODEL",
        "O_PORT",
        "O_TOOL_TIMEOUT",
    ]
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("bad", ["nan", "inf", "0", "soon"])
def test_durations_are_positive_and_finite(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    monkeypatch.setenv("O_HEARTBEAT_TIMEOUT", bad)
    with pytest.raises(BadSettings, match="O_HEARTBEAT_TIMEOUT"):
        Settings.load()


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "")
    monkeypatch.setenv("O_PORT", "")
    settings = Settings.load()
    assert settings.temporal_address is None and settings.port == 8283


def test_settings_are_frozen_and_refuse_unknown_names() -> None:
    with pytest.raises(BadSettings, match="prot: no such setting"):
        Settings.load(prot=1)
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("box", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert Settings.load(host=host).loopback is loopback


def test_roots_default_is_outside_any_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/o")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/home/u/.data")
    assert default_data_dir() == Path("/home/u/.data/o")


def test_passwords_are_masked_wherever_they_stand() -> None:
    assert without_password("postgresql://u:p@h:5/d") == "postgresql://u:***@h:5/d"
    assert (
        without_password("postgresql:///d?host=/s&password=p&user=u") == "postgresql:///d?host=/s&password=***&user=u"
    )


def test_children_get_the_flags_and_absolute_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("O_LOCAL_MODEL", "models/big.gguf")
    assert Settings.load(port=9001, data_dir=Path("state"), host=None).environment() == {
        "O_DATA_DIR": str(tmp_path / "state"),
        "O_KEY_FILE": str(tmp_path / "state/key"),
        "O_LOCAL_MODEL": str(tmp_path / "models/big.gguf"),
        "O_LOCAL_MODEL_SOCKET": str(tmp_path / "state/run/local-model.sock"),
        "O_SANDBOX_SOCKET": str(tmp_path / "state/run/sandbox.sock"),
        "O_PORT": "9001",
    }
