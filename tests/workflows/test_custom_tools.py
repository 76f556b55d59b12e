"""People's own tools within a turn: run in the real sandbox, with the agent's secrets and memory, once at most."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from activities.base_tools import NATIVE_TOOLS
from activities.custom_tools import CustomTools
from o.domain.base_tools import base_tools_of
from o.domain.messages import ToolReturn
from o.guard.policy import Guard, parse_allowed
from o.keyring import Keyring
from o.sandbox.base import Limits
from o.sandbox.client import SocketSandbox
from o.sandbox.egress import EgressProxy
from o.store import queue
from o.store.agent_secrets import secret_context
from o.store.repositories.blocks import Author
from o.store.session import Store
from o.temporal import StepStarter
from tests.support.agents import make_agent, request
from tests.support.egress import serving
from tests.support.engine import TIMING, Engine, script, workers_of
from tests.support.sandbox import started


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SocketSandbox]:
    with started() as running:
        yield running.sandbox


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring.load(tmp_path / "key")


@pytest.fixture
async def engine(
    store: Store, client: Client, tmp_path: Path, sandbox: SocketSandbox, keyring: Keyring
) -> AsyncIterator[Engine]:
    built = Engine(store, client, StepStarter(client, TIMING), tmp_path / "journal", dict(NATIVE_TOOLS))
    async with EgressProxy(Guard(parse_allowed("127.0.0.0/8")), tmp_path / "egress" / "sock") as proxy:
        custom = CustomTools(sandbox, proxy, Limits(wall=20), api_url="http://o.test", key_secret=None, now=store.now)
        async with workers_of(store, client, built.journal, built.tools, keyring=keyring, custom=custom):
            yield built


async def agent_with(
    engine: Engine, source: str, *, secrets: dict[str, str] | None = None, **more: Any
) -> tuple[str, str]:
    """An agent with a tool `act` of this source; its id and its conversation's."""
    agent_id, conversation_id = await make_agent(engine.store, blocks=more.pop("blocks", None))
    async with engine.store.transaction() as tx:
        await tx.tools.put(
            {
                "name": "act",
                "tool_type": "custom",
                "source_code": source,
                "json_schema": {
                    "name": "act",
                    "description": "Acts.",
                    "parameters": {"type": "object", "properties": {}},
                },
                **more,
            }
        )
        attached = await tx.tools.by_names([*base_tools_of("letta_v1_agent"), "act"])
        await tx.agents.set_tools(agent_id, [tool.id for tool in attached])
    return agent_id, conversation_id


def acting(**arguments: object) -> str:
    return script({"tool_calls": [{"name": "act", "arguments": arguments}]}, {"text": "Done."})


async def outcome(engine: Engine, agent_id: str, conversation_id: str, asked: str = acting()) -> ToolReturn:
    """What the call of the agent's tool returned."""
    run = await engine.ended((await engine.accept(request(agent_id, conversation_id, asked))).run_id)
    assert run.stop_reason == "end_turn"
    async with engine.store.transaction() as tx:
        messages = await tx.messages.of_run(run.id)
    (returned,) = [each for message in messages for each in message.tool_returns]
    return returned


async def test_a_tool_returns_and_what_it_printed_is_kept_apart(engine: Engine) -> None:
    source = "def act():\n    import sys\n    print('out')\n    print('err', file=sys.stderr)\n    return [1, None]"
    back = await outcome(engine, *await agent_with(engine, source))
    assert (back.status, back.content) == ("success", "[1, None]")
    assert (back.stdout, back.stderr) == (("out\n",), ("err\n",))


async def test_what_it_raises_is_for_the_model(engine: Engine) -> None:
    back = await outcome(engine, *await agent_with(engine, "def act():\n    raise KeyError('no such city')"))
    assert back.status == "error"
    assert back.content == "Error executing function act: KeyError: 'no such city'"


