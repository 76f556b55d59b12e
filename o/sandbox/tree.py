"""Process trees as /proc shows them: how much memory and how many processes, and how to end one whole."""

import os
import signal
from contextlib import suppress
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def descendants(pid: int) -> list[int]:
    """The processes under `pid`, itself first, as far as they can be seen now."""
    found = [pid]
    for each in found:
        with suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_bytes().split())
    return found


def threads(pids: list[int]) -> int:
    """Threads of all these processes together."""
    count = 0
    for pid in pids:
        with suppress(OSError):
            count += len(list(Path(f"/proc/{pid}/task").iterdir()))
    return count


def resident(pids: list[int]) -> int:
    """Bytes resident, what they share counted for each: a cheap upper bound."""
    total = 0
    for pid in pids:
        with suppress(OSError, IndexError):
            total += int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    return total * _PAGE


def proportional(pids: list[int]) -> int:
    """Bytes resident, what they share counted once."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
                if line.startswith(b"Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def kill(pid: int) -> None:
    """Kill `pid` and all under it; they are stopped first, so that none escapes by forking."""
    pids: list[int] = []
    while (now := descendants(pid)) != pids:
        pids = now
        _signal(pids, signal.SIGSTOP)
    _signal(pids, signal.SIGKILL)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
