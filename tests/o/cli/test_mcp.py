"""`o mcp` against a real API and worker; the server of tools is an emulator."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from o.cli.app import main
from tests.emulators import mcp_server
from tests.support.engine import own_client
from tests.support.servers import Platform, Postgres, Temporal, environment, folder

TOKEN = "tok-3f9a77c2"


@pytest.fixture(scope="module")
def server() -> Iterator[mcp_server.Emulator]:
    with mcp_server.running() as emulator:
        emulator.token = TOKEN
        yield emulator


@pytest.fixture(scope="module")
def site(postgres: Postgres, template: str, temporal: Temporal) -> Iterator[Platform]:
    """An api and a worker that let servers be on this machine, in a namespace that no other test's worker polls."""
    url = postgres.create("mcp", template)
    namespace = asyncio.run(own_client(temporal.address)).namespace
    with folder() as own:
        more = {"O_ALLOWED_HOSTS": "127.0.0.1/32", "TEMPORAL_NAMESPACE": namespace}
        running = Platform(own.data_dir, environment(own.data_dir, url, temporal.address, **more))
        running.start()
        yield running
        running.stop()
    postgres.drop("mcp")


@pytest.fixture(autouse=True)
def use(site: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O_BASE_URL", site.url)
    monkeypatch.setenv("FILES_TOKEN", TOKEN)
    monkeypatch.delenv("O_API_KEY", raising=False)


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    assert TOKEN not in captured.out + captured.err
    return int(ended.value.code or 0), captured.out, captured.err


def test_a_server_is_added_looked_at_refreshed_and_removed(
    capsys: pytest.CaptureFixture[str], server: mcp_server.Emulator
) -> None:
    code, out, err = _run(capsys, "mcp", "add", "files", "--url", server.streamable, "--token-env", "FILES_TOKEN")
    assert code == 0 and "(files) is added with 1 tools" in out, err
    _, listed, _ = _run(capsys, "mcp", "ls")
    assert server.streamable in listed and "ok" in listed
    server.tools = [mcp_server.tool("echo", "Say it to me."), mcp_server.tool("more")]
    code, out, _ = _run(capsys, "mcp", "connect", "files")
    assert code == 0 and "connected: 2 tools" in out
    _, out, err = _run(capsys, "mcp", "tools", "files")
    assert "CHANGED (description, schema): not called until refreshed" in out
    assert "its description was: Say it again." in err and "its description is now: Say it to me." in err
    code, _, _ = _run(capsys, "mcp", "refresh", "files")
    assert code == 0
    _, found, _ = _run(capsys, "mcp", "tools", "files", "--json")
    assert [tool["mcp"]["drift"] for tool in json.loads(found)] == [None, None]
    _, out, _ = _run(capsys, "mcp", "refresh", "files")
    assert "nothing has changed" in out
    code, _, _ = _run(capsys, "mcp", "rm", "files", "--yes")
    assert code == 0
    code, _, err = _run(capsys, "mcp", "tools", "files")
    assert code == 1 and "o mcp ls" in err


def test_a_server_that_is_away_is_added_with_a_notice(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = _run(capsys, "mcp", "add", "away", "--url", "http://127.0.0.1:9/mcp")
    assert code == 0 and "cannot be reached" in err
    code, _, err = _run(capsys, "mcp", "connect", "away")
    assert code == 1 and "cannot be reached" in err


def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = _run(capsys, "mcp", "add", "nothing")
    assert code == 1 and "--url URL" in err
    code, _, err = _run(capsys, "mcp", "add", "x", "--url", "http://127.0.0.1:9/mcp", "--token-env", "NOT_SET_HERE")
    assert code == 1 and "NOT_SET_HERE is not set" in err
