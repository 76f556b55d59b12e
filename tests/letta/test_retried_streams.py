"""What readers of a stream see when the model's attempt breaks off and is made again."""

import json
from typing import Any

import httpx
import pytest

from tests.support.engine import script
from tests.support.servers import Platform


def broken(first: str) -> str:
    """A reply that breaks off once. Attempts are counted by what is asked, so each test asks something else."""
    return script(
        {
            "text": f"{first} two three four.",
            "partial": f"{first} two thr",
            "error": "llm_unavailable",
            "attempts_failing": 1,
            "delta_delay": 0.2,
        }
    )


@pytest.fixture
def agent_id(letta: Any) -> str:
    return str(letta.agents.create(model="scripted/json").id)


def test_an_unchanged_client_sees_each_text_once(letta: Any, agent_id: str) -> None:
    stream = letta.agents.messages.create(agent_id=agent_id, input=broken("One"), streaming=True, stream_tokens=True)
    texts: dict[str, str] = {}
    for event in stream:
        assert event.message_type in {"ping", "assistant_message", "stop_reason", "usage_statistics"}
        if event.message_type == "assistant_message":
            texts[event.id] = texts.get(event.id, "") + event.content
    superseded, final = texts.values()
    assert final == "One two three four."
    assert superseded and "One two thr".startswith(superseded)
    stored = [m.id for m in letta.agents.messages.list(agent_id=agent_id) if m.message_type == "assistant_message"]
    assert stored == list(texts)[1:]


def test_who_asks_for_it_is_told_what_to_forget(letta: Any, agent_id: str, platform: Platform) -> None:
    body = {"input": broken("Uno"), "stream_tokens": True, "include_pings": False, "background": True}
    with httpx.stream(
        "POST",
        f"{platform.url}/v1/agents/{agent_id}/messages/stream",
        json=body,
        headers={"X-O-Reset-Marker": "1"},
        timeout=30,
    ) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: {")]
    seen = [json.loads(line.removeprefix("data: ")) for line in lines]
    kinds = [event["message_type"] for event in seen]
    at = kinds.index("reset")
    superseded = {event["id"] for event in seen[:at]}
    assert kinds[:at] == ["assistant_message"] * at
    assert seen[at]["id"] in superseded
    text = "".join(event["content"] for event in seen[at:] if event["message_type"] == "assistant_message")
    assert text == "Uno two three four."
    assert superseded.isdisjoint(event.get("id") for event in seen[at + 1 :])
    # A later reader is shown nothing of the superseded attempt, so there is nothing to forget either.
    again = list(letta.runs.messages.stream(seen[0]["run_id"], include_pings=False))
    assert superseded.isdisjoint(getattr(event, "id", None) for event in again)
