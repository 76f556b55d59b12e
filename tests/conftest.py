"""Fixtures: real servers once per session, a database of its own for every test that asks for one."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from temporalio.client import Client

from o.embedded.layout import Layout
from o.store import migrate
from o.store.session import Store
from tests.support.engine import own_client
from tests.support.servers import Platform, Postgres, Temporal, environment, folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the servers they use, so that people can leave them out."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & {"postgres"}:
            item.add_marker(pytest.mark.pg)
        if fixtures & {"temporal"}:
            item.add_marker(pytest.mark.temporal)


@pytest.fixture(scope="session")
def layout() -> Iterator[Layout]:
    with folder() as made:
        yield made


@pytest.fixture(scope="session")
def postgres(layout: Layout) -> Iterator[Postgres]:
    server = Postgres(layout)
    server.start()
    yield server
    server.process.stop()


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """A migrated database to clone."""
    migrate.upgrade(postgres.create("template_o"))
    return "template_o"


@pytest.fixture
def database_url(postgres: Postgres, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create(name, template)
    postgres.drop(name)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with Store(database_url, size=4) as opened:
        yield opened


@pytest.fixture(scope="session")
def temporal(layout: Layout) -> Iterator[Temporal]:
    server = Temporal(layout)
    server.start()
    yield server
    server.process.stop()


@pytest.fixture
async def client(temporal: Temporal) -> Client:
    """A client of a prepared namespace of the test's own: the platform's workers, among others, do not poll there."""
    return await own_client(temporal.address)


@pytest.fixture(scope="session")
def platform(layout: Layout, postgres: Postgres, template: str, temporal: Temporal) -> Iterator[Platform]:
    """An api and a worker that many tests share; each makes agents of its own."""
    url = postgres.create("platform", template)
    running = Platform(layout.data_dir, environment(layout.data_dir, url, temporal.address))
    running.start()
    yield running
    running.stop()
