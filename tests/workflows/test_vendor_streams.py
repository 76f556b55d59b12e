"""Turns on a vendor's wire: a cancel hangs up and keeps what came, a wrong key ends the run at once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.base_tools import NATIVE_TOOLS
from o.domain.request import TurnOptions
from o.store import queue
from o.store.session import Store
from o.temporal import StepStarter
from tests.support.agents import make_agent, request
from tests.support.engine import TIMING, Engine, workers_of
from tests.support.vendors import VENDORS, Emulator, Vendor, emulators


@pytest.fixture(scope="module")
def emulated() -> Iterator[dict[str, Emulator]]:
    with emulators() as running:
        yield running


@pytest.fixture(params=["openai", "anthropic", "groq", "ollama"])
def vendor(request: pytest.FixtureRequest) -> Vendor:
    return VENDORS[request.param]


@pytest.fixture
def emulator(vendor: Vendor, emulated: dict[str, Emulator]) -> Emulator:
    return emulated[vendor.name]


@pytest.fixture
async def engine(
    store: Store, client: Client, tmp_path: Path, vendor: Vendor, emulator: Emulator
) -> AsyncIterator[Engine]:
    """Workers that know the vendor, and the same one with a wrong key as `wrong`."""
    built = Engine(store, client, StepStarter(client, TIMING), tmp_path / "journal", dict(NATIVE_TOOLS))
    right, wrong = vendor.spec(emulator.url), vendor.spec(emulator.url, "sk-wrong")
    specs = [right, type(wrong)("wrong", wrong.wire, wrong.base_url, wrong.api_key, wrong.key_from)]
    async with workers_of(store, client, built.journal, built.tools, specs=specs):
        yield built


async def test_a_cancel_hangs_up_and_keeps_what_came(engine: Engine, vendor: Vendor, emulator: Emulator) -> None:
    emulator.hung_up.clear()
    agent, conversation = await make_agent(engine.store, model=f"{vendor.name}/stall")
    options = TurnOptions(stream_tokens=True)
    accepted = await engine.accept(request(agent, conversation, "Hello", options=options))
    await _shown(engine, accepted.run_id)
    async with engine.store.transaction() as tx:
        await queue.cancel(tx, accepted.run_id)
    run = await engine.ended(accepted.run_id)
    assert (run.status, run.stop_reason) == ("cancelled", "cancelled")
    assert await asyncio.to_thread(emulator.hung_up.wait, 5)
    async with engine.store.transaction() as tx:
        said = [(message.role, message.text) for message in await tx.messages.of_run(run.id)]
    assert said == [("user", "Hello"), ("assistant", "You said: ")]


async def test_a_wrong_key_ends_the_run_at_once_and_names_its_variable(
    engine: Engine, vendor: Vendor, emulator: Emulator
) -> None:
    before = len(emulator.requests)
    agent, conversation = await make_agent(engine.store, model=f"wrong/{vendor.model}")
    run = await engine.ended((await engine.accept(request(agent, conversation, "Hello"))).run_id)
    assert run.stop_reason == "llm_api_error"
    assert run.error is not None
    assert vendor.key_variable in run.error["message"]
    assert "sk-wrong" not in str(run.error)
    assert len(emulator.requests) <= before + 1


async def _shown(engine: Engine, run_id: str) -> None:
    """Wait until a reader of the run has seen something of the reply."""
    async with asyncio.timeout(20):
        while True:
            async with engine.store.transaction() as tx:
                if await tx.events.after(run_id, 0):
                    return
            await asyncio.sleep(0.02)
