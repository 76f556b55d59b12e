"""Programs without any isolation, in place of a sandbox: for tests of what is said over their stdin and stdout."""

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field

from o.sandbox.base import CodeCall, CodeResult, Egress, Limits, SandboxReport, SandboxUnavailable


class Program:
    """`o.sandbox.base.Process` over a child in a group of its own."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child

    async def write(self, data: bytes) -> None:
        assert self.child.stdin is not None
        try:
            self.child.stdin.write(data)
            await self.child.stdin.drain()
        except OSError as error:
            raise SandboxUnavailable("the program has ended") from error

    async def read(self) -> bytes:
        assert self.child.stdout is not None
        return await self.child.stdout.read(65_536)

    async def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        assert self.child.stdin is not None
        self.child.stdin.close()
        await self.child.communicate()


@dataclass
class Programs:
    """`o.sandbox.base.Sandbox`, as far as programs go; it remembers those it started."""

    started: list[Program] = field(default_factory=list)

    async def start(
        self, command: tuple[str, ...], environment: dict[str, str], *, egress: Egress | None, limits: Limits
    ) -> Program:
        child = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self.started.append(Program(child))
        return self.started[-1]

    async def run(self, call: CodeCall) -> CodeResult:
        raise NotImplementedError

    async def prepare(self, requirements: tuple[str, ...]) -> str:
        raise NotImplementedError

    async def report(self) -> SandboxReport:
        raise NotImplementedError
