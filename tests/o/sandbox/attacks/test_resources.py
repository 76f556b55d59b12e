"""Bombs: processes, threads, memory, disk and descriptors run out for the call alone."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from o.sandbox import tree
from o.sandbox.base import MIB, CodeResult
from tests.support.attack_targets import Watch
from tests.support.attacks import LIMITS, Arena

_BOMB = LIMITS.model_copy(update={"wall": 1.0})
_LARGE = LIMITS.model_copy(update={"wall": 10.0})

FORKS = {
    "forks": "import os\ndef attack():\n    while True:\n        try: os.fork()\n        except OSError: pass",
    "threads": "import threading, time\ndef attack():\n    while True:\n        try: threading.Thread(target=time.sleep, args=(60,)).start()\n        except RuntimeError: pass",
    "programs": "import subprocess\ndef attack():\n    while True:\n        try: subprocess.Popen(['/bin/sh', '-c', '$0 $0 & $0', 'sleep 60'], start_new_session=True)\n        except OSError: pass",
    "sessions": "import os\ndef attack():\n    while True:\n        try:\n            if os.fork() == 0: os.setsid()\n            else: os._exit(0)\n        except OSError: pass",
}


async def test_bombs_of_processes(arena: Arena) -> None:
    async with Watch(lambda: _threads(arena)) as watch:
        results = await asyncio.gather(*(arena.run(source, limits=_BOMB) for source in FORKS.values()))
    for name, result in zip(FORKS, results, strict=True):
        # Threads may run out of room for their stacks before they are too many.
        assert result.outcome in ("timeout", "crashed", "memory", "raised"), (name, result)
        assert result.seconds < 6, (name, result)
    # What waits in the pool, and what bubblewrap and the reaper add, is counted as well.
    assert watch.most <= len(FORKS) * (LIMITS.processes + 4) + 2 * arena.resting
    await arena.unharmed(*results)


MEMORY = {
    "a list": "def attack():\n    held = []\n    while True: held.append(list(range(100000)))",
    "one array": "def attack(): return len(bytearray(1 << 34))",
    "text": "def attack():\n    held = 'x'\n    while True: held += held",
    "anonymous maps": "import mmap\ndef attack():\n    held = []\n    while True:\n        held.append(mmap.mmap(-1, 8 << 20))\n        held[-1].write(bytes(8 << 20))",
    "shared maps and children": """
import mmap, os, time
def attack():
    for _ in range(16):
        if os.fork() == 0:
            page = mmap.mmap(-1, 40 << 20)
            page.write(b"x" * (40 << 20))
            time.sleep(60)
    time.sleep(60)
""",
    "many below the limit": """
import os, time
def attack():
    for _ in range(16):
        if os.fork() == 0:
            held = bytearray(os.urandom(1 << 20) * 48)
            time.sleep(60)
    time.sleep(60)
""",
    "forgotten segments": """
def attack():
    LIBC.shmat.restype = ctypes.c_void_p
    for number in range(400):
        segment = LIBC.shmget(0, 4 << 20, 0o1600)
        if segment < 0:
            raise OSError(ctypes.get_errno(), "refused")
        address = LIBC.shmat(segment, None, 0)
        ctypes.memset(address, 1, 4 << 20)
        LIBC.shmdt(ctypes.c_void_p(address))
    return "won"
""",
    "anonymous files": """
def attack():
    for number in range(60):
        descriptor = os.memfd_create("x")
        os.write(descriptor, bytes(8 << 20))
    return "won"
""",
    "shared memory of files": """
import mmap
def attack():
    for place in ("/dev/shm", "/tmp", os.getcwd(), "/run", "/dev"):
        for number in range(100):
            try:
                with open("%s/%d" % (place, number), "wb") as file:
                    file.write(bytes(4 << 20))
            except OSError:
                break
        else:
            return "won"
    raise OSError(28, "refused")
""",
    "recursion": "import sys\nsys.setrecursionlimit(1 << 30)\ndef attack(depth=0): return attack(depth + 1)",
    "a pattern": "import re\ndef attack(): return bool(re.match('(a*)*b', 'a' * 64))",
    "numbers": "def attack(): return str(9 ** (9 ** 9))[:1]",
    "sockets' buffers": """
import socket
def attack():
    total = 0
    def fill():
        held = []
        sent = 0
        try:
            while True:
                pair = socket.socketpair()
                held.append(pair)
                for each in pair:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30)
                    each.setblocking(False)
                    try:
                        while True: sent += each.send(bytes(1 << 16))
                    except BlockingIOError: pass
        except OSError:
            return sent
    return fill() < (64 << 20)
