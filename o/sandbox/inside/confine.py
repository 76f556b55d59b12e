"""Give up, for good, whatever a call does not need. Everything after this runs as if it were hostile already."""

import os
import resource
import signal
from dataclasses import dataclass, field

from o.sandbox.inside import landlock, libc, seccomp

_GRACE = 32 * 2**20  # bytes that a child may still take to say that its memory is used up
_STACK = 8 * 2**20


@dataclass(frozen=True)
class Limits:
    """The rlimits of one process; see `o.sandbox.base.Limits`.

    Attributes:
        fork_base: the user's other processes, which count as well.
        reserves: leave its address space alone.
    """

    cpu: float
    memory: int
    processes: int
    open_files: int
    disk: int
    fork_base: int = 0
    reserves: bool = False


@dataclass(frozen=True)
class Setup:
    """What the executor wants of a new process, before it may see a call.

    Attributes:
        user: uid and gid to take; None to stay who it is.
        folder: working folder, the only place it may write.
        inodes: files that folder's tmpfs may hold; None where it is an ordinary folder.
        readable, writable: trees that Landlock leaves open; None to leave Landlock out.
        policy: of the seccomp filter; None to leave it out.
        reaper: whether it needs an init of its own.
        egress: unix socket of the proxy; None for no network.
        command: program to become; None to wait for a call.
        environment: of that program.
        keep: whether that program gets the two descriptors of the executor.
        limits: see there.
    """

    limits: Limits
    folder: str
    user: int | None = None
    inodes: int | None = None
    readable: tuple[str, ...] | None = None
    writable: tuple[str, ...] = ()
    policy: seccomp.Policy | None = None
    reaper: bool = False
    egress: str | None = None
    command: tuple[str, ...] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    keep: bool = False


def confine(setup: Setup) -> dict[str, object]:
    """Confine this process as told; returns what the layers turned out to be. Raises OSError where one fails."""
    if setup.inodes is not None:
        libc.limit_tmpfs(setup.folder, setup.limits.disk, setup.inodes)
        # bubblewrap's init, which may be of the same user and is not filtered as its children are.
        libc.cover("/proc/1")
    os.umask(0o077)
    os.chdir(setup.folder)
    lower(setup.limits)
    if setup.user is not None:
        os.setgroups([])
        os.setresgid(setup.user, setup.user, setup.user)
        os.setresuid(setup.user, setup.user, setup.user)
        if setup.reaper:
            libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user clears it
    libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
    libc.drop_capabilities()
    found = 0
    if setup.readable is not None:
        found = landlock.restrict(
            readable=setup.readable, writable=setup.writable, tcp=setup.policy is not None and setup.policy.tcp
        )
    if setup.policy is not None:
        seccomp.install(setup.policy)
    return {"landlock": found, "seccomp": setup.policy is not None, "uid": os.getuid()}


def lower(limits: Limits) -> None:
    """Take these limits, or what is left of them where they are lower already."""
    base = _address_space()
    memory = base + limits.memory
    if not limits.reserves:
        _limit(resource.RLIMIT_AS, memory, memory + _GRACE)
    _limit(resource.RLIMIT_CPU, max(1, round(limits.cpu)), max(1, round(limits.cpu)) + 1)
    _limit(resource.RLIMIT_FSIZE, limits.disk)
    _limit(resource.RLIMIT_NPROC, limits.fork_base + limits.processes)
    _limit(resource.RLIMIT_NOFILE, limits.open_files)
    _limit(resource.RLIMIT_STACK, _STACK)
    _limit(resource.RLIMIT_CORE, 0)


def spare_memory() -> None:
    """Raise the soft limit of memory to the hard one, to say how the call ended."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _limit(which: int, soft: int, hard: int | None = None) -> None:
    _, highest = resource.getrlimit(which)
    wanted = soft if hard is None else hard
    ceiling = wanted if highest == resource.RLIM_INFINITY else min(wanted, highest)
    resource.setrlimit(which, (min(soft, ceiling), ceiling))


def _address_space() -> int:
    """Bytes that this process has mapped already: the interpreter's own, which a tool need not pay for."""
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - pathlib would be a slow import here
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return _GRACE  # Landlock without a pid namespace leaves no /proc; the first call of `lower` comes before it
