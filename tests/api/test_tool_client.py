"""The global `client` of a tool: from a real sandbox, by the way out, to the api on a socket, as its agent alone."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from activities.custom_tools import CustomTools
from activities.hand_runs import HandRuns
from activities.tool_runs import ToolRunner
from activities.tools import Toolbox
from o import tool_key
from o.guard.policy import Guard, parse_allowed
from o.keyring import Keyring
from o.sandbox.base import Limits
from o.sandbox.egress import EgressProxy
from o.store.session import Store
from tests.api.conftest import made
from tests.api.test_tools import put
from tests.support.sandbox import executor

VISIT = '''
def visit(other: str) -> dict:
    """Read and write what may be, and try what may not.

    Args:
        other: Another agent.
    """
    import os
    me = os.environ["LETTA_AGENT_ID"]
    before = client.agents.blocks.retrieve("human", agent_id=me).value
    client.agents.blocks.update("human", agent_id=me, value=before + ", Ada")
    refused = []
    for forbidden in (
        lambda: client.agents.blocks.retrieve("human", agent_id=other),
        lambda: client.agents.list().items,
        lambda: client.agents.delete(me),
    ):
        try:
            refused.append(str(forbidden()))
        except Exception as error:
            refused.append(getattr(error, "status_code", repr(error)))
    return {"before": before, "refused": refused, "shown": repr(client)}
'''

ALONE = '''
def alone() -> str:
    """Look for a client that it was given no way to."""
    import os
    return str(sorted(name for name in os.environ if name.startswith("LETTA_")))
'''


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Where the api will listen, known before there is one."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
async def tool_runner(store: Store, tmp_path: Path, listener: socket.socket) -> AsyncIterator[ToolRunner]:
    keyring = Keyring.load(tmp_path / "key")
    ways_out = EgressProxy(Guard(parse_allowed("127.0.0.0/8")), tmp_path / "egress" / "sock")
    async with executor() as sandbox, ways_out:
        custom = CustomTools(
            sandbox,
            ways_out,
            Limits(wall=30),
            api_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            key_secret=keyring.derive(tool_key.PURPOSE),
            now=store.now,
        )
        yield HandRuns(store, Toolbox({}, custom), keyring)


@pytest.fixture
async def served(app: FastAPI, listener: socket.socket) -> AsyncIterator[None]:
    """The application on its socket."""
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield
    server.should_exit = True
    await serving


@pytest.mark.usefixtures("served")
async def test_a_tool_reaches_its_own_agent_by_its_client(http: httpx.AsyncClient) -> None:
    await put(http, VISIT)
    own, other = await made(http, tools=["visit"]), await made(http)
    path = f"/v1/agents/{own}"
    answer = (await http.post(f"{path}/tools/visit/run", json={"args": {"other": other}})).json()
    assert answer["status"] == "success", answer
    assert json.loads(answer["func_return"]) == {
        "before": "Name: unknown",
        "refused": [403, 403, 403],
        "shown": "<client of O>",
    }
    assert (await http.get(f"{path}/core-memory/blocks/human")).json()["value"] == "Name: unknown, Ada"


async def test_a_tool_that_speaks_to_nobody_has_no_key(http: httpx.AsyncClient) -> None:
    await put(http, ALONE)
    agent_id = await made(http, tools=["alone"])
    answer = (await http.post(f"/v1/agents/{agent_id}/tools/alone/run", json={"args": {}})).json()
    assert (answer["status"], answer["func_return"]) == ("success", "['LETTA_AGENT_ID', 'LETTA_TOOL_ID']"), answer
