"""Starts sandboxed processes: whatever runs (a call, a server of tools, a build) starts here, confined the same way."""

import asyncio
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from o.sandbox import bubblewrap, folders, machine
from o.sandbox.base import Limits, SandboxUnavailable
from o.sandbox.bubblewrap import Bubblewrap
from o.sandbox.cgroup import Group, Groups
from o.sandbox.inside import confine, seccomp
from o.sandbox.machine import Machine
from o.sandbox.process import Sandboxed

NEEDS_LINUX = "this system has neither namespaces nor Landlock: custom tools need Linux"
_START_TIMEOUT = 30.0
# A file of a tmpfs costs the kernel about a KiB that its size does not count.
_BYTES_PER_INODE = 16 * 1024
_DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom"))
_LENGTH = struct.Struct("!I")
# Nothing that is loaded there is garbage, and looking for some takes a tenth of the start.
_BOOT = "import gc, sys; gc.disable(); root, *fds = sys.argv[1:]; sys.path.insert(0, root); "
_BOOT += "from o.sandbox.inside.main import main; main(root, *map(int, fds))"


@dataclass(frozen=True)
class Launch:
    """One process to start.

    Attributes:
        limits: what it may use; `wall`, `output` and `result` are its caller's business.
        command: program and arguments; None for a Python child that waits for a call.
        environment: of that program; a call brings its own.
        readable, writable: trees of this machine it sees besides the usual, at their own paths.
        egress: the proxy's unix socket on this machine; it appears at `bubblewrap.EGRESS`.
        stdin: whether its stdin is a pipe; else it is empty.
        keep: whether the program gets the descriptors of call and result (named O_CALL_FD and O_RESULT_FD).
        reserves: whether it reserves far more memory than it uses: then only what it uses is watched.
    """

    limits: Limits
    command: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    egress: str | None = None
    stdin: bool = False
    keep: bool = False
    reserves: bool = False


