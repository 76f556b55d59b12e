"""One call of untrusted code from its hand-over to its result, whatever it does."""

import asyncio
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

from o.sandbox import bubblewrap, machine, result, watchdog
from o.sandbox.base import CodeCall, CodeResult, Language, Outcome, SandboxUnavailable
from o.sandbox.launch import Launch, Launcher, confine_limits, standard_environment
from o.sandbox.output import Kept
from o.sandbox.pool import Pool
from o.sandbox.process import Sandboxed
from o.sandbox.typescript import TypeScript, find_node

_STATE_ALLOWANCE = 4 * 2**20  # bytes of a result besides its value: the agent's state, the error, the frame
_LIBRARIES = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z._-]{0,127}")


class Calls:
    """Runs calls.

    Args:
        libraries: folder of prepared requirements, each in a folder of its own name.
        typescript: who runs that; None looks for a Node.
    """

    def __init__(self, launcher: Launcher, pool: Pool, libraries: Path, typescript: TypeScript | None = None) -> None:
        self._launcher = launcher
        self._pool = pool
        self._libraries = libraries
        self._typescript = typescript or TypeScript(find_node())

    async def run(self, call: CodeCall) -> CodeResult:
        """Run it. When cancelled, all of it is dead before this returns.

        Raises:
            SandboxUnavailable: nothing was run.
        """
        libraries = self._folder(call.libraries)
        if call.language == "typescript":
            order = self._typescript.order(call)
            child = await self._launcher.start(self._typescript.launch(call))
        else:
            child = await self._pool.take(call) or await self._launcher.start(self._launch(call, libraries))
            order = self._order(call, child, libraries)
        self._pool.fill()
        try:
            return await _Running(child, call).run(order)
        finally:
            child.kill()
            await child.gone()

    async def languages(self) -> tuple[Language, ...]:
        """The languages that calls run in here, TypeScript only if it was seen to."""
        if not self._typescript.present:
            return ("python",)
        source = "export const twice = (n: number): number => 2 * n"
        probe = CodeCall(source=source, function="twice", language="typescript", arguments={"n": 21})
        with suppress(SandboxUnavailable):
            if (await self.run(probe)).value == 42:
                return ("python", "typescript")
        return ("python",)

    def _launch(self, call: CodeCall, libraries: Path | None) -> Launch:
        return Launch(
            limits=call.limits,
            readable=() if libraries is None else (libraries,),
            egress=None if call.egress is None else call.egress.socket,
        )

    def _folder(self, name: str | None) -> Path | None:
        if name is None:
            return None
        folder = self._libraries / name
        if _LIBRARIES.fullmatch(name) is None or not folder.is_dir():
            raise SandboxUnavailable("the tool's libraries are not prepared on this machine: prepare them again")
        return folder

    def _order(self, call: CodeCall, child: Sandboxed, libraries: Path | None) -> dict[str, object]:
        where = bubblewrap.FOLDER if child.folder is None else str(child.folder)
        return {
            "call": call.model_dump(include={"source", "function", "arguments", "agent_state"}),
            "environment": {**standard_environment(where), **call.environment},
            "libraries": [] if libraries is None else [str(libraries)],
            "site": machine.site_packages(),
            "token": call.egress and call.egress.token,
            "limits": vars(confine_limits(call.limits)),
        }


class _Running:
    """The supervisor's view of one call: what the process wrote, and the first thing that ended it."""

    def __init__(self, child: Sandboxed, call: CodeCall) -> None:
        self._child = child
        self._limits = call.limits
        self._most = call.limits.result + (0 if call.agent_state is None else _STATE_ALLOWANCE)

    async def run(self, order: dict[str, object]) -> CodeResult:
        stdout, stderr = self._child.keep_output(self._limits.output)
        self._lower()
        written = _Result(self._most)
        self._child.drain(self._child.result, written)
        started = time.monotonic()
        ended_by = await self._end(order, written)
        seconds = time.monotonic() - started
        if ended_by == "exit" and self._child.group is not None and self._child.group.ran_out_of_memory():
            ended_by = "memory"
        self._child.kill()
        await self._child.gone()
        outcome, error, document = self._judge(ended_by, written)
        return CodeResult(
            outcome=outcome,
            value=document.value if document is not None and outcome == "returned" else None,
            error=error,
            stdout=stdout.text(),
            stderr=stderr.text(),
            agent_state=None if document is None else document.agent_state,
            seconds=round(seconds, 6),
        )

    def _lower(self) -> None:
        """Have the group of a waiting child take this call's limits."""
        if self._child.group is not None:
            with suppress(OSError):  # it is dead, which its end says
                self._child.group.limit(self._limits, files=self._child.folder is None)

    async def _end(self, order: dict[str, object], written: "_Result") -> str:
        """Hand the call over and wait for what ends it: `exit`, `result`, `timeout`, or what the watchdog saw."""
        waits = {
            asyncio.create_task(self._child.ended.wait()): "exit",
            asyncio.create_task(written.flooded.wait()): "result",
        }
        watching = asyncio.create_task(watchdog.breach(self._child, self._limits))
        feeding = asyncio.create_task(self._feed(order))
        try:
            done, _ = await asyncio.wait(
                {*waits, watching}, timeout=self._limits.wall, return_when=asyncio.FIRST_COMPLETED
            )
            if watching in done:
                return watching.result()
            return next((waits[task] for task in waits if task in done), "timeout")
        finally:
            for task in (*waits, watching, feeding):
                task.cancel()
            await asyncio.gather(*waits, watching, feeding, return_exceptions=True)

    async def _feed(self, order: dict[str, object]) -> None:
        with suppress(OSError):  # it is dead, which its end says
            await self._child.feed(order)
        self._child.close_control()

    def _judge(self, ended_by: str, written: "_Result") -> tuple[Outcome, str | None, result.Document | None]:
        limits, code = self._limits, self._child.code
        match ended_by:
            case "timeout":
                return "timeout", f"the call took longer than {limits.wall:g} s and was ended", None
            case "memory":
                return "memory", f"the call used more than {limits.memory} bytes of memory and was ended", None
            case "processes":
                return "crashed", f"the call started more than {limits.processes} processes and was ended", None
            case "disk":
                return "crashed", f"the call wrote more than {limits.disk} bytes of files and was ended", None
            case "result":
                return "bad_result", f"the result is longer than {limits.result} bytes", None
        if code == 128 + signal.SIGXCPU:
            return "timeout", f"the call used more than {limits.cpu:g} s of processor time and was ended", None
        if code != 0:
            return "crashed", f"the code's process {_ending(code)} before it returned", None
        if not written.data:
            return "crashed", "the code left its process before it returned", None
        try:
            document = result.read(bytes(written.data))
        except result.BadResult as reason:
            return "bad_result", str(reason), None
        outcome: Outcome = "returned"
        if document.outcome == "raised":
            outcome = "raised"
        elif document.outcome == "bad_result":
            outcome = "bad_result"
        return outcome, None if outcome == "returned" else document.error, document


class _Result(Kept):
    """What came over the result descriptor; no more of it than a result may have."""

    def __init__(self, most: int) -> None:
        super().__init__(0)
        self._most = most + 4096
        self.data = bytearray()
        self.flooded = asyncio.Event()

    def add(self, data: bytes) -> None:
        if len(self.data) + len(data) > self._most:
            self.flooded.set()
        else:
            self.data += data


def _ending(code: int | None) -> str:
    if code is not None and code > 128:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(code - 128).name}"
    return f"ended with code {code}"
