"""Init of a sandbox that has no pid namespace: no descendant of the call can outlive it or get away from it."""

import os
import signal
from contextlib import suppress

from o.sandbox.inside import libc


def fork() -> None:
    """Return in a child. The parent stays behind, adopts what the child leaves, and ends as the child ended.

    The parent dies only after its last descendant. SIGTERM, which is also what it gets when the executor dies, makes it
    kill them all.
    """
    libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 1)
    parent = os.getppid()
    signal.signal(signal.SIGTERM, lambda *_: _end(128 + signal.SIGKILL))
    libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        return
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    while True:
        pid, status = os.wait()
        if pid == child:
            _end(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def _end(code: int) -> None:
    """Kill all descendants and leave. They are stopped first: none escapes by forking faster than it is seen."""
    while True:
        stopped: list[int] = []
        while (found := _descendants(os.getpid())) != stopped:
            _signal(found, signal.SIGSTOP)
            stopped = found
        _signal(stopped, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            os._exit(code)


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _descendants(of: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib would be a slow import here
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123 - the same
                parents.setdefault(int(stat.read().rpartition(b")")[2].split()[1]), []).append(int(name))
    found = list(parents.get(of, ()))
    for pid in found:
        found += parents.get(pid, ())
    return found
