"""A worker in the test's own process, over a real engine and a database of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.base_tools import NATIVE_TOOLS
from o.store.session import Store
from o.temporal import StepStarter
from tests.support.engine import TIMING, Engine, workers_of


@pytest.fixture
async def engine(store: Store, client: Client, tmp_path: Path) -> AsyncIterator[Engine]:
    built = Engine(store, client, StepStarter(client, TIMING), tmp_path / "journal", dict(NATIVE_TOOLS))
    async with workers_of(store, client, built.journal, built.tools):
        yield built
