"""The same library, asynchronously."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from letta_client import AsyncLetta

from tests.support.servers import Platform


@pytest.fixture
async def letta(platform: Platform) -> AsyncIterator[AsyncLetta]:
    async with AsyncLetta(base_url=platform.url, api_key="unused", max_retries=0) as client:
        yield client


async def test_the_quickstart(letta: AsyncLetta) -> None:
    agent = await letta.agents.create(model="scripted/echo", memory_blocks=[{"label": "human", "value": "Bob"}])
    answer = await letta.agents.messages.create(agent_id=agent.id, input="Hello")
    assert answer.stop_reason.stop_reason == "end_turn"
    found = [message.id async for message in letta.agents.messages.list(agent_id=agent.id, order="asc", limit=1)]
    assert len(found) == 3
    assert [a.id async for a in letta.agents.list(name=agent.name)] == [agent.id]
    await letta.agents.delete(agent.id)


async def test_streams(letta: AsyncLetta) -> None:
    agent = await letta.agents.create(model="scripted/echo")
    for tokens in (False, True):
        stream = await letta.agents.messages.create(
            agent_id=agent.id,
            messages=[{"role": "user", "content": "Hello you"}],
            streaming=True,
            stream_tokens=tokens,
        )
        events = [event async for event in stream]
        assert [event.message_type for event in events[-2:]] == ["stop_reason", "usage_statistics"]
        text = "".join(str(event.content) for event in events if event.message_type == "assistant_message")
        assert "Hello you" in text


async def test_many_agents_at_once(letta: AsyncLetta) -> None:
    agents = await asyncio.gather(*[letta.agents.create(model="scripted/json") for _ in range(8)])
    answers = await asyncio.gather(
        *[
            letta.agents.messages.create(agent_id=agent.id, input=json.dumps({"turns": [{"text": agent.id}]}))
            for agent in agents
        ]
    )
    assert [answer.messages[0].content for answer in answers] == [agent.id for agent in agents]  # type: ignore[union-attr]
