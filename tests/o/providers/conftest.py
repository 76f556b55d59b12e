"""One emulator and one local model process for all tests of the providers."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from o.embedded.on_demand import listen_unix
from tests.emulators import openai_server


@pytest.fixture(scope="session")
def emulator() -> Iterator[openai_server.Emulator]:
    with openai_server.running() as running:
        yield running


@contextmanager
def local_model_process() -> Iterator[tuple[Path, int]]:
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


@pytest.fixture(scope="session")
def local_model() -> Iterator[tuple[Path, int]]:
    """Socket and process id of the local model process."""
    with local_model_process() as running:
        yield running


@pytest.fixture
def local_socket(local_model: tuple[Path, int]) -> Path:
    return local_model[0]
