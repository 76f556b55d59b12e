"""Code that a model writes, run in the real sandbox."""

import json
from collections.abc import AsyncIterator

import pytest

from activities.code_tools import code_tools
from activities.tools import ToolContext
from o import ids
from o.domain.json import JsonObject
from o.sandbox.base import Limits, Sandbox
from o.sandbox.client import SocketSandbox
from o.store.session import Store
from tests.support.sandbox import executor

CONTEXT = ToolContext(ids.DEFAULT_ORG, "agent-1", Store("postgresql://unused"))


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with executor() as running:
        yield running


async def run(sandbox: Sandbox, code: str, language: str = "python", **limits: float) -> JsonObject:
    tool = code_tools(sandbox, Limits.model_validate(limits))["run_code"]
    document: JsonObject = json.loads(await tool(CONTEXT, {"code": code, "language": language}))
    return document


async def test_what_code_prints_comes_back(sandbox: Sandbox) -> None:
    document = await run(sandbox, "import sys\nprint(6 * 7)\nprint('careful', file=sys.stderr)")
    assert document["logs"]["stdout"] == ["42\n"]
    assert "careful" in document["logs"]["stderr"][0]
    assert document["error"] is None


async def test_what_goes_wrong_comes_back_with_what_was_printed(sandbox: Sandbox) -> None:
    document = await run(sandbox, "print('so far')\n1 / 0")
    assert document["logs"]["stdout"] == ["so far\n"]
    assert "ZeroDivisionError" in document["error"]
    assert (await run(sandbox, "while True: pass", wall=1.0))["error"]
    assert (await run(sandbox, "import os; os.abort()"))["error"]


async def test_code_reaches_no_network_and_leaves_nothing(sandbox: Sandbox) -> None:
    document = await run(sandbox, "import socket\nsocket.create_connection(('127.0.0.1', 9), 2)")
    assert "Error" in document["error"]
    await run(sandbox, "open('left', 'w').write('x')")
    document = await run(sandbox, "import os\nprint(os.path.exists('left'))")
    assert document["logs"]["stdout"] == ["False\n"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"language": "python"}, "'code' is missing"),
        ({"code": "1", "language": "cobol"}, "argument language"),
        ({"code": "1", "language": "java"}, "java cannot be run: there are python, js and ts"),
        ({"code": "\0", "language": "python"}, "NUL"),
    ],
)
async def test_what_is_not_run(sandbox: Sandbox, arguments: JsonObject, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        await code_tools(sandbox, Limits())["run_code"](CONTEXT, arguments)


async def test_javascript_runs_or_says_what_it_needs(sandbox: Sandbox) -> None:
    if "typescript" in (await sandbox.report()).languages:
        assert (await run(sandbox, "console.log(6 * 7)", "js"))["logs"]["stdout"] == ["42\n"]
    else:
        with pytest.raises(ValueError, match=r"needs Node\.js"):
            await run(sandbox, "console.log(6 * 7)", "js")


async def test_without_an_executor_the_tool_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    nobody = SocketSandbox(tmp_path_factory.mktemp("empty") / "nobody.sock")
    with pytest.raises(ValueError, match="no code can be run here"):
        await run(nobody, "1")