class Launcher:
    """Starts processes with every layer that this machine has.

    Args:
        machine: what was found.
        scratch: folder of working folders, where there is no mount namespace.
        groups: what `cgroup.find` found.
    """

    def __init__(self, found: Machine, scratch: Path, groups: tuple[Groups | None, str] = (None, "left out")) -> None:
        self.machine = found
        self._scratch = scratch
        self.groups, self.groups_note = groups
        self.bubblewrap: Bubblewrap | None = None
        self.bubblewrap_note = "left out"
        if "bubblewrap" not in found.without:
            self.bubblewrap, self.bubblewrap_note = bubblewrap.find(may_keep_users=found.users is not None)
        self._readable = machine.readable()
        self._users = list(range(machine.users_each()))

    @property
    def own_users(self) -> bool:
        """Whether every child gets a user of its own."""
        if self.machine.users is None:
            return False
        return not self.bubblewrap.user_namespace if self.bubblewrap is not None else self.unreachable is None

    @property
    def unreachable(self) -> Path | None:
        """The folder that keeps users of their own from the interpreter, where no namespace can show it to them."""
        found = (machine.unreachable(path) for path in (machine.interpreter(), *machine.site_packages()))
        return next((folder for folder in found if folder is not None), None)

    async def start(self, launch: Launch) -> Sandboxed:
        """Start it and wait until it is confined.

        Raises:
            SandboxUnavailable: it could not be started or confined, or it wants a way out that cannot be given.
        """
        if sys.platform != "linux":
            raise SandboxUnavailable(NEEDS_LINUX)
        if launch.egress is not None and self.bubblewrap is None:
            raise SandboxUnavailable(
                f"code with network access needs bubblewrap, which does not work here ({self.bubblewrap_note}): "
                "install it or allow user namespaces, or take the network away from the tool"
            )
        slot = self._users.pop(0) if self.own_users and self._users else None
        if self.own_users and slot is None:
            raise SandboxUnavailable("too many sandboxed processes at once: try again later")
        user = None if slot is None or self.machine.users is None else self.machine.users + slot
        folder = None if self.bubblewrap is not None else self._new_folder(user)
        group: Group | None = None

        def release() -> None:
            if group is not None:
                group.remove()
            if folder is not None:
                with suppress(OSError):
                    folders.remove(folder)
            if slot is not None:
                self._users.append(slot)

        try:
            group = self._new_group(launch.limits, folder)
            process = self._spawn(launch, folder, group)
        except BaseException:
            release()
            raise
        process.on_gone(release)
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                await process.feed(self._setup(launch, user, folder))
                await process.ready()
        except BaseException as error:
            process.kill()
            await process.gone()
            if isinstance(error, TimeoutError | OSError):
                raise SandboxUnavailable(
                    "a sandboxed process did not start in time: is the machine overloaded?"
                ) from error
            raise
        return process

    def _new_folder(self, user: int | None) -> Path:
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        if user is not None:
            os.chown(folder, user, user)
        return folder

    def _new_group(self, limits: Limits, folder: Path | None) -> Group | None:
        if self.groups is None:
            return None
        try:
            return self.groups.make(limits, files=folder is None)
        except OSError as error:
            raise SandboxUnavailable(f"no cgroup could be made for a sandboxed process ({error.strerror})") from error

    def _spawn(self, launch: Launch, folder: Path | None, group: Group | None) -> Sandboxed:
        control, theirs = socket.socketpair()
        result, result_end = os.pipe()
        pipes = [os.pipe() for _ in range(3 if launch.stdin else 2)]
        (stdout, stdout_end), (stderr, stderr_end) = pipes[:2]
        stdin_end, stdin = pipes[2] if launch.stdin else (os.open(os.devnull, os.O_RDONLY), None)
        handed = (theirs.fileno(), result_end)
        inner = [machine.interpreter(), "-I", "-S", "-c", _BOOT, machine.package_root(), *map(str, handed)]
        command = inner
        if self.bubblewrap is not None:
            command = self.bubblewrap.command(
                inner,
                disk=launch.limits.disk,
                readable=(*self._readable, *map(str, launch.readable)),
                writable=map(str, launch.writable),
                egress=launch.egress,
            )
        if group is not None:
            command = group.entered(command)
        try:
            popen = subprocess.Popen(
                command,
                stdin=stdin_end,
                stdout=stdout_end,
                stderr=stderr_end,
                pass_fds=handed,
                env={},
                cwd="/",
                start_new_session=self.bubblewrap is None,
            )
        except OSError as error:
            for descriptor in (result, stdout, stderr, *([] if stdin is None else [stdin])):
                os.close(descriptor)
            control.close()
            raise SandboxUnavailable(f"a sandboxed process could not be started ({error.strerror})") from error
        finally:
            theirs.close()
            for descriptor in (result_end, stdout_end, stderr_end, stdin_end):
                os.close(descriptor)
        namespace = folder is None
        return Sandboxed(popen, control, result, stdout, stderr, stdin, folder=folder, namespace=namespace, group=group)

    def _setup(self, launch: Launch, user: int | None, folder: Path | None) -> dict[str, object]:
        namespaced = self.bubblewrap is not None
        where = bubblewrap.FOLDER if folder is None else str(folder)
        capped = self.bubblewrap is not None and self.bubblewrap.capped
        policy = seccomp.Policy(
            unix=namespaced,
            tcp=launch.egress is not None,
            signals=namespaced or user is not None or self.machine.landlock >= 6,
            owner=not namespaced and user is None,
        )
        writable = (where, *map(str, launch.writable), *_DEVICES)
        readable = (*self._readable, *map(str, launch.readable), *(("/proc",) if namespaced else ()))
        return {
            "limits": asdict(
                confine_limits(
                    launch.limits,
                    fork_base=0 if user is not None or namespaced else _mine(),
                    reserves=launch.reserves,
                )
            ),
            "folder": where,
            "user": user,
            "inodes": max(1024, launch.limits.disk // _BYTES_PER_INODE) if capped else None,
            "readable": readable if self.machine.landlock else None,
            "writable": writable,
            "policy": asdict(policy) if self.machine.seccomp else None,
            "reaper": not namespaced,
            "egress": None if launch.egress is None else bubblewrap.EGRESS,
            "command": launch.command,
            "environment": {**standard_environment(where), **launch.environment},
            "keep": launch.keep,
        }


def confine_limits(limits: Limits, *, fork_base: int = 0, reserves: bool = False) -> confine.Limits:
    """The limits as the child takes them; bubblewrap's own init is one of its processes."""
    return confine.Limits(
        cpu=limits.cpu,
        memory=limits.memory,
        processes=limits.processes + 1,
        open_files=limits.open_files,
        disk=limits.disk,
        fork_base=fork_base,
        reserves=reserves,
    )


def standard_environment(folder: str) -> dict[str, str]:
    """What any program may expect to find."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": folder,
        "TMPDIR": folder,
        "LANG": "C.UTF-8",
        "USER": "tool",
        "LOGNAME": "tool",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _mine() -> int:
    """Processes and threads that this user has now, which its limit counts as well."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if folder.stat().st_uid == os.geteuid():
                count += len(list((folder / "task").iterdir()))
    return count
