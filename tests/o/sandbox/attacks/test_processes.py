"""Other processes, the terminal and inherited descriptors: out of a call's reach."""

import ctypes
import os
from pathlib import Path

from o.sandbox.base import Limits
from tests.support.attacks import LIMITS, ORDINARY, Arena

SIGNALS = """
import resource, signal

def attack(pids):
    targets = {os.getppid(), 1, *pids} - {os.getpid()}
    for pid in sorted(targets):
        for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM, 0):
            attempt("%s to %d" % (number, pid), lambda: harmed(pid, number))
        attempt("the limits of %d" % pid, lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0)))
        attempt("the priority of %d" % pid, lambda: os.setpriority(os.PRIO_PROCESS, pid, 19) is None)
        attempt("the processors of %d" % pid, lambda: os.sched_setaffinity(pid, {0}) is None)
        for name in ("fd/0", "fd/1", "fd/2", "fd/3", "fd/4", "mem", "oom_score_adj", "comm", "clear_refs", "coredump_filter"):
            attempt("/proc/%d/%s" % (pid, name), lambda: put("/proc/%d/%s" % (pid, name), b"junk"))
    def owner(how, pid):
        left, right = os.pipe()
        return syscall(NUMBERS[os.uname().machine], left, 8, pid) == 0
    NUMBERS = {"x86_64": 72, "aarch64": 25}
    for pid in sorted(targets):
        attempt("signals of a descriptor to %d" % pid, lambda: owner("F_SETOWN", pid))
    return verdict()

def harmed(pid, number):
    if pid == 1:
        # Init of a namespace may be signalled, and ignores what comes from inside.
        os.kill(pid, number)
        return False
    os.kill(pid, number)
    return True
"""


async def test_the_executor_and_its_parents_are_not_touched(arena: Arena) -> None:
    executor = arena.running.process.pid
    about = os.stat(f"/proc/{executor}")
    await arena.assault(SIGNALS, pids=[executor, os.getpid(), os.getppid()])
    status = Path(f"/proc/{executor}/status").read_text()
    assert "\nState:\tT" not in status
    assert os.stat(f"/proc/{executor}") == about or arena.running.process.poll() is None
    assert os.getpriority(os.PRIO_PROCESS, executor) == os.getpriority(os.PRIO_PROCESS, 0)


async def test_a_signal_to_everybody_ends_nobody_else(arena: Arena) -> None:
    """The call may well end itself so."""
    neighbour = await arena.sandbox.start(("/bin/cat",), {}, egress=None, limits=LIMITS)
    for target in (-1, 0):
        for number in (19, 15, 9):
            result = await arena.run("def attack(t, n): os.kill(t, n)", t=target, n=number, limits=_short())
            assert result.outcome in ("raised", "crashed", "timeout", "returned"), result
    await neighbour.write(b"still here\n")
    assert await neighbour.read() == b"still here\n"
    await neighbour.close()
    await arena.unharmed()


DESCRIPTORS = """
import fcntl, stat, struct, termios

def attack():
    open_now = []
    for number in range(1 << 16):
        try:
            about = os.fstat(number)
        except OSError:
            continue
        open_now.append([number, stat.S_IFMT(about.st_mode), os.get_inheritable(number)])
    for number in range(8):
        attempt("TIOCSTI %d" % number, lambda: fcntl.ioctl(number, termios.TIOCSTI, b"x") == b"x")
        attempt("TIOCLINUX %d" % number, lambda: fcntl.ioctl(number, 0x541C, b"\\x02") is not None)
        attempt("TIOCSCTTY %d" % number, lambda: fcntl.ioctl(number, termios.TIOCSCTTY, 1) is not None)
        attempt("isatty %d" % number, lambda: os.isatty(number))
    for path in ("/dev/tty", "/dev/console", "/dev/ptmx", "/dev/pts/ptmx", "/dev/tty0", "/dev/pts/0", "/dev/vcs"):
        attempt(path, lambda: os.open(path, os.O_RDWR | os.O_NOCTTY) > 0)
    for number in (0, 1, 2, 3):
        attempt("rights of %d" % number, lambda: os.read(number, 16) if number else os.write(number, b"x"))
    return verdict() | {"open": open_now, "session": os.getsid(0)}
"""


async def test_there_is_no_terminal_and_no_inherited_descriptor(arena: Arena) -> None:
    result = await arena.run(DESCRIPTORS)
    assert result.outcome == "returned", (result.error, result.stderr)
    # stdin, stdout, stderr, and where the result goes.
    numbers = [number for number, _, _ in result.value["open"]]
    assert numbers[:3] == [0, 1, 2]
    assert len(numbers) == 4
    character_device, pipe = 0o020000, 0o010000
    assert [kind for _, kind, _ in result.value["open"]] == [character_device, pipe, pipe, pipe]
    assert not result.value["open"][3][2]
    assert result.value["session"] != os.getsid(arena.running.process.pid)
    assert result.value["won"] == [], result.value["won"]
    await arena.unharmed(result)


async def test_memory_that_processes_share_by_number_is_not_reached(arena: Arena) -> None:
    """Postgres keeps such a segment; where there is no namespace, the user's rights alone would protect it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    segment = libc.shmget(0, 4096, 0o1666)
    assert segment >= 0
    try:
        address = libc.shmat(segment, None, 0)
        ctypes.memmove(address, arena.secret.encode(), len(arena.secret))
        source = """
def attack(segment, user):
    LIBC.shmat.restype = ctypes.c_void_p
    def attached():
        address = LIBC.shmat(segment, None, 0)
        if address in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), "refused")
        return ctypes.string_at(address, 64)
    def called(result):
        if result < 0:
            raise OSError(ctypes.get_errno(), "refused")
        return True
    attempt("reading it", attached)
    attempt("removing it", lambda: called(LIBC.shmctl(segment, 0, None)))
    attempt("one of its own", lambda: called(LIBC.shmget(0, 1 << 20, 0o1600)))
    return verdict()
"""
        await arena.assault(source, segment=segment, user=ORDINARY)
        assert ctypes.string_at(address, len(arena.secret)) == arena.secret.encode()
        libc.shmdt(ctypes.c_void_p(address))
    finally:
        assert libc.shmctl(segment, 0, None) == 0


def _short() -> Limits:
    return LIMITS.model_copy(update={"wall": 0.5})
