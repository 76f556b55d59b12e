"""The lock on a data folder: one supervisor at a time, and nothing stale after a crash."""

import fcntl
import json
import os
from pathlib import Path
from typing import Self

from o.errors import Conflict


class AlreadyRunning(Conflict):
    """Another process holds the data folder."""

    code = "already_running"


class DataLock:
    """An flock, which the kernel drops when its process dies however it dies. The file tells others who holds it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Take the lock.

        Raises:
            AlreadyRunning: naming the process that has it.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            known = _read(path)
            pid, api = known.get("pid", "unknown"), known.get("api")
            where = f" at {api}" if api else ""
            raise AlreadyRunning(
                f"O already runs on {path.parent} (process {pid}{where}): "
                "stop it, or name another folder with --data-dir or O_DATA_DIR"
            ) from None
        lock = cls(path, descriptor)
        lock.note()
        return lock

    def note(self, **about: str | int) -> None:
        """Write our process id and what else others should know (URLs) into the file."""
        os.truncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps({"pid": os.getpid(), **about}).encode(), 0)

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two processes lock two files of one name."""
        os.truncate(self._descriptor, 0)
        os.close(self._descriptor)


def holder(path: Path) -> dict[str, str | int] | None:
    """What the process that holds the lock says of itself, or None if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    finally:
        os.close(descriptor)
    return None


def _read(path: Path) -> dict[str, str | int]:
    try:
        known = json.loads(path.read_bytes())
    except ValueError:  # its holder is just writing it
        return {}
    return known if isinstance(known, dict) else {}
