"""The application in this process, over a real database; steps are played at once instead of by a worker."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.catalogue import Catalogue
from api.deps import Defaults, Gatekeeper, Parts
from api.events import RunEvents
from o import ids
from o.contracts.models import EmbeddingCard, ModelCard, ModelCards
from o.contracts.turn import StepRef
from o.domain import loop
from o.domain.model import Finished, ModelEvent, ReplyBuilder, TextDelta, Usage
from o.domain.wire_deltas import DeltaPrinter
from o.errors import NotFound
from o.keyring import Keyring
from o.settings import Settings
from o.store import queue, turn
from o.store.session import Store

CARDS = ModelCards(
    models=(
        ModelCard(handle="scripted/echo", context_window=128_000, max_output_tokens=4096, parallel_tool_calls=True),
        ModelCard(
            handle="openai/gpt-4o-mini", context_window=128_000, max_output_tokens=16_384, parallel_tool_calls=True
        ),
    ),
    embeddings=(EmbeddingCard(handle="local/all-minilm-l6-v2", dimensions=384),),
)


class Stage:
    """Plays steps in the process of the API: the store's own work around a model that repeats what it hears."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.plays = True
        self.fails_with: str | None = None
        self.started: list[StepRef] = []
        self.cancelled: list[StepRef] = []

    async def model_cards(self) -> ModelCards:
        return CARDS

    async def model_card(self, handle: str) -> ModelCard:
        for card in CARDS.models:
            if card.handle == handle:
                return card
        raise NotFound(f"model: there is no model '{handle}'")

    async def start(self, at: StepRef) -> None:
        self.started.append(at)
        following: StepRef | None = at if self.plays else None
        while following is not None:
            following = await self._play(following)

    async def cancel(self, at: StepRef) -> None:
        self.cancelled.append(at)
        async with self.store.transaction(at.org_id) as tx:
            await queue.close(tx, at, "cancelled", "")

    async def _play(self, at: StepRef) -> StepRef | None:
        if self.fails_with is not None:
            async with self.store.transaction(at.org_id) as tx:
                return await queue.close(tx, at, self.fails_with, "the model is out of order")
        async with self.store.transaction(at.org_id) as tx:
            asked = await turn.begin(tx, at)
        if isinstance(asked, turn.Done):
            return asked.start
        said = asked.messages[-1].text
        message_id = ids.new("message")
        events: list[ModelEvent] = [TextDelta("You said: "), TextDelta(said), Finished("stop", Usage(7, 3))]
        builder = ReplyBuilder()
        printer = DeltaPrinter(
            message_id=message_id,
            run_id=at.run_id,
            step_id=asked.step_id,
            created_at=asked.messages[-1].created_at,
            legacy=asked.agent.speaks_by_tool,
        )
        for event in events:
            builder.add(event)
            if asked.options.stream_tokens and (deltas := printer.print(event)):
                async with self.store.transaction(at.org_id) as tx:
                    await tx.events.append_deltas(at.run_id, at.index, asked.attempt, deltas)
        _, _, allowed = loop.offer(asked.agent, asked.options.client_tools, asked.history)
        planned = loop.plan(builder.reply(), asked.agent, allowed, asked.history)
        async with self.store.transaction(at.org_id) as tx:
            _, start = await turn.answer(tx, at, asked, message_id, builder.reply(), planned)
        return start


@pytest.fixture
def stage(store: Store) -> Stage:
    return Stage(store)


@pytest.fixture
async def app(store: Store, stage: Stage, database_url: str, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """The application, its parts set by hand."""
    settings = Settings.load(data_dir=tmp_path, database_url=database_url)
    made = create_app(settings)
    async with RunEvents(store) as events:
        async with store.transaction() as tx:
            await tx.tools.ensure_base()
        made.state.parts = Parts(
            defaults=Defaults(model="scripted/echo", embedding="local/all-minilm-l6-v2"),
            store=store,
            engine=stage,
            catalogue=Catalogue(stage),
            events=events,
            keyring=Keyring.load(tmp_path / "key"),
            gate=Gatekeeper(store, loopback=True),
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
    """An agent with a block `human`."""
    body = {"name": "Tester", "memory_blocks": [{"label": "human", "value": "Name: unknown"}]}
    answer = await http.post("/v1/agents/", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])
