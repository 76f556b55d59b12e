"""MCP servers in the store, and the ways to them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from o.guard.policy import Guard, parse_allowed
from o.keyring import Keyring
from o.mcp.base import Dialer, Patience
from o.mcp.line import Line
from o.store.session import Store
from tests.emulators import mcp_server


@pytest.fixture(scope="module")
def listening() -> Iterator[mcp_server.Emulator]:
    with mcp_server.running() as emulator:
        yield emulator


@pytest.fixture
def server(listening: mcp_server.Emulator) -> mcp_server.Emulator:
    """A server that forgets what the test before did to it."""
    vars(listening).update(vars(mcp_server.Emulator(listening.url)))
    return listening


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring.load(tmp_path / "key")


@pytest.fixture
def dialer() -> Dialer:
    return Dialer(Guard(parse_allowed("127.0.0.0/8")), patience=Patience(connect=10.0, list=1.0, close=0.5))


@pytest.fixture
def line(store: Store, dialer: Dialer, keyring: Keyring) -> Line:
    return Line(store, dialer, keyring)
