"""An agent goes from any provider to any other in mid-conversation, and takes its history along."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from temporalio.client import Client

from activities.base_tools import NATIVE_TOOLS
from activities.tools import ToolContext
from o.domain.json import JsonObject
from o.providers.spec import ProviderSpec
from o.store.session import Store
from o.temporal import Queue, StepStarter
from tests.support import local_model
from tests.support.engine import TIMING, Engine, workers_of
from tests.support.vendors import VENDORS, Emulator, emulators

PAIRS = [(first, second) for first in VENDORS for second in VENDORS if first != second]
SEARCH = "conversation_search"
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def emulated() -> Iterator[dict[str, Emulator]]:
    with emulators() as running:
        yield running


@pytest.fixture(scope="module")
def local_socket() -> Iterator[Path]:
    with local_model.running() as (path, _):
        yield path


@pytest.fixture
async def engine(
    request: pytest.FixtureRequest,
    store: Store,
    client: Client,
    emulated: dict[str, Emulator],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Engine]:
    """Workers that know every vendor, and a tool that takes whatever a model gives it."""
    # Only where OpenAI's own service is are its models asked over the wire that suits each.
    monkeypatch.setattr("o.providers.openai.OPENAI_URL", emulated["openai"].url)
    built = Engine(store, client, StepStarter(client, TIMING), tmp_path / "journal", dict(NATIVE_TOOLS))

    async def search(context: ToolContext, arguments: JsonObject) -> str:
        return f"nothing was found with {sorted(arguments)}"

    built.tools[SEARCH] = search
    specs = [vendor.spec(emulated[name].url) for name, vendor in VENDORS.items()]
    local: Path = (
        request.getfixturevalue("local_socket") if "local_socket" in request.fixturenames else tmp_path / "none.sock"
    )
    async with workers_of(
        store,
        client,
        built.journal,
        built.tools,
        queues=(Queue.AGENT, Queue.TOOLS),
        specs=[ProviderSpec("local", "local"), *specs],
        local_model=local,
    ):
        yield built


def handle(name: str) -> str:
    return f"{name}/{VENDORS[name].model}"


async def turn(http: httpx.AsyncClient, agent: str, content: object, *, with_tool: bool) -> list[str]:
    """Say something; the kinds of the messages that came back."""
    rules = [{"type": "run_first", "tool_name": SEARCH}] if with_tool else []
    changed = await http.patch(f"/v1/agents/{agent}", json={"tool_rules": rules})
    assert changed.status_code == 200, changed.text
    answer = await http.post(
        f"/v1/agents/{agent}/messages", json={"messages": [{"role": "user", "content": content}]}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["stop_reason"]["stop_reason"] == "end_turn", body
    return [message["message_type"] for message in body["messages"]]


async def two_turns(http: httpx.AsyncClient, agent: str) -> None:
    """One with a picture and, where the model can, a thought; one with a tool call."""
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DOT}}
    kinds = await turn(http, agent, [{"type": "text", "text": "What is this?"}, picture], with_tool=False)
    assert "assistant_message" in kinds
    kinds = await turn(http, agent, "And now look it up.", with_tool=True)
    assert [kind for kind in kinds if kind != "reasoning_message" and kind != "hidden_reasoning_message"] == [
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
    ]


async def made(http: httpx.AsyncClient, model: str) -> str:
    body = {
        "model": model,
        "embedding": "local/all-minilm-l6-v2",
        "model_settings": {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_output_tokens": 4000},
    }
    answer = await http.post("/v1/agents/", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def moved(http: httpx.AsyncClient, agent: str, model: str) -> None:
    answer = await http.patch(f"/v1/agents/{agent}", json={"model": model})
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == model


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_from_any_provider_to_any_other(
    http: httpx.AsyncClient, emulated: dict[str, Emulator], first: str, second: str
) -> None:
    agent = await made(http, handle(first))
    await two_turns(http, agent)
    await moved(http, agent, handle(second))
    await two_turns(http, agent)
    steps = (await http.get("/v1/steps/", params={"agent_id": agent, "order": "asc"})).json()
    assert [step["model_handle"] for step in steps] == [handle(first)] * 3 + [handle(second)] * 3
    assert ("input" in emulated[second].requests[-1]) is (second == "openai-responses")


@pytest.mark.timeout(240)
async def test_through_the_local_model_and_out_again(http: httpx.AsyncClient, local_socket: Path) -> None:
    agent = await made(http, handle("openai"))
    for name in VENDORS:
        await moved(http, agent, handle(name))
        await two_turns(http, agent)
        await moved(http, agent, "local/smollm2-135m")
        answer = await http.patch(f"/v1/agents/{agent}", json={"tool_rules": [], "max_tokens": 16})
        assert answer.status_code == 200, answer.text
        answer = await http.post(f"/v1/agents/{agent}/messages", json={"input": "Say hello."}, timeout=60)
        assert answer.status_code == 200, answer.text
        # A model this small does not always find an end within so few tokens.
        assert answer.json()["stop_reason"]["stop_reason"] in ("end_turn", "max_tokens_exceeded")
