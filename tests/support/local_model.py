"""The real process of the local models, for tests."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from o.embedded.on_demand import listen_unix


@contextmanager
def running() -> Iterator[tuple[Path, int]]:
    """The real process, handed a socket that listens already: the first request simply waits until it is up."""
    with tempfile.TemporaryDirectory(prefix="o-test-") as folder:
        path = Path(folder) / "model.sock"
        listener = listen_unix(path)
        assert listener is not None
        with listener:
            process = subprocess.Popen(
                [sys.executable, "-m", "o.embedded.local_model", "--fd", str(listener.fileno())],
                pass_fds=[listener.fileno()],
                env={name: value for name, value in os.environ.items() if name != "O_LOCAL_MODEL"},
            )
            try:
                yield path, process.pid
            finally:
                process.terminate()
                process.wait(20)
