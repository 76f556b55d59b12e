"""Programs that talk over stdin and stdout, in the sandbox of a real executor."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from o.guard.policy import Guard, parse_allowed
from o.sandbox import machine
from o.sandbox.base import MIB, Egress, Limits, Process, SandboxUnavailable
from o.sandbox.client import SocketSandbox
from o.sandbox.egress import EgressProxy
from tests.support.egress import serving
from tests.support.sandbox import executor

LIMITS = Limits(memory=256 * MIB)

# Answers each JSON-RPC request on a line of its own.
SERVER = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    answer = {"id": asked["id"], "result": {"echo": asked["params"], "token": os.environ.get("TOKEN")}}
    print(json.dumps(answer), flush=True)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[SocketSandbox]:
    async with executor(pool=0) as made:
        yield made


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def start(
    sandbox: SocketSandbox, source: str, *arguments: str, egress: Egress | None = None, limits: Limits = LIMITS
) -> Process:
    command = (machine.interpreter(), "-I", "-c", source, *arguments)
    return await sandbox.start(command, {"TOKEN": "t"}, egress=egress, limits=limits)


async def read_line(process: Process) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = await process.read()
        assert piece, "it ended"
        line += piece
    return line


async def read_all(process: Process) -> bytes:
    """Everything it says until its end; then it is closed."""
    pieces = []
    while piece := await process.read():
        pieces.append(piece)
    await process.close()
    return b"".join(pieces)


async def ended(marker: str) -> None:
    """Wait until no process of this machine names the marker."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not any(marker in " ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])):
            return
        await asyncio.sleep(0.05)
    pytest.fail("it lives on")


async def test_requests_and_answers(sandbox: SocketSandbox) -> None:
    process = await start(sandbox, SERVER)
    for number, text in enumerate(["ü", "x" * 300_000]):
        await process.write(json.dumps({"id": number, "params": text}).encode() + b"\n")
        answer = json.loads(await read_line(process))
        assert answer == {"id": number, "result": {"echo": text, "token": "t"}}
    await process.close()


async def test_several_at_once_do_not_mix(sandbox: SocketSandbox) -> None:
    processes = await asyncio.gather(*(start(sandbox, SERVER) for _ in range(4)))
    for number, process in enumerate(processes):
        await process.write(json.dumps({"id": number, "params": None}).encode() + b"\n")
    assert [json.loads(await read_line(process))["id"] for process in processes] == [0, 1, 2, 3]
    await asyncio.gather(*(process.close() for process in processes))


async def test_closing_kills_it_and_all_it_started(sandbox: SocketSandbox) -> None:
    marker = secrets.token_hex(8)
    source = """
import subprocess, sys, time
stay = "import time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", stay, sys.argv[1]], start_new_session=True)
print("on", flush=True)
time.sleep(600)
"""
    process = await start(sandbox, source, marker)
    assert await read_line(process) == b"on\n"
    await process.close()
    await ended(marker)


async def test_who_goes_without_closing_leaves_nothing_running(sandbox: SocketSandbox) -> None:
    marker = secrets.token_hex(8)
    starting = asyncio.create_task(start(sandbox, "import time; time.sleep(600)", marker))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await ended(marker)


async def test_its_end_is_the_end_of_its_output(sandbox: SocketSandbox) -> None:
    process = await start(sandbox, "print('last words')")
    assert await read_line(process) == b"last words\n"
    assert await process.read() == b""
    with pytest.raises(SandboxUnavailable, match="ended"):
        for _ in range(100):
            await process.write(b"x" * 65_536)
    await process.close()


async def test_a_flood_waits_for_its_reader(sandbox: SocketSandbox) -> None:
    """Says, when nobody has read for a while, how much it got rid of: what lies in pipes and buffers on the way."""
    source = """
import os, select
os.set_blocking(1, False)
sent = 0
while select.select([], [1], [], 1.0)[1]:
    try:
        sent += os.write(1, b"x" * 65536)
    except BlockingIOError:
        pass
os.set_blocking(1, True)
os.write(1, f"\\n{sent}\\n".encode())
"""
    process = await start(sandbox, source)
    await asyncio.sleep(2)
    flood, sent, _ = (await read_all(process)).split(b"\n")
    assert len(flood) == int(sent)
    assert 65_536 <= int(sent) <= 4 * MIB


async def test_who_writes_waits_for_a_program_that_does_not_read(sandbox: SocketSandbox) -> None:
    process = await start(sandbox, "import time; time.sleep(600)")
    sent = 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            while sent < 64 * MIB:
                await process.write(b"x" * 65_536)
                sent += 65_536
    assert sent <= 4 * MIB
    await process.close()


async def test_a_flood_on_stderr_stops_nothing(sandbox: SocketSandbox) -> None:
    process = await start(sandbox, "import sys; sys.stderr.write('x' * 20_000_000); print('done')")
    assert await read_all(process) == b"done\n"


async def test_it_sees_and_reaches_no_more_than_a_call(sandbox: SocketSandbox) -> None:
    source = """
import json, os, socket
found = {"environment": sorted(os.environ), "descriptors": sorted(os.listdir("/proc/self/fd"))}
for name, attempt in {
    "file": lambda: open("/etc/shadow"),
    "network": lambda: socket.create_connection(("1.1.1.1", 53), timeout=2),
    "parent": lambda: os.kill(os.getppid(), 9) or os.getppid(),
}.items():
    try:
        attempt()
        found[name] = "reached"
    except OSError as error:
        found[name] = "refused"
print(json.dumps(found))
"""
    found = json.loads(await read_all(await start(sandbox, source)))
    assert (found["file"], found["network"]) == ("refused", "refused")
    # stdin, stdout, stderr and the folder that is being listed.
    assert found["descriptors"] == ["0", "1", "2", "3"]
    assert set(found["environment"]) <= {
        *("TOKEN", "PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "USER", "LOGNAME", "PYTHONDONTWRITEBYTECODE"),
    }


async def test_all_its_processes_together_have_the_memory_it_may_use(sandbox: SocketSandbox) -> None:
    source = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        held = b"x" * 60_000_000
        time.sleep(600)
print("on", flush=True)
time.sleep(600)
"""
    assert await read_all(await start(sandbox, source, limits=Limits(memory=128 * MIB))) in (b"on\n", b"")


async def test_a_program_that_is_not_there_ends_at_once(sandbox: SocketSandbox) -> None:
    process = await sandbox.start(("/nowhere",), {}, egress=None, limits=LIMITS)
    assert await process.read() == b""
    await process.close()


async def test_with_a_way_out_it_reaches_what_is_open(sandbox: SocketSandbox, tmp_path: Path) -> None:
    source = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1]).read().decode())
try:
    urllib.request.urlopen("http://169.254.169.254/")
except OSError as error:
    print(error)
"""
    async with (
        serving() as server,
        EgressProxy(Guard(parse_allowed("127.0.0.0/8")), tmp_path / "egress" / "s") as proxy,
        proxy.grant([f"127.0.0.1:{server.port}"]) as egress,
    ):
        process = await start(sandbox, source, f"http://127.0.0.1:{server.port}/", egress=egress)
        hello, refused, _ = (await read_all(process)).split(b"\n")
    assert hello == b"hello"
    assert refused.startswith(b"HTTP Error 403: 169.254.169.254 is not open to this tool")
