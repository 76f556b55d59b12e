"""One sandboxed process as the executor holds it: its descriptors, its end, and the end of all it started."""

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from o.sandbox import tree
from o.sandbox.base import SandboxUnavailable
from o.sandbox.cgroup import Group
from o.sandbox.output import Kept

_LENGTH = struct.Struct("!I")
_CHUNK = 1 << 16
_LONGEST_GREETING = 1 << 16
_DEATH_TIMEOUT = 5.0
_LAST_READS = 64  # far more than a pipe holds, and an end, should a writer have outlived the kill


class Sandboxed:
    """A process with namespaces of its own, or with an init of its own in their place. Use `gone` to let go of it."""

    def __init__(
        self,
        popen: "subprocess.Popen[bytes]",
        control: socket.socket,
        result: int,
        stdout: int,
        stderr: int,
        stdin: int | None,
        *,
        folder: Path | None,
        namespace: bool,
        group: Group | None = None,
    ) -> None:
        self.pid = popen.pid
        self.folder = folder
        self.group = group
        self.stdout, self.stderr, self.result, self.stdin = stdout, stderr, result, stdin
        self.ended = asyncio.Event()
        self._popen = popen
        self._control: socket.socket | None = control
        self._namespace = namespace
        self._init: int | None = None
        self._release: Callable[[], None] | None = None
        self._draining: dict[int, Kept] = {}
        self._let_go = False
        self._leaving: asyncio.Task[None] | None = None
        control.setblocking(False)
        for descriptor in (stdout, stderr, result, *(() if stdin is None else (stdin,))):
            os.set_blocking(descriptor, False)
        self._handle = os.pidfd_open(popen.pid)
        asyncio.get_running_loop().add_reader(self._handle, self._reap)

    @property
    def code(self) -> int | None:
        """How it ended: 0 to 127 as it left itself, 128 + number by a signal, None while it runs."""
        code = self._popen.returncode
        return 128 - code if code is not None and code < 0 else code

    def on_gone(self, release: Callable[[], None]) -> None:
        """Have `release` called when nothing of the process is left."""
        self._release = release

    async def feed(self, document: object) -> None:
        """Send one document to its control descriptor. Raises OSError once it is gone."""
        if self._control is None:
            raise BrokenPipeError
        body = json.dumps(document).encode()
        await asyncio.get_running_loop().sock_sendall(self._control, _LENGTH.pack(len(body)) + body)

    def close_control(self) -> None:
        """No more documents: who waits for one leaves."""
        if self._control is not None:
            self._control.close()
            self._control = None

    async def ready(self) -> dict[str, object]:
        """Wait until it is confined; says what by. Raises SandboxUnavailable."""
        data = bytearray()
        while len(data) < _LENGTH.size or len(data) < _LENGTH.size + _LENGTH.unpack_from(data)[0]:
            # One document and no byte more: the rest of the pipe is the result.
            missing = _LENGTH.size - len(data)
            if missing <= 0:
                missing = _LENGTH.size + _LENGTH.unpack_from(data)[0] - len(data)
            if (part := await read_some(self.result, missing)) == b"" or len(data) > _LONGEST_GREETING:
                raise SandboxUnavailable(f"a sandboxed process did not start{await self._last_words()}")
            data += part
        greeting = json.loads(bytes(data[_LENGTH.size :]))
        if "ready" not in greeting:
            raise SandboxUnavailable(f"a sandboxed process could not be confined: {greeting.get('refused')}")
        family = tree.descendants(self.pid)
        if self._namespace and len(family) > 1:
            self._init = os.pidfd_open(family[1])
        return dict(greeting["ready"])

    def keep_output(self, limit: int) -> tuple[Kept, Kept]:
        """Take in stdout and stderr from now on, whether anybody looks or not."""
        kept = Kept(limit), Kept(limit)
        for descriptor, into in zip((self.stdout, self.stderr), kept, strict=True):
            self.drain(descriptor, into)
        return kept

    def drain(self, descriptor: int, into: Kept) -> None:
        """Take in what comes."""
        self._draining[descriptor] = into

        def take() -> None:
            if not self._take(descriptor):
                asyncio.get_running_loop().remove_reader(descriptor)

        asyncio.get_running_loop().add_reader(descriptor, take)

    def kill(self) -> None:
        """Kill it and all it started, now. Harmless when it is dead."""
        if self.group is not None and self._popen.returncode is None:
            self.group.kill()
        if self._init is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init, signal.SIGKILL)
        if self._popen.returncode is None:
            # Where there is an init, the process itself stays to reap it, and ends with it.
            if self._namespace and self._init is None:
                # Killed alone, bubblewrap would leave a child behind that waits for it for ever.
                tree.kill(self.pid)
            elif not self._namespace:
                # Its init ends the rest, and itself last: what is being forked at this moment has to fall to it.
                self._popen.terminate()

    async def gone(self) -> None:
        """Wait until nothing of it is left, and free what it held. What it wrote before is taken in first."""
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave())
        await asyncio.shield(self._leaving)

    async def _leave(self) -> None:
        self._let_go = True
        try:
            async with asyncio.timeout(_DEATH_TIMEOUT):
                await self.ended.wait()
                if self._init is not None:
                    await _readable(self._init)
        except TimeoutError:
            self.kill()
            if self._popen.returncode is None:
                tree.kill(self.pid)
        loop = asyncio.get_running_loop()
        for descriptor in list(self._draining):
            for _ in range(_LAST_READS):
                if not self._take(descriptor):
                    break
        for held in (self.stdout, self.stderr, self.result, self.stdin, self._init):
            if held is not None:
                loop.remove_reader(held)
                os.close(held)
        self._init = None
        self.close_control()
        if self._release is not None:
            await asyncio.to_thread(self._release)  # there may be much to remove

    def _take(self, descriptor: int) -> bool:
        """Read once; whether there may be more."""
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return not self._let_go
        except OSError:
            return False
        self._draining[descriptor].add(data)
        return data != b""

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)
        self._popen.wait()
        self.ended.set()

    async def _last_words(self) -> str:
        words = await read_some(self.stderr, 4096)
        lines = words.decode(errors="replace").strip().splitlines()
        return f": {lines[-1][:200]}" if lines else ""


async def read_some(descriptor: int, most: int = _CHUNK) -> bytes:
    """The next bytes of a pipe, as soon as there are some; empty at its end."""
    while True:
        try:
            return os.read(descriptor, most)
        except BlockingIOError:
            await _readable(descriptor)


async def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, at the reader's pace. Raises OSError once nobody reads."""
    loop = asyncio.get_running_loop()
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            free = asyncio.Event()
            loop.add_writer(descriptor, free.set)
            try:
                await free.wait()
            finally:
                loop.remove_writer(descriptor)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    some = asyncio.Event()
    loop.add_reader(descriptor, some.set)
    try:
        await some.wait()
    finally:
        loop.remove_reader(descriptor)
