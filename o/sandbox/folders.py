"""Working folders without a file system of their own: how full they are, and their end, however hostile their shape."""

import itertools
import os
import stat
from contextlib import suppress
from pathlib import Path

_BYTES_PER_FILE = 16 * 1024
_FEWEST_FILES = 1024
# Deeper ones cannot be looked into by their path, which has 4096 bytes at most.
_DEEPEST = 100


def too_full(folder: Path, disk: int, pids: list[int]) -> bool:
    """Whether its files, and those that `pids` hold open without a name, are more than `disk` bytes or too many.

    A folder that cannot be looked into, or lies too deep, counts as too full: its content would not be seen.
    """
    size = files = 0
    seen: set[int] = set()
    waiting = [(str(folder), 0)]
    while waiting:
        where, depth = waiting.pop()
        try:
            with os.scandir(where) as entries:
                for entry in entries:
                    files += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
                    else:
                        with suppress(FileNotFoundError):
                            size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if size > disk or files * _BYTES_PER_FILE > max(disk, _FEWEST_FILES * _BYTES_PER_FILE):
                        return True
        except (FileNotFoundError, NotADirectoryError):
            continue  # it is gone already
        except OSError:
            return True
        if depth > _DEEPEST:
            return True
    device = folder.stat().st_dev
    for pid in pids:
        for about in _unnamed(pid):
            if about.st_dev == device and about.st_ino not in seen:
                seen.add(about.st_ino)
                size += about.st_blocks * 512
    return size > disk


def remove(folder: Path) -> None:
    """Remove it with all that is in it. Nobody may use it any more. Raises OSError.

    Folders are lifted to the top before they are emptied, so that none is too deep to be reached.
    """
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    fresh = (f".{number}-{os.urandom(8).hex()}" for number in itertools.count())
    try:
        while names := os.listdir(top):  # noqa: PTH208 - of a descriptor
            for name in names:
                if not _is_folder(name, top):
                    os.unlink(name, dir_fd=top)
                    continue
                os.chmod(name, 0o700, dir_fd=top)
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
                try:
                    for each in os.listdir(inner):  # noqa: PTH208 - the same
                        if _is_folder(each, inner):
                            os.chmod(each, 0o700, dir_fd=inner)  # to move a folder is to write to it
                            os.rename(each, next(fresh), src_dir_fd=inner, dst_dir_fd=top)
                        else:
                            os.unlink(each, dir_fd=inner)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    folder.rmdir()


def _is_folder(name: str, where: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=where, follow_symlinks=False).st_mode)


def _unnamed(pid: int) -> list[os.stat_result]:
    """The files that a process holds open and that have no name any more."""
    found = []
    with suppress(OSError):
        for opened in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                about = opened.stat()
                if stat.S_ISREG(about.st_mode) and about.st_nlink == 0:
                    found.append(about)
    return found
