"""The sandbox as a worker sees it: every question a connection to the executor's socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from o.errors import InvalidArgument
from o.sandbox import protocol
from o.sandbox.base import CodeCall, CodeResult, Egress, Limits, Process, SandboxReport, SandboxUnavailable

_CONNECT_TIMEOUT = 10.0
# Seconds beyond a call's own that its executor has for what is around it: its self-test, a cold start, cleaning up.
_GRACE = 90.0
_NO_ANSWER = "the sandbox does not answer at {path}: run `o up` or `o executor`"
_LOST = "the sandbox went away during the call; whether the code did its work is not known"

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class SocketSandbox:
    """The executor behind a unix socket.

    Args:
        build_egress: gives the way out that `prepare` may use, for as long as it is open; None for none.
        index: URL of the package index that `prepare` asks; None for the usual one.
    """

    def __init__(
        self,
        path: Path,
        *,
        build_egress: Callable[[], AbstractAsyncContextManager[Egress]] | None = None,
        index: str | None = None,
    ) -> None:
        self.path = path
        self._index = index
        self._build_egress = build_egress

    async def run(self, call: CodeCall) -> CodeResult:
        """See `Sandbox.run`."""
        async with self._connection() as (reader, writer):
            await self._send(writer, protocol.RunAsk(call=call))
            try:
                async with asyncio.timeout(call.limits.wall + _GRACE):
                    answer = await protocol.read_answer(reader)
            except (protocol.BrokenFrame, TimeoutError):
                answer = None
            match answer:
                case protocol.RunAnswer():
                    return answer.result
                case protocol.Refusal():
                    raise SandboxUnavailable(answer.message)
        return CodeResult(outcome="crashed", error=_LOST)

    async def prepare(self, requirements: tuple[str, ...]) -> str:
        """See `Sandbox.prepare`."""
        if self._build_egress is None:
            return await self._prepare(requirements, None)
        async with self._build_egress() as egress:
            return await self._prepare(requirements, egress)

    async def start(
        self, command: tuple[str, ...], environment: dict[str, str], *, egress: Egress | None, limits: Limits
    ) -> Process:
        """See `Sandbox.start`."""
        reader, writer = await self._connect()
        try:
            ask = protocol.StartAsk(command=command, environment=environment, egress=egress, limits=limits)
            await self._send(writer, ask)
            self._expect(await self._answer(reader), protocol.StartAnswer)
        except BaseException:
            writer.close()
            raise
        return _SocketProcess(reader, writer)

    async def report(self) -> SandboxReport:
        """See `Sandbox.report`; waits for the self-test to end."""
        async with self._connection() as (reader, writer):
            await self._send(writer, protocol.ReportAsk())
            return self._expect(await self._answer(reader), protocol.ReportAnswer).report

    async def _prepare(self, requirements: tuple[str, ...], egress: Egress | None) -> str:
        async with self._connection() as (reader, writer):
            await self._send(writer, protocol.PrepareAsk(requirements=requirements, egress=egress, index=self._index))
            return self._expect(await self._answer(reader), protocol.PrepareAnswer).libraries

    async def _connect(self) -> _Connection:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                return await asyncio.open_unix_connection(str(self.path))
        except (OSError, TimeoutError) as error:
            raise SandboxUnavailable(_NO_ANSWER.format(path=self.path)) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        reader, writer = await self._connect()
        try:
            yield reader, writer
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, message: protocol.Ask) -> None:
        try:
            writer.write(protocol.pack(message))
            await writer.drain()
        except ValueError as error:
            raise SandboxUnavailable("the call is too large to be handed to the sandbox") from error
        except OSError as error:
            raise SandboxUnavailable(_NO_ANSWER.format(path=self.path)) from error

    async def _answer(self, reader: asyncio.StreamReader) -> protocol.Answer:
        try:
            answer = await protocol.read_answer(reader)
        except protocol.BrokenFrame:
            answer = None
        if answer is None:
            raise SandboxUnavailable(_NO_ANSWER.format(path=self.path))
        return answer

    def _expect(self, answer: protocol.Answer, kind: type[protocol.AnswerKind]) -> protocol.AnswerKind:
        if isinstance(answer, protocol.Refusal):
            raise InvalidArgument(answer.message) if answer.kind == "invalid" else SandboxUnavailable(answer.message)
        if not isinstance(answer, kind):
            raise SandboxUnavailable(_NO_ANSWER.format(path=self.path))
        return answer


class _SocketProcess:
    """A program in the sandbox; closing the connection kills it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write(self, data: bytes) -> None:
        try:
            self._writer.write(protocol.pack(data))
            await self._writer.drain()
        except (OSError, RuntimeError) as error:
            raise SandboxUnavailable("the program in the sandbox has ended") from error

    async def read(self) -> bytes:
        try:
            return await protocol.read_bytes(self._reader)
        except protocol.BrokenFrame:
            return b""

    async def close(self) -> None:
        self._writer.transport.abort()  # what was not sent yet need not be: nobody will read it
        with suppress(OSError):
            await self._writer.wait_closed()
