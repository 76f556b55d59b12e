"""MCP servers by name, in the older shapes."""

from collections.abc import Iterator

import httpx
import pytest

from tests.emulators import mcp_server

TOKEN = "tok-81c2aa90"
PATH = "/v1/tools/mcp/servers"


@pytest.fixture(scope="module")
def server() -> Iterator[mcp_server.Emulator]:
    with mcp_server.running() as emulator:
        yield emulator


async def test_a_server_is_added_listed_and_deleted(http: httpx.AsyncClient, server: mcp_server.Emulator) -> None:
    body = {"server_name": "files", "type": "streamable_http", "server_url": server.streamable, "auth_token": TOKEN}
    answer = await http.put(PATH, json=body)
    assert answer.status_code == 200, answer.text
    [added] = answer.json()
    assert (added["server_name"], added["type"], added["server_url"]) == ("files", "streamable_http", server.streamable)
    assert TOKEN not in answer.text and added["auth_token"] == "********"
    assert (await http.put(PATH, json=body)).status_code == 409
    assert list((await http.get(PATH)).json()) == ["files"]
    [offered] = (await http.get(f"{PATH}/files/tools")).json()
    assert (offered["name"], offered["inputSchema"]["type"]) == ("echo", "object")
    tool = (await http.post(f"{PATH}/files/echo")).json()
    assert (tool["name"], tool["tool_type"]) == ("echo", "external_mcp")
    deleted = await http.delete(f"{PATH}/files")
    assert (deleted.status_code, deleted.json()) == (200, [])
    assert (await http.get(f"/v1/tools/{tool['id']}")).status_code == 404


async def test_a_program_is_shown_as_it_was_given(http: httpx.AsyncClient) -> None:
    program = {
        "server_name": "here",
        "type": "stdio",
        "command": "no-such-program",
        "args": ["-x"],
        "env": {"A": TOKEN},
    }
    answer = await http.put(PATH, json={"server_name": "here", "type": "stdio", "stdio_config": program})
    assert answer.status_code == 200, answer.text
    assert answer.json() == [
        {"server_name": "here", "type": "stdio", "stdio_config": {**program, "env": {"A": "********"}}}
    ]


async def test_what_is_missing_is_said(http: httpx.AsyncClient) -> None:
    for path in (f"{PATH}/nobody/tools", f"{PATH}/nobody"):
        call = http.delete if path.endswith("nobody") else http.get
        assert (await call(path)).status_code == 404
    assert (await http.post(f"{PATH}/nobody/echo")).status_code == 404
    for body, field in (({"type": "stdio"}, "stdio_config"), ({"type": "sse"}, "server_url")):
        answer = await http.put(PATH, json={"server_name": "x", **body})
        assert (answer.status_code, field in answer.text) == (400, True)
