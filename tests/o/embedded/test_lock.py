import signal
import subprocess
import sys
from pathlib import Path

import pytest

from o.embedded.lock import AlreadyRunning, DataLock, holder

_HOLD = """
import sys
from pathlib import Path
from o.embedded.lock import DataLock
lock = DataLock.acquire(Path(sys.argv[1]))
lock.note(api="http://127.0.0.1:1234")
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_is_told_who_has_it_and_a_kill_leaves_nothing_stale(tmp_path: Path) -> None:
    path = tmp_path / "o.lock"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning, match=rf"process {other.pid} at http://127.0.0.1:1234.*O_DATA_DIR"):
            DataLock.acquire(path)
        assert holder(path) == {"pid": other.pid, "api": "http://127.0.0.1:1234"}
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert holder(path) is None
    DataLock.acquire(path).release()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "o.lock"
    lock = DataLock.acquire(path)
    lock.note(api="a", database="a longer text than what comes after it")
    lock.note(api="b")
    about = holder(path)
    assert about is not None and about["api"] == "b"
    lock.release()
    assert path.read_bytes() == b""
    DataLock.acquire(path).release()


def test_nobody_holds_a_lock_that_was_never_made(tmp_path: Path) -> None:
    assert holder(tmp_path / "o.lock") is None
