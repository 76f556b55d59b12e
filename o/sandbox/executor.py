"""The executor: a process without credentials or network that runs untrusted code for workers, over a unix socket."""

import argparse
import asyncio
import os
import select
import signal
import socket
import sys
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path

from o.errors import InvalidArgument
from o.sandbox import cgroup, protocol, watchdog
from o.sandbox.base import Limits, SandboxUnavailable
from o.sandbox.calls import Calls
from o.sandbox.launch import Launch, Launcher
from o.sandbox.libraries import Libraries
from o.sandbox.machine import Machine
from o.sandbox.output import Kept
from o.sandbox.pool import Pool
from o.sandbox.process import Sandboxed, read_some, write_all
from o.sandbox.scratch import scratch
from o.sandbox.selftest import SelfTest
from o.sandbox.way_out import with_way_out

_BACKLOG = 128
_LOOK_EVERY = 0.1  # seconds
LAYERS = ("bubblewrap", "landlock", "seccomp", "own-user", "cgroup")


class Executor:
    """Answers the questions of `o.sandbox.protocol`.

    Args:
        limits: what a call may use if it does not say.
        pool: warm children kept waiting.
        libraries: folder of prepared requirements.
        anyway: run code even where the self-test finds the isolation wanting.
    """

    def __init__(self, launcher: Launcher, *, limits: Limits, pool: int, libraries: Path, anyway: bool) -> None:
        self._launcher = launcher
        self._pool = Pool(launcher, limits, pool)
        self._calls = Calls(launcher, self._pool, libraries)
        self._libraries = Libraries(launcher, libraries)
        self._selftest = SelfTest(launcher, self._calls, limits, anyway=anyway)
        self._busy: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket) -> None:
        """Answer until cancelled; then kill what runs."""
        testing = asyncio.create_task(self._prove())
        server = await asyncio.start_unix_server(self._connected, sock=listener, backlog=_BACKLOG)
        try:
            async with server:
                await server.serve_forever()
        finally:
            testing.cancel()
            for task in self._busy:
                task.cancel()
            await asyncio.gather(testing, *self._busy, return_exceptions=True)
            await self._pool.close()

    async def _prove(self) -> None:
        report = await self._selftest.run()
        for layer in report.layers:
            print(f"{'holds ' if layer.active else 'ABSENT'} {layer.name}: {layer.note}", flush=True)  # noqa: T201
        print(report.message, flush=True)  # noqa: T201 - the log of this process is its output
        if self._selftest.usable:
            self._pool.fill()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        try:
            ask = await protocol.read_ask(reader)
            if ask is not None:
                await self._answer(ask, reader, writer)
        except (OSError, protocol.BrokenFrame):
            pass  # whoever asked is gone, or was no worker
        except asyncio.CancelledError:
            pass  # this process ends
        finally:
            self._busy.discard(task)
            writer.close()

    async def _answer(self, ask: protocol.Ask, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if isinstance(ask, protocol.StartAsk):
                await self._program(ask, reader, writer)
                return
            answer = await _while_connected(self._result(ask), reader)
        except SandboxUnavailable as error:
            answer = protocol.Refusal(kind="unavailable", message=error.message)
        except InvalidArgument as error:
            answer = protocol.Refusal(kind="invalid", message=error.message)
        if answer is not None:
            writer.write(protocol.pack(answer))
            await writer.drain()

    async def _result(self, ask: protocol.RunAsk | protocol.PrepareAsk | protocol.ReportAsk) -> protocol.Answer:
        match ask:
            case protocol.ReportAsk():
                return protocol.ReportAnswer(report=await self._selftest.report())
            case protocol.RunAsk():
                await self._selftest.require()
                return protocol.RunAnswer(result=await self._calls.run(ask.call))
            case protocol.PrepareAsk():
                await self._selftest.require()
                libraries = await self._libraries.prepare(ask.requirements, ask.egress, ask.index)
                return protocol.PrepareAnswer(libraries=libraries)

    async def _program(
        self, ask: protocol.StartAsk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self._selftest.require()
        command, environment = with_way_out(ask.command, ask.environment, ask.egress)
        process = await self._launcher.start(
            Launch(
                limits=ask.limits,
                command=command,
                environment=environment,
                egress=None if ask.egress is None else ask.egress.socket,
                stdin=True,
            )
        )
        try:
            writer.write(protocol.pack(protocol.StartAnswer()))
            await _relay(process, ask.limits, reader, writer)
        finally:
            process.kill()
            await process.gone()


async def _relay(
    process: Sandboxed, limits: Limits, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry bytes both ways, each at the pace of whoever reads, until one side ends or uses more than it may."""
    assert process.stdin is not None
    stdin = process.stdin
    process.drain(process.stderr, Kept(1024))

    async def inwards() -> None:
        while data := await protocol.read_bytes(reader):
            with suppress(OSError):
                await write_all(stdin, data)

    async def outwards() -> None:
        while data := await read_some(process.stdout):
            writer.write(protocol.pack(data))
            await writer.drain()

    watching = (watchdog.breach(process, limits), _hung_up(writer))
    tasks = {asyncio.create_task(each) for each in (inwards(), outwards(), *watching)}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _hung_up(writer: asyncio.StreamWriter) -> None:
    """Wait until the other side has closed, which reading does not tell while the program takes nothing more in."""
    poll = select.poll()
    poll.register(writer.get_extra_info("socket").fileno(), 0)  # the end of both directions is told unasked
    while True:
        if poll.poll(0):
            return
        await asyncio.sleep(_LOOK_EVERY)


async def _while_connected(work: Awaitable[protocol.Answer], reader: asyncio.StreamReader) -> protocol.Answer | None:
    """Await `work`, or cancel it when the other side closes; then there is nobody to answer."""
    task = asyncio.ensure_future(work)
    gone = asyncio.create_task(reader.read(1))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        return None
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


def listen(path: Path) -> socket.socket:
    """Listen on a unix socket for this user alone, in place of whatever socket lies there. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    previous = os.umask(0o177)
    try:
        listener.bind(str(fresh))
    finally:
        os.umask(previous)
    listener.listen(_BACKLOG)
    fresh.replace(path)  # who finds it can connect
    return listener


async def _serve(listener: socket.socket, launcher: Launcher, given: argparse.Namespace) -> None:
    executor = Executor(
        launcher,
        limits=Limits.model_validate_json(given.limits),
        pool=given.pool,
        libraries=given.libraries,
        anyway=given.allow_unsandboxed,
    )
    serving = asyncio.create_task(executor.serve(listener))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with suppress(asyncio.CancelledError):
        await serving


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    given = _parse(arguments)
    os.umask(0o077)
    listener = listen(given.socket) if given.fd is None else socket.socket(fileno=given.fd)
    groups, note = cgroup.find() if "cgroup" not in given.without else (None, "left out")
    with scratch() as folder:
        try:
            asyncio.run(_serve(listener, Launcher(Machine.found(given.without), folder, (groups, note)), given))
        finally:
            if groups is not None:
                groups.close()


def _parse(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m o.sandbox.executor", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--fd", type=int, help="take connections from this listening descriptor")
    where.add_argument("--socket", type=Path, help="listen on this unix socket")
    parser.add_argument("--pool", type=int, default=2, help="warm processes kept waiting")
    parser.add_argument("--limits", default="{}", help="default limits of a call, as JSON")
    parser.add_argument("--libraries", type=Path, default=Path("/nonexistent"), help="folder of prepared requirements")
    parser.add_argument("--without", action="append", default=[], choices=LAYERS, help="leave a layer out (tests)")
    parser.add_argument("--allow-unsandboxed", action="store_true", help="run code even where isolation is wanting")
    return parser.parse_args(given)


if __name__ == "__main__":
    main(sys.argv[1:])
