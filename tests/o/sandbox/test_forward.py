"""The forwarder in a process of its own, as in the sandbox, before a unix socket of the test's."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from o.sandbox import forward

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]

# Prints the port and then waits for its stdin to end.
_PROGRAM = "import sys, forward; print(forward.start_forwarder(sys.argv[1]), flush=True); sys.stdin.read()"


@asynccontextmanager
async def forwarding(path: Path, serve: Serve) -> AsyncIterator[int]:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_unix_server(closing, path):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _PROGRAM, str(path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(forward.__file__).parent,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(await process.stdout.readline())
        finally:
            process.stdin.close()
            await process.wait()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()


async def send_all(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:

        async def send() -> None:
            writer.write(data)
            await writer.drain()
            writer.write_eof()

        _, heard = await asyncio.gather(send(), reader.read())
        return heard
    finally:
        writer.close()


async def test_many_connections_at_once_and_each_whole(tmp_path: Path) -> None:
    async with forwarding(tmp_path / "s", echo) as port:
        sent = [os.urandom(500_000) for _ in range(20)]
        assert await asyncio.gather(*(send_all(port, data) for data in sent)) == sent


async def test_the_end_of_one_direction_leaves_the_other_open(tmp_path: Path) -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper() * 10_000)

    async with forwarding(tmp_path / "s", late) as port:
        assert await send_all(port, b"hello") == b"HELLO" * 10_000


async def test_a_proxy_that_hangs_up_ends_the_connection(tmp_path: Path) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"no")

    async with forwarding(tmp_path / "s", rude) as port:
        assert await send_all(port, b"") == b"no"


async def test_more_connections_than_it_takes_are_closed_and_later_ones_taken(tmp_path: Path) -> None:
    async with forwarding(tmp_path / "s", echo) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(64)]
        for _, writer in held:
            writer.write(b"x")
        for reader, _ in held:
            assert await reader.read(1) == b"x"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()
        for reader, one in held:
            one.write_eof()
            assert await reader.read() == b""
            one.close()
        assert await send_all(port, b"again") == b"again"


async def test_an_idle_connection_costs_no_time(tmp_path: Path) -> None:
    """Half-closed or waiting, a connection must not make the thread turn in circles."""
    program = (
        "import sys, time, socket, forward\n"
        "port = forward.start_forwarder(sys.argv[1])\n"
        "end = socket.create_connection(('127.0.0.1', port)); end.send(b'x'); end.recv(1)\n"
        "end.shutdown(socket.SHUT_WR)\n"
        "before = time.process_time(); time.sleep(0.5); print(time.process_time() - before)\n"
    )

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(1))
        await writer.drain()
        await reader.read()
        await over.wait()
        writer.close()

    over = asyncio.Event()
    async with await asyncio.start_unix_server(keep, tmp_path / "s"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, str(tmp_path / "s")),
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(forward.__file__).parent,
        )
        out, _ = await process.communicate()
        over.set()
    assert float(out) < 0.25


async def run(*command: str, environment: dict[str, str]) -> tuple[int | None, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", forward.__file__, "/nowhere.sock", *command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    out, err = await process.communicate()
    return process.returncode, out, err


async def test_a_command_finds_the_way_out_and_its_status_is_kept() -> None:
    code = "import os, sys; print(os.environ['HTTPS_PROXY'], os.environ.get('O_EGRESS_TOKEN')); sys.exit(7)"
    status, out, _ = await run(sys.executable, "-c", code, environment={"O_EGRESS_TOKEN": "secret"})
    assert status == 7
    assert out.startswith(b"http://o:secret@127.0.0.1:")
    assert out.endswith(b" None\n")


async def test_a_command_that_dies_of_a_signal_and_one_that_is_not_there() -> None:
    kill = "import os; os.kill(os.getpid(), 9)"
    assert (await run(sys.executable, "-c", kill, environment={"O_EGRESS_TOKEN": "x"}))[0] == 137
    status, _, err = await run("/nowhere", environment={"O_EGRESS_TOKEN": "x"})
    assert (status, err) == (127, b"/nowhere cannot be started: No such file or directory\n")


def test_the_variables_leave_no_host_out() -> None:
    variables = forward.proxy_variables(1234, "t")
    assert {variables[name] for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY")} == {"http://o:t@127.0.0.1:1234"}
    assert variables["NO_PROXY"] == variables["no_proxy"] == ""
