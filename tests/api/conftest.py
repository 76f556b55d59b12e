"""The application in this process, over a real database, engine and workers; only the models are scripted."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql
from temporalio.client import Client

from activities.base_tools import NATIVE_TOOLS
from activities.tool_runs import ToolRunner
from api.app import create_app
from api.catalogue import Catalogues
from api.deps import Defaults, Gatekeeper, Parts
from api.events import RunEvents
from api.gateway import Gateway
from o.guard.policy import Guard, parse_allowed
from o.ids import DEFAULT_ORG
from o.keyring import Keyring
from o.mcp.base import Dialer, Patience
from o.providers.spec import ProviderSpec
from o.settings import Settings
from o.store.session import Store
from o.temporal import Queue, StepStarter
from tests.emulators import openai_server
from tests.support.engine import TIMING, Engine, workers_of
from tests.support.servers import Postgres


@pytest.fixture(scope="session")
def shared_database(postgres: Postgres, template: str) -> str:
    return postgres.create("api", template)


@pytest.fixture
def database_url(shared_database: str) -> Iterator[str]:
    """A database the tests here share, empty again after each: cloning one takes longer than most of them."""
    yield shared_database
    with psycopg.connect(shared_database, autocommit=True) as owner:
        # All else belongs to these and goes with them.
        for table in (
            "agents",
            "blocks",
            "tools",
            "tool_runs",
            "api_keys",
            "providers",
            "model_aliases",
            "mcp_servers",
            "tool_policies",
        ):
            owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        owner.execute("DELETE FROM organizations WHERE id <> %s", (DEFAULT_ORG,))


@pytest.fixture(scope="session")
def vendor() -> Iterator[openai_server.Emulator]:
    with openai_server.running() as emulator:
        yield emulator


@pytest.fixture
def tool_runner() -> ToolRunner | None:
    """Who runs tools by hand: nobody, unless a test's own fixture says so."""
    return None


@pytest.fixture
async def engine(
    store: Store,
    client: Client,
    vendor: openai_server.Emulator,
    tool_runner: ToolRunner | None,
    tmp_path: Path,
) -> AsyncIterator[Engine]:
    """Workers for turns and tools; nobody looks for runs that were left behind."""
    built = Engine(store, client, StepStarter(client, TIMING), tmp_path / "journal", dict(NATIVE_TOOLS))
    async with workers_of(
        store,
        client,
        built.journal,
        built.tools,
        queues=(Queue.AGENT, Queue.TOOLS),
        specs=[
            ProviderSpec("local", "local"),
            ProviderSpec("openai", "openai", vendor.url, openai_server.KEY, "OPENAI_API_KEY"),
        ],
        keyring=Keyring.load(tmp_path / "key"),
        tool_runner=tool_runner,
        dialer=Dialer(Guard(parse_allowed("127.0.0.0/8")), patience=Patience(5.0, 2.0, 1.0)),
    ):
        yield built


@pytest.fixture
async def app(engine: Engine, database_url: str, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """The application, its parts set by hand."""
    store = engine.store
    made = create_app(Settings.load(data_dir=tmp_path, database_url=database_url))
    gateway = Gateway(engine.client, TIMING)
    async with RunEvents(store) as events:
        async with store.transaction() as tx:
            await tx.tools.ensure_base()
        made.state.parts = Parts(
            defaults=Defaults(model="scripted/echo", embedding="local/all-minilm-l6-v2"),
            store=store,
            engine=gateway,
            catalogue=Catalogues(gateway),
            events=events,
            keyring=Keyring.load(tmp_path / "key"),
            gate=Gatekeeper(store, loopback=True),
            guard=Guard(parse_allowed("127.0.0.0/8")),
        )
        yield made


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application. Server errors come as answers, as they do over a socket."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://o.test") as client:
        yield client


@pytest.fixture
async def agent_id(http: httpx.AsyncClient) -> str:
    """An agent with a block `human` that repeats what it hears."""
    return await made(http)


@pytest.fixture
async def actor(http: httpx.AsyncClient) -> str:
    """An agent that plays the script in what it hears."""
    return await made(http, model="scripted/json")


async def made(http: httpx.AsyncClient, **more: object) -> str:
    body = {"name": "Tester", "memory_blocks": [{"label": "human", "value": "Name: unknown"}], **more}
    answer = await http.post("/v1/agents/", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])
