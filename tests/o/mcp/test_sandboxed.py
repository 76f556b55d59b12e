"""A server that is a program, in the real sandbox."""

import os
from collections.abc import Iterator

import pytest

from o.errors import McpTimeout
from o.guard.policy import Guard
from o.mcp.access import Access
from o.mcp.base import Conversation, Dialer, Listing, McpResult, Patience
from tests.support.sandbox import Running, started

# Answers what it sees of the machine it runs on; its one tool runs for ever once it is asked to.
_PROGRAM = """
import json, os, sys, time
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    if message["method"] == "initialize":
        result = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}
    elif message["method"] == "tools/list":
        result = {"tools": [{"name": "look", "inputSchema": {"type": "object"}}]}
    elif message["params"]["arguments"].get("hang"):
        time.sleep(3600)
    else:
        seen = {"home": os.path.exists(os.path.expanduser("~/.ssh")), "work": os.path.exists(%r), **os.environ}
        result = {"content": [{"type": "text", "text": json.dumps(seen)}]}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with started() as executor:
        yield executor


def access() -> Access:
    source = _PROGRAM % os.path.abspath(__file__)  # noqa: PTH100 - a text for another process
    return Access("id", "boxed", "stdio", command=("python3", "-c", source), environment={"KEY": "given"})


async def test_a_program_sees_what_it_is_given_and_no_more(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O_CANARY", "of the host")

    async def work(conversation: Conversation) -> tuple[Listing, McpResult]:
        return await conversation.tools(), await conversation.call("look", {}, deadline=10.0)

    listing, result = await Dialer(Guard(), running.sandbox).converse(access(), work)
    assert [tool.name for tool in listing.tools] == ["look"]
    assert '"KEY": "given"' in result.content
    assert "O_CANARY" not in result.content
    assert '"work": false' in result.content


async def test_a_program_that_hangs_is_ended(running: Running) -> None:
    async def work(conversation: Conversation) -> McpResult:
        return await conversation.call("look", {"hang": True}, deadline=0.5)

    with pytest.raises(McpTimeout):
        await Dialer(Guard(), running.sandbox, patience=Patience(connect=20.0)).converse(access(), work)