async def test_it_sees_its_agents_secrets_and_nobody_else_does(engine: Engine, keyring: Keyring) -> None:
    source = (
        "def act():\n    import base64, os\n    key = os.environ['API_KEY']\n    print(key[::-1])\n"
        "    return {'key': key, 'b64': base64.b64encode(b'Bearer ' + key.encode()).decode(), 'len': len(key)}"
    )
    agent_id, conversation_id = await agent_with(engine, source)
    sealed = keyring.encrypt("s3cr3t-0123456789", context=secret_context(agent_id, "API_KEY"))
    async with engine.store.transaction() as tx:
        await tx.agents.set_secrets(agent_id, {"API_KEY": sealed})
    asked = request(agent_id, conversation_id, acting())
    run = await engine.ended((await engine.accept(asked)).run_id)
    async with engine.store.transaction() as tx:
        messages = await tx.messages.of_run(run.id)
        calls = await tx.steps.calls(run.id, 0)
    (back,) = [each for message in messages for each in message.tool_returns]
    assert json.loads(back.content)["key"] == "[secret API_KEY]" and json.loads(back.content)["len"] == 17
    everything = f"{messages} {calls}"
    assert "s3cr3t" not in everything and "9876543210" not in everything
    history = await engine.client.get_workflow_handle(f"{run.id}/step-0").fetch_history()
    assert b"s3cr3t" not in b"".join(event.SerializeToString() for event in history.events)


async def test_its_edits_of_memory_go_through_the_journal(engine: Engine) -> None:
    source = (
        "def act(agent_state):\n    block = agent_state.memory.get_block('human')\n"
        "    agent_state.memory.update_block_value('human', block.value + ', likes tea')\n    return 'noted'"
    )
    agent_id, conversation_id = await agent_with(engine, source)
    back = await outcome(engine, agent_id, conversation_id)
    assert (back.status, back.content) == ("success", "noted")
    async with engine.store.transaction() as tx:
        block = await tx.blocks.of_agent(agent_id, "human")
        system = (await tx.messages.context(conversation_id))[0].text
    assert (block.value, block.version) == ("Name: unknown, likes tea", 2)
    assert "likes tea" in system


async def test_an_edit_of_a_block_that_changed_meanwhile_is_not_kept(engine: Engine, tmp_path: Path) -> None:
    """Neither edit is lost in silence: the earlier one stays, and the model hears of the later."""
    async with serving() as server:
        source = (
            "def act(agent_state):\n    import urllib.request\n"
            f"    urllib.request.urlopen('http://127.0.0.1:{server.port}/').read()\n"
            "    agent_state.memory.get_block('human').value = 'mine'\n    return 'noted'"
        )
        agent_id, conversation_id = await agent_with(engine, source, sandbox={"network": [f"127.0.0.1:{server.port}"]})
        answering = asyncio.Event()

        async def edit_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            async with engine.store.transaction() as tx:
                block = await tx.blocks.of_agent(agent_id, "human")
                await tx.blocks.update(block.id, {"value": "theirs"}, Author("user-x"), version=block.version)
            answering.set()
            writer.write(server.answer)
            await writer.drain()

        async with serving(edit_first) as meddler:
            source = source.replace(str(server.port), str(meddler.port))
            async with engine.store.transaction() as tx:
                await tx.tools.put(
                    {
                        "name": "act",
                        "tool_type": "custom",
                        "source_code": source,
                        "json_schema": {"name": "act", "parameters": {"type": "object"}},
                        "sandbox": {"network": [f"127.0.0.1:{meddler.port}"]},
                    }
                )
            back = await outcome(engine, agent_id, conversation_id)
    assert answering.is_set()
    assert back.status == "error" and "edits of memory were not kept" in back.content and "noted" in back.content
    async with engine.store.transaction() as tx:
        assert (await tx.blocks.of_agent(agent_id, "human")).value == "theirs"


