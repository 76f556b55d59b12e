"""Code run by hand, from the route to the sandbox and back."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from activities.custom_tools import CustomTools
from activities.hand_runs import HandRuns
from activities.tool_runs import ToolRunner
from activities.tools import Toolbox
from o.keyring import Keyring
from o.sandbox.base import Limits
from o.store.session import Store
from tests.api.conftest import made
from tests.api.test_tools import put
from tests.support.sandbox import executor

GREET = '''
def greet(name: str) -> dict:
    """Greet somebody.

    Args:
        name: Whom.
    """
    import os, sys
    print("to", name)
    print("careful", file=sys.stderr)
    return {"said": f"Hello {name}", "seen": sorted(key for key in os.environ if key in ("TOKEN", "PGHOST", "O_KEY"))}
'''

REMEMBER = '''
def remember(fact: str, agent_state) -> str:
    """Write down a fact.

    Args:
        fact: The fact.
    """
    import os
    block = agent_state.memory.get_block("human")
    agent_state.memory.update_block_value(label="human", value=block.value + " " + fact)
    return "key " + os.environ["TOKEN"]
'''


@pytest.fixture
async def tool_runner(store: Store, tmp_path: Path) -> AsyncIterator[ToolRunner]:
    async with executor() as sandbox:
        custom = CustomTools(sandbox, None, Limits(wall=20), api_url="http://o.test", key_secret=None, now=store.now)
        yield HandRuns(store, Toolbox({}, custom), Keyring.load(tmp_path / "key"))


async def test_source_is_run_with_its_arguments_and_nothing_else(http: httpx.AsyncClient) -> None:
    body = {"source_code": GREET, "args": {"name": "Ada"}, "env_vars": {"TOKEN": "tok-en-123456"}}
    answer = (await http.post("/v1/tools/run", json=body)).json()
    assert (answer["status"], answer["tool_return"]) == ("success", '{"said": "Hello Ada", "seen": ["TOKEN"]}'), answer
    assert ("".join(answer["stdout"]), "".join(answer["stderr"])) == ("to Ada\n", "careful\n")
    for source, words in (
        ("def f():\n    raise ValueError('no')", "ValueError: no"),
        ("def f():\n    import os\n    os._exit(3)", "f"),
        ("def f():\n    open('/etc/shadow')", "Error"),
        ("def f():\n    import socket\n    socket.create_connection(('127.0.0.1', 5432), 2)", "Error"),
    ):
        answer = (await http.post("/v1/tools/run", json={"source_code": source, "args": {}})).json()
        assert answer["status"] == "error" and words in answer["tool_return"], answer
    slow = {"source_code": "def f():\n    while True: pass", "args": {}, "sandbox": {"timeout": 0.5}}
    answer = (await http.post("/v1/tools/run", json=slow)).json()
    assert answer["status"] == "error" and "0.5" in answer["tool_return"], answer


async def test_an_agents_tool_has_its_secrets_and_edits_its_memory(http: httpx.AsyncClient) -> None:
    await put(http, REMEMBER)
    agent_id = await made(http, tools=["remember"], secrets={"TOKEN": "tok-en-123456"})
    path = f"/v1/agents/{agent_id}"
    answer = (await http.post(f"{path}/tools/remember/run", json={"args": {"fact": "Likes tea."}})).json()
    assert answer["status"] == "success" and answer["func_return"].startswith("key "), answer
    assert "tok-en-123456" not in str(answer)
    block = (await http.get(f"{path}/core-memory/blocks/human")).json()
    assert block["value"] == "Name: unknown Likes tea."
