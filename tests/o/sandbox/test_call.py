"""What a tool's code finds around it, and what its errors show of the machine."""

import sys
from collections.abc import Iterator

import pytest

from o.sandbox import machine
from o.sandbox.base import CodeCall, CodeResult
from o.sandbox.client import SocketSandbox
from tests.support.sandbox import started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")

_KEYS = {"LETTA_API_KEY": "sk-o-tool-1", "LETTA_BASE_URL": "http://o.internal"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SocketSandbox]:
    with started(pool=0) as running:
        yield running.sandbox


async def _run(sandbox: SocketSandbox, source: str, environment: dict[str, str] | None = None) -> CodeResult:
    return await sandbox.run(CodeCall(source=source, function="tool", environment=environment or {}))


async def test_a_traceback_shows_the_tools_frames_and_no_place_of_this_machine(sandbox: SocketSandbox) -> None:
    source = (
        "import json\n"
        "def tool():\n"
        "    try:\n"
        "        json.loads('{')\n"
        "    except ValueError as error:\n"
        "        import httpx\n"
        "        httpx.URL(3)\n"
    )
    result = await _run(sandbox, source)
    assert result.outcome == "raised"
    for shown in (
        'File "<tool>", line 4, in tool\n    json.loads',
        'File "json/decoder.py", line',
        'File "<tool>", line 7, in tool',
        'File "httpx/_urls.py", line',
        "During handling of the above exception",
    ):
        assert shown in result.stderr, result.stderr
    for place in (machine.interpreter(), sys.base_prefix, *machine.site_packages(), machine.package_root()):
        assert place not in result.stderr


async def test_a_message_names_no_place_either(sandbox: SocketSandbox) -> None:
    result = await _run(sandbox, "def tool():\n    from json import nothing\n")
    assert result.error == "ImportError: cannot import name 'nothing' from 'json' (json/__init__.py)"


async def test_a_client_is_there_with_a_key_and_only_then(sandbox: SocketSandbox) -> None:
    source = (
        "def tool():\n    import sys\n    return [client.base_url.host, str(client), 'letta_client' in sys.modules]"
    )
    result = await _run(sandbox, source, _KEYS)
    assert (result.outcome, result.value) == ("returned", ["o.internal", "<client of O>", True]), result.error
    for lacking in ({}, {"LETTA_API_KEY": "sk-o-tool-1"}):
        assert (await _run(sandbox, source, lacking)).error == "NameError: name 'client' is not defined"


async def test_a_client_costs_nothing_until_it_is_used_and_a_tools_own_goes_before(sandbox: SocketSandbox) -> None:
    source = "seen = client\n{}\ndef tool():\n    import sys\n    return [str(client), 'letta_client' in sys.modules]"
    assert (await _run(sandbox, source.format(""), _KEYS)).value == ["<client of O>", False]
    assert (await _run(sandbox, source.format("client = 'mine'"), _KEYS)).value == ["mine", False]


async def test_a_module_begins_with_nothing_else(sandbox: SocketSandbox) -> None:
    source = "found = sorted(name for name in globals() if not name.startswith('__'))\ndef tool():\n    return found"
    assert (await _run(sandbox, source)).value == []