async def test_it_reaches_the_hosts_it_names_and_no_others(engine: Engine) -> None:
    async with serving() as open_one, serving() as closed_one:
        source = (
            "def act(port: int):\n    import urllib.request\n"
            "    return urllib.request.urlopen(f'http://127.0.0.1:{port}/x', timeout=5).read().decode()"
        )
        agent = await agent_with(engine, source, sandbox={"network": [f"127.0.0.1:{open_one.port}"]})
        assert (await outcome(engine, *agent, acting(port=open_one.port))).content == "hello"
        refused = await outcome(engine, *agent, acting(port=closed_one.port))
        assert refused.status == "error" and "403" in refused.content
        assert len(open_one.heard) == 1 and closed_one.heard == []
        assert b"proxy-authorization" not in open_one.heard[0].lower()


async def test_its_limits_are_its_own_within_the_operators(engine: Engine) -> None:
    agent = await agent_with(engine, "def act():\n    while True: pass", sandbox={"timeout": 1})
    back = await outcome(engine, *agent)
    assert back.status == "error" and "longer than 1 s" in back.content


async def test_a_long_return_is_cut_with_a_note(engine: Engine) -> None:
    back = await outcome(engine, *await agent_with(engine, "def act(): return 'x' * 500", return_char_limit=100))
    assert back.content.startswith("x" * 100 + "\n[NOTE") and "500 characters" in back.content


async def test_cancelling_the_run_kills_the_tool_at_once(engine: Engine) -> None:
    async with serving() as server:
        source = (
            "def act():\n    import subprocess, urllib.request\n    subprocess.Popen(['sleep', '987'])\n"
            f"    urllib.request.urlopen('http://127.0.0.1:{server.port}/')\n"
            "    subprocess.run(['sleep', '986'])"
        )
        agent_id, conversation_id = await agent_with(engine, source, sandbox={"network": [f"127.0.0.1:{server.port}"]})
        accepted = await engine.accept(request(agent_id, conversation_id, acting()))
        async with asyncio.timeout(20):
            while not server.heard:
                await asyncio.sleep(0.02)
        async with engine.store.transaction() as tx:
            await queue.cancel(tx, accepted.run_id)
        run = await engine.ended(accepted.run_id, deadline=10)
    assert run.status == "cancelled"
    async with asyncio.timeout(5):
        while _running(b"sleep\x00987") or _running(b"sleep\x00986"):
            await asyncio.sleep(0.02)


def _running(command: bytes) -> bool:
    """Whether any process of this machine has this in its command line."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and command in (entry / "cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False


async def test_a_tool_without_a_sandbox_says_so_and_the_turn_goes_on(
    store: Store, client: Client, tmp_path: Path
) -> None:
    built = Engine(store, client, StepStarter(client, TIMING), tmp_path / "journal", dict(NATIVE_TOOLS))
    away = SocketSandbox(tmp_path / "nobody.sock")
    custom = CustomTools(away, None, Limits(), api_url="http://o.test", key_secret=None, now=store.now)
    async with workers_of(store, client, built.journal, built.tools, custom=custom):
        back = await outcome(built, *await agent_with(built, "def act(): return 1"))
    assert back.status == "error" and "o executor" in back.content


@pytest.mark.parametrize("bad", ["\\x00", "\\ud800"], ids=["nul", "half a pair"])
async def test_what_the_database_cannot_hold_is_replaced_wherever_a_tool_says_it(engine: Engine, bad: str) -> None:
    """An answer that could not be stored would leave the model without it, and told that nobody knows the outcome."""
    source = f"def act():\n    print('a{bad}b'.encode('utf-8', 'replace').decode())\n    return 'c{bad}d'"
    back = await outcome(engine, *await agent_with(engine, source))
    assert (back.status, len(back.content)) == ("success", 3)
    assert back.content[0] + back.content[2] == "cd"
    failed = await outcome(engine, *await agent_with(engine, f"def act():\n    raise ValueError('e{bad}f')"))
    assert failed.content.startswith("Error executing function act: ValueError: e")
