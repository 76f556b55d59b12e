"""cgroup v2: a group for each call, which limits and ends all its processes together, where groups may be made."""

import errno
import fcntl
import os
import re
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from o.sandbox.base import MIB, Limits

_PREFIX = "o-calls-"
# Where processes go that were in a group which now passes its controllers on: such a group may hold none itself.
_LEAF = "o-executors"
_NEEDED = ("memory", "pids")
_WANTED = (*_NEEDED, "cpu")
_ATTEMPTS = 10
# Besides the call's own: the interpreter, bubblewrap, and what the kernel holds for them.
_OUR_MEMORY = 32 * MIB
_OUR_PROCESSES = 2
_PERIOD = 100_000  # microseconds
_END_TIMEOUT = 5.0
_POLL = 0.01
_ENTER = 'echo 0 > "$0" && exec "$@"'


class NotDelegated(Exception):
    """No groups may be made here; says why."""


@dataclass(frozen=True)
class Mount:
    """A mounted cgroup2 tree: the group at `root` appears at `point`."""

    root: str
    point: Path


class Group:
    """The group of one sandboxed process and of all it starts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entered(self, command: list[str]) -> list[str]:
        """The command line that joins the group and then becomes `command`, so that nothing of it is ever outside."""
        return ["/bin/sh", "-c", _ENTER, str(self._path / "cgroup.procs"), *command]

    def limit(self, limits: Limits, *, files: bool) -> None:
        """Take these limits. Raises OSError.

        Args:
            files: whether those of the working folder are memory as well.
        """
        self._set("memory.max", limits.memory + (limits.disk if files else 0) + _OUR_MEMORY)
        self._set("pids.max", limits.processes + _OUR_PROCESSES)

    def prepare(self) -> None:
        """Set what no call changes. Raises OSError."""
        self._set("memory.oom.group", 1)
        if (self._path / "memory.swap.max").exists():  # a kernel may be built without
            self._set("memory.swap.max", 0)
        cores = os.cpu_count() or 1
        if cores > 1 and (self._path / "cpu.max").exists():
            self._set("cpu.max", f"{(cores - 1) * _PERIOD} {_PERIOD}")  # one is left to the rest of the machine

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended it for that."""
        with suppress(OSError):
            return counters((self._path / "memory.events").read_text()).get("oom_kill", 0) > 0
        return False

    def kill(self) -> None:
        """Kill all in it, now."""
        try:
            self._set("cgroup.kill", 1)
        except FileNotFoundError:  # before Linux 5.14
            for _ in range(_ATTEMPTS):
                for pid in _processes(self._path):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        except OSError:
            pass  # it is gone

    def remove(self) -> None:
        """Kill what is left and remove it; waits, some seconds at most, for the dead to be gone."""
        self.kill()
        ends = time.monotonic() + _END_TIMEOUT
        while time.monotonic() < ends:
            try:
                self._path.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(_POLL)
            else:
                return

    def _set(self, name: str, value: object) -> None:
        # Some of them may only be written, and none may be made, which opening them otherwise would ask for.
        descriptor = os.open(self._path / name, os.O_WRONLY)
        try:
            os.write(descriptor, str(value).encode())
        finally:
            os.close(descriptor)


class Groups:
    """Makes the groups of one executor, in one of its own.

    Args:
        base: a group that passes its controllers on.
    """

    def __init__(self, base: Path) -> None:
        self.path, self._lock = _own(base)
        self._made = 0

    def make(self, limits: Limits, *, files: bool) -> Group:
        """A new one; `files` as in `Group.limit`. Raises OSError."""
        self._made += 1
        path = self.path / f"call-{self._made}"
        path.mkdir()
        group = Group(path)
        try:
            group.prepare()
            group.limit(limits, files=files)
        except OSError:
            group.remove()
            raise
        return group

    def close(self) -> None:
        """Remove all of it."""
        _clear(self.path)
        os.close(self._lock)


