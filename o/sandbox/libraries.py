"""Keeps what tools ask to have installed: built once in a sandbox of its own, then only read."""

import asyncio
import os
import shutil
import stat
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from o.errors import InvalidArgument
from o.sandbox import installer, watchdog
from o.sandbox.base import MIB, Egress, Limits, SandboxUnavailable
from o.sandbox.folders import remove
from o.sandbox.launch import Launch, Launcher
from o.sandbox.process import Sandboxed
from o.sandbox.requirements import key_of, normalised
from o.sandbox.way_out import with_way_out

# A build needs more than a call: archives of hundreds of MiB, unpacked beside themselves.
BUILD_LIMITS = Limits(wall=300.0, cpu=300.0, memory=2048 * MIB, processes=64, open_files=1024, disk=2048 * MIB)
_MOST_LOCK = 4 * MIB
_DRAFT = ".new-"
_KEPT = 100  # prepared folders that are never thrown away, however old
_LOOK_EVERY = 0.5  # seconds
_LATELY = 86_400.0  # seconds, much more than any call takes


class Libraries:
    """A folder of prepared requirements, each in a folder of its own beside its lock.

    Args:
        folder: is made if need be, and closed to others. Tools see what is in it read-only.
    """

    def __init__(self, launcher: Launcher, folder: Path, limits: Limits = BUILD_LIMITS) -> None:
        self._launcher, self._folder, self._limits = launcher, folder, limits
        self._building: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def prepare(self, requirements: tuple[str, ...], egress: Egress | None, index: str | None = None) -> str:
        """Have them ready; returns the name of their folder. Who comes while they are built waits for that.

        Raises:
            InvalidArgument: they cannot be resolved or installed.
            SandboxUnavailable: nothing can be built here.
        """
        wanted = normalised(requirements)
        key = key_of(wanted, index)
        async with self._building[key]:
            if (self._folder / key).is_dir():
                os.utime(self._folder / key)
                return key
            if egress is None:
                raise SandboxUnavailable("libraries cannot be fetched: the sandbox was given no way out")
            draft = await asyncio.to_thread(self._draft, wanted)
            try:
                await self._build(draft, wanted, egress, index)
                await asyncio.to_thread(self._keep, draft, key)
            except RecursionError:
                raise InvalidArgument(
                    installer.complaint(wanted, "a package has too many folders in folders")
                ) from None
            finally:
                with suppress(OSError):
                    await asyncio.to_thread(remove, draft)
        await asyncio.to_thread(self._sweep)
        return key

    def _draft(self, wanted: tuple[str, ...]) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=self._folder))
        (draft / "requirements.in").write_text("".join(f"{line}\n" for line in wanted))
        (draft / "requirements.in").chmod(0o644)
        draft.chmod(0o777)
        return draft

    async def _build(self, draft: Path, wanted: tuple[str, ...], egress: Egress, index: str | None) -> None:
        try:
            async with asyncio.timeout(self._limits.wall):
                await self._run(installer.compile_command(draft), draft, wanted, egress, index)
                await asyncio.to_thread(_lock, draft)
                await self._run(installer.install_command(draft), draft, wanted, egress, index)
        except TimeoutError:
            raise InvalidArgument(installer.complaint(wanted, f"it took longer than {self._limits.wall:g} s")) from None

    async def _run(
        self, command: tuple[str, ...], draft: Path, wanted: tuple[str, ...], egress: Egress, index: str | None
    ) -> None:
        """Run one command. Raises InvalidArgument with what it says went wrong."""
        command, environment = with_way_out(command, installer.environment(index), egress)
        process = await self._launcher.start(
            Launch(
                limits=self._limits,
                command=command,
                environment=environment,
                readable=(installer.program(),),
                writable=(draft,),
                egress=egress.socket,
            )
        )
        try:
            output, errors = process.keep_output(self._limits.output)
            too_much = await self._end_of(process, draft)
        finally:
            process.kill()
            await asyncio.shield(process.gone())
        if too_much is not None:
            raise InvalidArgument(installer.complaint(wanted, f"they need too much {too_much}"))
        if process.code != 0:
            raise InvalidArgument(installer.complaint(wanted, f"{output.text()}\n{errors.text()}"))

    async def _end_of(self, process: Sandboxed, draft: Path) -> str | None:
        """Wait until it ends, or uses too much of what this names."""
        ended = asyncio.create_task(process.ended.wait())
        breach = asyncio.create_task(watchdog.breach(process, self._limits))
        full = asyncio.create_task(self._full(draft))
        try:
            await asyncio.wait((ended, breach, full), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return None
            return breach.result() if breach.done() else f"disk: more than {self._limits.disk // MIB} MiB"
        finally:
            for task in (ended, breach, full):
                task.cancel()
            await asyncio.gather(ended, breach, full, return_exceptions=True)

    async def _full(self, draft: Path) -> None:
        """Wait until the draft, which is an ordinary folder of this machine, holds more than it may."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            if await asyncio.to_thread(_size, draft) > self._limits.disk:
                return

    def _keep(self, draft: Path, key: str) -> None:
        site = draft / "site"
        site.mkdir(exist_ok=True)  # nothing to install is fine
        if _size(draft) > self._limits.disk:
            raise InvalidArgument(f"pip_requirements: they need more than {self._limits.disk // MIB} MiB of disk")
        _take_over(site)
        (draft / "lock.txt").rename(self._folder / f"{key}.lock")
        with suppress(OSError):  # another executor was first
            site.rename(self._folder / key)

    def _sweep(self) -> None:
        """Throw away what has not been used for long, and the drafts of builds that died."""
        old = time.time() - _LATELY
        folders = [path for path in self._folder.iterdir() if path.is_dir()]
        folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        kept = [path for path in folders if not path.name.startswith(_DRAFT)][:_KEPT]
        for path in folders:
            if path not in kept and path.stat().st_mtime < old:
                shutil.rmtree(path, ignore_errors=True)
                path.with_name(f"{path.name}.lock").unlink(missing_ok=True)


def _lock(draft: Path) -> None:
    """Make what was resolved the lock, if it is one: whoever wrote it is not trusted. Raises InvalidArgument."""
    try:
        descriptor = os.open(draft / "resolved.txt", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            text = file.read(_MOST_LOCK).decode() if stat.S_ISREG(os.fstat(descriptor).st_mode) else "?"
    except (OSError, ValueError):
        text = "?"
    installer.check_lock(text)
    (draft / "lock.txt").unlink(missing_ok=True)
    with (draft / "lock.txt").open("x") as file:
        file.write(text)
    (draft / "lock.txt").chmod(0o644)


def _size(folder: Path) -> int:
    """Bytes on disk; of a file with several names, once."""
    sizes: dict[int, int] = {}
    for _, _, names, descriptor in os.fwalk(folder):
        for name in names:
            with suppress(OSError):
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                sizes[found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())


def _take_over(folder: Path) -> None:
    """Make what a build left ours: plain files and folders that all may read and only we may write."""
    for _, folders, names, descriptor in os.fwalk(folder):
        os.chown(descriptor, os.geteuid(), os.getegid())
        os.chmod(descriptor, 0o755)  # noqa: PTH101, S103 - to read and to enter
        for name in names + folders:
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode):
                os.chown(name, os.geteuid(), os.getegid(), dir_fd=descriptor, follow_symlinks=False)
                os.chmod(name, 0o755 if found.st_mode & stat.S_IXUSR else 0o644, dir_fd=descriptor)
            elif not stat.S_ISDIR(found.st_mode):
                os.unlink(name, dir_fd=descriptor)
