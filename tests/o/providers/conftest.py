"""Emulators of all vendors, llama.cpp's own server, and one local model process for all tests of the providers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulators import openai_server
from tests.support import llama_server
from tests.support import local_model as local_process
from tests.support.vendors import Emulator, emulators


@pytest.fixture(scope="session")
def emulated() -> Iterator[dict[str, Emulator]]:
    """The emulators, by vendor."""
    with emulators() as running:
        yield running


@pytest.fixture(scope="session")
def emulator(emulated: dict[str, Emulator]) -> openai_server.Emulator:
    found = emulated["openai"]
    assert isinstance(found, openai_server.Emulator)
    return found


@pytest.fixture(scope="session")
def local_model() -> Iterator[tuple[Path, int]]:
    """Socket and process id of the local model process."""
    with local_process.running() as running:
        yield running


@pytest.fixture
def local_socket(local_model: tuple[Path, int]) -> Path:
    return local_model[0]


@pytest.fixture(scope="session")
def llama_socket() -> Iterator[Path]:
    """Socket of llama.cpp's own server."""
    with llama_server.running() as path:
        yield path