def find() -> tuple[Groups | None, str]:
    """The groups that this executor may make, ready, and else why it may make none. Clears what dead ones left."""
    if sys.platform != "linux":
        return None, "it needs Linux"
    try:
        base = prepared(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
        _sweep(base)
        return Groups(base), ""
    except NotDelegated as reason:
        return None, str(reason)
    except OSError as error:
        return None, f"its groups cannot be changed here ({error.strerror})"


def mounts(mountinfo: str) -> list[Mount]:
    """The cgroup2 trees of a /proc/…/mountinfo."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] == "cgroup2":
            root, point = (_unescaped(each) for each in before.split(" ")[3:5])
            found.append(Mount(root, Path(point)))
    return found


def own_group(cgroup: str) -> str | None:
    """The path of the v2 group in a /proc/…/cgroup."""
    return next((line[3:] for line in cgroup.splitlines() if line.startswith("0::")), None)


def place(path: str, mounted: list[Mount]) -> tuple[Mount, Path] | None:
    """The folder of the group at `path`, with the tree it is in; None where no mounted tree shows it."""
    for mount in mounted:
        root = mount.root.rstrip("/")
        if (path == mount.root or path.startswith(f"{root}/")) and ".." not in path.split("/"):
            return mount, mount.point / path[len(root) :].lstrip("/")
    return None


def counters(text: str) -> dict[str, int]:
    """The numbers of a file of `name number` lines; lines of another shape are left out."""
    pairs = (line.split(" ") for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def prepared(cgroup: str, mountinfo: str) -> Path:
    """A group whose children have the controllers. Raises NotDelegated, OSError."""
    if (path := own_group(cgroup)) is None or not (mounted := mounts(mountinfo)):
        raise NotDelegated("the kernel has no cgroup v2, or it is not mounted")
    if (found := place(path, mounted)) is None:
        raise NotDelegated("the group of this process is not in sight")
    mount, home = found
    in_leaf = home.name == _LEAF or (home != mount.point and _delegated(home.parent, mount))
    if in_leaf and not _processes(home.parent):
        home = home.parent  # ours, and empty already: an executor before this one, or systemd's DelegateSubgroup
    missing = set(_NEEDED) - set((home / "cgroup.controllers").read_text().split())
    if missing:
        raise NotDelegated(f"no {' and '.join(sorted(missing))} controller: cgroup v1 has it, or nobody passes it on")
    whole = _delegated(home, mount)
    if not whole and os.geteuid() == 0:
        raise NotDelegated("this group is not delegated: give the service Delegate=yes")
    if not whole and not set(_processes(home)) <= {os.getpid()}:
        raise NotDelegated("others share this group: give the executor a service of its own, with Delegate=yes")
    _pass_on(home)
    return home


def _delegated(group: Path, mount: Mount) -> bool:
    """Whether a group was handed over with all that is in it: the top of a container, or marked by systemd."""
    if group == mount.point:
        return not (group / "init.scope").exists()  # else systemd rules here
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            if os.getxattr(group, name) == b"1":
                return True
    return False


def _pass_on(group: Path) -> None:
    """Let its children have the controllers. What is in it moves into a leaf, if it must. Raises OSError."""
    with suppress(OSError):
        _enable(group)
        return
    (group / _LEAF).mkdir(exist_ok=True)
    for attempt in range(_ATTEMPTS):
        for pid in _processes(group):
            with suppress(ProcessLookupError):
                (group / _LEAF / "cgroup.procs").write_text(str(pid))
        try:
            _enable(group)
        except OSError as error:  # another may have been started meanwhile
            if error.errno != errno.EBUSY or attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def _enable(group: Path) -> None:
    there = (group / "cgroup.controllers").read_text().split()
    (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in _WANTED if name in there))


def _own(base: Path) -> tuple[Path, int]:
    """A new group that passes the controllers on, locked for as long as this process lives. Raises OSError."""
    while True:
        path = base / f"{_PREFIX}{secrets.token_hex(8)}"
        path.mkdir()
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_SH)
        if path.exists():  # else another executor swept it away before it was locked
            _enable(path)
            return path, lock
        os.close(lock)


def _sweep(base: Path) -> None:
    for left in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _clear(left)
            finally:
                os.close(lock)


def _clear(path: Path) -> None:
    for each in _below(path):
        Group(each).remove()
    with suppress(OSError):
        path.rmdir()


def _below(path: Path) -> Iterator[Path]:
    return (each for each in path.iterdir() if each.is_dir())


def _processes(group: Path) -> list[int]:
    try:
        return [int(line) for line in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _unescaped(text: str) -> str:
    """A path as mountinfo writes it: spaces and their kin as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
