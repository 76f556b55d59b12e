"""The local provider and embedder against the real process."""

import json
import time
from pathlib import Path

import httpx
import pytest

from o.domain.call_repair import parse_arguments
from o.domain.json import JsonObject
from o.domain.model import Sampling, TextDelta, ToolChoice, ToolSpec
from o.errors import ModelBadRequest, ModelUnavailable, NotFound
from o.providers.local import LocalProvider
from tests.emulators.requests import LOOK, NOTE, reply, request

VECTORS = Path(__file__).parents[2] / "fixtures" / "minilm_vectors.json"
MODEL = "smollm2-135m"


async def test_nobody_there_says_what_to_start(tmp_path: Path) -> None:
    provider = LocalProvider(tmp_path / "nowhere.sock")
    with pytest.raises(ModelUnavailable, match="o up"):
        await provider.embedder("all-minilm-l6-v2").embed(["hello"])
    await provider.close()


async def test_vectors_come_in_order(local_socket: Path) -> None:
    fixture = json.loads(VECTORS.read_text())
    provider = LocalProvider(local_socket)
    embedder = provider.embedder("all-minilm-l6-v2")
    vectors = await embedder.embed(fixture["texts"])
    for vector, expected in zip(vectors, fixture["vectors"], strict=True):
        assert max(abs(a - b) for a, b in zip(vector, expected, strict=True)) < 1e-5
    assert await embedder.embed([]) == []
    assert await embedder.dimensions() == len(vectors[0]) == 384
    with pytest.raises(NotFound, match="all-minilm-l6-v2"):
        provider.embedder("other")
    await provider.close()


async def test_several_tools_and_hard_schemas_end_in_a_valid_call(local_socket: Path) -> None:
    schema: JsonObject = {
        "type": "object",
        "$defs": {"Mood": {"enum": ["calm", "wild"]}},
        "properties": {
            "mood": {"$ref": "#/$defs/Mood"},
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
            "note": {"anyOf": [{"type": "string", "maxLength": 10000, "pattern": "^a"}, {"type": "null"}]},
        },
        "required": ["mood", "count"],
    }
    hard = ToolSpec("hard_one", "Set the mood.", schema)
    provider = LocalProvider(local_socket)
    sampling = Sampling(max_tokens=120, temperature=0.0, seed=1)
    choice = ToolChoice("named", "hard_one")
    answer = await reply(
        provider, request(MODEL, "Be calm.", tools=(NOTE, hard, LOOK), choice=choice, sampling=sampling)
    )
    arguments = parse_arguments(answer.tool_calls[0])
    assert arguments["mood"] in ("calm", "wild")
    assert 1 <= arguments["count"] <= 9
    either = request(MODEL, "Note: milk.", tools=(NOTE, LOOK), choice=ToolChoice("required"), sampling=sampling)
    assert (await reply(provider, either)).tool_calls[0].name in ("take_note", "look_up")
    await provider.close()


async def test_a_call_that_is_cut_off_is_closed(local_socket: Path) -> None:
    provider = LocalProvider(local_socket)
    choice = ToolChoice("named", "take_note")
    sampling = Sampling(max_tokens=40, temperature=0.0, seed=1)
    asked = request(MODEL, "Note a very long story.", tools=(NOTE,), choice=choice, sampling=sampling)
    assert "text" in parse_arguments((await reply(provider, asked)).tool_calls[0])
    await provider.close()


async def test_a_demanded_tool_that_is_not_given_is_refused(local_socket: Path) -> None:
    provider = LocalProvider(local_socket)
    with pytest.raises(ModelBadRequest):
        await reply(provider, request(MODEL, "hi", tools=(NOTE,), choice=ToolChoice("named", "other")))
    with pytest.raises(NotFound):
        await provider.profile("other")
    assert (await provider.profile(MODEL)).tools == "schema"
    await provider.close()


async def test_hanging_up_stops_the_computation(local_model: tuple[Path, int]) -> None:
    path, pid = local_model
    provider = LocalProvider(path)
    await reply(provider, request(MODEL, "hi", sampling=Sampling(max_tokens=2)))
    events = provider.stream(request(MODEL, "Tell me a long story.", sampling=Sampling(max_tokens=4000)))
    assert isinstance(await anext(events), TextDelta)
    await events.aclose()
    await _idle(pid)
    # The same while the prompt is still being read, when nothing has come yet.
    client = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://local")
    body = {"messages": [{"role": "user", "content": "moon sun " * 1500}], "max_tokens": 1}
    with pytest.raises(httpx.ReadTimeout):
        await client.post("/v1/chat/completions", json=body, timeout=0.3)
    await _idle(pid)
    await client.aclose()
    await provider.close()


async def _idle(pid: int) -> None:
    """Wait until the process computes no more; it gives no signal of that."""
    import asyncio

    import psutil

    process, deadline = psutil.Process(pid), time.monotonic() + 30
    while True:
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(0.25)
        if sum(process.cpu_times()[:2]) - before < 0.05:
            return
        assert time.monotonic() < deadline, "it still computes"
