"""The folder of an executor's working folders, and the removal of those that killed executors left behind."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from o.sandbox import folders

_PREFIX = "o-sandbox-"


@contextmanager
def scratch() -> Iterator[Path]:
    """A fresh folder, locked for as long as its executor lives; it goes with it."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    folder.chmod(0o711)  # children of other users pass through to their own folder, which is closed
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    try:
        yield folder
    finally:
        os.close(lock)
        folders.remove(folder)


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    folders.remove(folder)
            finally:
                os.close(descriptor)