""",
}


async def test_bombs_of_memory(arena: Arena) -> None:
    names = list(MEMORY)
    limits = arena.limits(wall=2.0, cpu=1)
    results: dict[str, CodeResult] = {}

    async def bomb(some: list[str]) -> None:
        for name in some:
            results[name] = await arena.run(MEMORY[name], limits=limits)

    def held() -> int:
        return tree.proportional([pid for pid in arena.processes() if pid != arena.running.process.pid])

    async with Watch(held, every=0.1) as watch:
        await asyncio.gather(bomb(names[::2]), bomb(names[1::2]))
    won = {
        name: result for name, result in results.items() if result.outcome == "returned" and result.value is not True
    }
    assert won == {}
    ends = {name: (result.outcome, (result.error or "")[:40]) for name, result in results.items()}
    assert ends["a list"][0] in ("raised", "memory"), ends
    assert ends["one array"] == ("raised", "MemoryError"), ends
    assert ends["shared maps and children"][0] == "memory", ends
    assert ends["many below the limit"][0] == "memory", ends
    # Two at once, each seen a moment after it passed its limit.
    assert watch.most < 1024 * MIB
    await arena.unharmed(*results.values())


DISK = {
    "one file": """
def attack():
    with open("file", "wb") as file:
        while True:
            file.write(bytes(1 << 20))
""",
    "many files": """
def attack():
    number = 0
    while True:
        number += 1
        with open("f%d" % number, "wb") as file:
            file.write(bytes(1 << 20))
""",
    "a sparse file": "def attack():\n    os.truncate(open('sparse', 'w').fileno(), 1 << 40)\n    return 'won'",
    "a reserved file": "def attack():\n    os.posix_fallocate(open('reserved', 'w').fileno(), 0, 1 << 34)\n    return 'won'",
    "a million files": """
def attack():
    for number in range(1_000_000):
        os.close(os.open("%d" % number, os.O_CREAT | os.O_WRONLY))
    return "won"
""",
    "a million folders": """
def attack():
    for number in range(1_000_000):
        os.mkdir("%d" % number)
        if number % 100 == 0:
            os.chdir("%d" % number)
    return "won"
""",
    "a million names of one file": """
def attack():
    open("file", "w").close()
    for number in range(1_000_000):
        os.link("file", "%d" % number)
    return "won"
""",
    "files without a name": """
import time
def attack():
    held = []
    for number in range(50):
        held.append(open("file", "wb"))
        os.unlink("file")
        held[-1].write(bytes(8 << 20))
        held[-1].flush()
    time.sleep(60)
    return "won"
""",
    "a folder that cannot be listed": """
import time
def attack():
    os.mkdir("hidden", 0o300)
    for number in range(50):
        with open("hidden/%d" % number, "wb") as file:
            file.write(bytes(4 << 20))
    time.sleep(60)
    return "won"
""",
    "descriptors": """
def attack():
    held = []
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
""",
    "pipes": """
def attack():
    held = []
    while True:
        held.append(os.pipe())
""",
}


async def test_bombs_of_files(arena: Arena) -> None:
    free = _free(arena)
    names = list(DISK)
    results: dict[str, CodeResult] = {}

    async def bomb(some: list[str]) -> None:
        for name in some:
            results[name] = await arena.run(DISK[name], limits=_LARGE)

    async with Watch(lambda: free - _free(arena)) as watch:
        await asyncio.gather(bomb(names[::2]), bomb(names[1::2]))
    assert [name for name, result in results.items() if result.outcome == "returned"] == []
    for name in ("descriptors", "pipes"):
        assert "Errno 24" in (results[name].error or ""), results[name]
    for name in ("a sparse file", "a reserved file"):
        assert "Errno" in (results[name].error or ""), results[name]
    assert max(result.seconds for result in results.values()) < _LARGE.wall, results
    assert watch.most < 2048 * MIB  # others use this disk too
    assert watch.gap < 0.5
    await arena.unharmed(*results.values())


def _free(arena: Arena) -> int:
    found = os.statvfs(arena.scratch)
    return found.f_bavail * found.f_frsize


def _threads(arena: Arena) -> int:
    return sum(1 for pid in arena.processes() for _ in _tasks(pid))


def _tasks(pid: int) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from Path(f"/proc/{pid}/task").iterdir()
