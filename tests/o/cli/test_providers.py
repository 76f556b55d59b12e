"""`o providers`, `o models` and `o aliases` against a real API and worker; the provider is the emulator of a vendor."""

import asyncio
import io
import json
from collections.abc import Iterator

import pytest

from o.cli.app import main
from o.embedded.layout import Layout
from tests.emulators import openai_server
from tests.support.engine import own_client
from tests.support.servers import Platform, Postgres, Temporal, environment, folder

KEY = openai_server.KEY


@pytest.fixture(scope="module")
def vendor() -> Iterator[openai_server.Emulator]:
    with openai_server.running() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def site(layout: Layout, postgres: Postgres, template: str, temporal: Temporal) -> Iterator[Platform]:
    """An api and a worker that let providers be on this machine, in a namespace that no other test's worker polls."""
    url = postgres.create("providers", template)
    namespace = asyncio.run(own_client(temporal.address)).namespace
    with folder() as own:
        more = {"O_ALLOWED_HOSTS": "127.0.0.1/32", "TEMPORAL_NAMESPACE": namespace}
        env = environment(own.data_dir, url, temporal.address, **more)
        running = Platform(own.data_dir, env)
        running.start()
        yield running
        running.stop()
    postgres.drop("providers")


@pytest.fixture(autouse=True)
def use(site: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O_BASE_URL", site.url)
    monkeypatch.delenv("O_API_KEY", raising=False)


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    assert KEY not in captured.out + captured.err
    return int(ended.value.code or 0), captured.out, captured.err


def test_a_provider_is_added_checked_rotated_and_removed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, vendor: openai_server.Emulator
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("sk-wrong-key-0123456789\n"))
    code, out, err = _run(capsys, "providers", "add", "mine", "--base-url", vendor.url, "--requests-per-minute", "9")
    assert code == 0 and "(mine, openai) is added" in out, err
    assert "does not answer as it should" in err and "mine" in err
    code, _, err = _run(capsys, "providers", "check", "mine")
    assert code == 1 and err.startswith("o: mine: ")
    listed = _run(capsys, "providers", "ls")[1]
    assert "sk-…6789" in listed and vendor.url in listed
    monkeypatch.setenv("MY_KEY", KEY)
    code, out, err = _run(capsys, "providers", "rotate", "mine", "--api-key-env", "MY_KEY")
    assert code == 0 and "has the new key" in out and "mine answers and has" in out and not err
    shown = json.loads(_run(capsys, "providers", "check", "mine", "--json")[1])
    assert shown["models"] > 0
    assert "fine, " in _run(capsys, "providers", "ls")[1]
    assert "mine/gpt-4o" in _run(capsys, "models")[1]
    assert json.loads(_run(capsys, "providers", "ls", "--json")[1])[0]["requests_per_minute"] == 9
    assert _run(capsys, "providers", "rm", "mine", "--yes")[0] == 0
    code, _, err = _run(capsys, "providers", "check", "mine")
    assert code == 1 and "o providers ls" in err
    assert "mine/gpt-4o" not in _run(capsys, "models")[1]


def test_a_key_comes_from_stdin_or_a_variable_and_must_be_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    code, _, err = _run(capsys, "providers", "add", "empty")
    assert code == 1 and "--api-key-env" in err and "--no-key" in err
    code, _, err = _run(capsys, "providers", "add", "empty", "--api-key-env", "NOT_SET_ANYWHERE")
    assert code == 1 and "NOT_SET_ANYWHERE is not set" in err
    assert _run(capsys, "providers", "add", "empty", "--api-key", KEY[:3])[0] == 2
    assert "empty" not in _run(capsys, "providers", "ls")[1]


def test_what_the_api_refuses_is_told_in_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = _run(capsys, "providers", "add", "x", "--no-key", "--base-url", "http://10.0.0.1/v1")
    assert code == 1 and "base_url: 10.0.0.1 is a private address" in err
    code, _, err = _run(capsys, "providers", "add", "x", "--no-key", "--type", "nobody")
    assert code == 1 and "provider_type: must be one of" in err


def test_aliases_are_set_listed_and_removed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "aliases", "set", "team/fast", "scripted/echo", "scripted/json")
    assert code == 0 and "team/fast means scripted/echo, then scripted/json" in out
    assert "scripted/echo, scripted/json" in _run(capsys, "aliases", "ls")[1]
    assert "team/fast" in _run(capsys, "models")[1]
    assert json.loads(_run(capsys, "aliases", "ls", "--json")[1])[0]["handle"] == "team/fast"
    assert _run(capsys, "aliases", "rm", "team/fast")[0] == 0
    code, _, err = _run(capsys, "aliases", "rm", "team/fast")
    assert code == 1 and "team/fast" in err


def test_models_are_listed_with_what_they_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "models")
    assert code == 0 and out.split()[:3] == ["handle", "window", "output"] and "scripted/echo" in out
    assert {model["model_type"] for model in json.loads(_run(capsys, "models", "--json")[1])} == {"llm"}
    assert isinstance(json.loads(_run(capsys, "models", "--embedding", "--json")[1]), list)
    assert "dimensions" in _run(capsys, "models", "--embedding")[1]
