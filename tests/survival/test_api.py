"""An api that dies while clients wait and read; clients that see a worker die."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from letta_client import Letta

from tests.survival.site import KNOWN_EVENTS, Site, assert_whole, events_of, script, texts_of


def test_killed_while_a_client_waits(site: Site) -> None:
    agent = site.agent()
    before = site.platform.requests()
    body = {"input": script({"text": "Patience pays.", "delay": 1.5})}
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(httpx.post, f"{site.platform.url}/v1/agents/{agent}/messages", json=body, timeout=30)
        site.asked(more_than=before)
        site.api.kill()
        with pytest.raises(httpx.TransportError):
            waiting.result()
    site.platform.start_api()
    answer = site.post(f"/v1/agents/{agent}/messages", body, **{"x-stainless-retry-count": "1"})
    assert [message["content"] for message in answer["messages"]] == ["Patience pays."]
    run = site.run_of(agent)  # the second request made none of its own
    assert answer["messages"][0]["run_id"] == run
    assert site.platform.requests() - before == 1
    shown = site.http.get(f"/v1/runs/{run}").json()
    assert (shown["status"], shown["stop_reason"]) == ("completed", "end_turn")
    listed = site.http.get(f"/v1/agents/{agent}/messages").json()
    assert [each["content"] for each in listed if each["message_type"] == "assistant_message"] == ["Patience pays."]
    assert_whole(site, run, [("assistant", "Patience pays.")])


def test_killed_while_a_client_streams(site: Site) -> None:
    agent = site.agent()
    before = site.platform.requests()
    body = {
        "input": script({"text": "a b c d e f g h i j", "delta_delay": 0.2}),
        "stream_tokens": True,
        "background": True,
        "include_pings": False,
    }
    read = []
    with (
        pytest.raises(httpx.TransportError),
        site.http.stream("POST", f"/v1/agents/{agent}/messages/stream", json=body) as answer,
    ):
        for event in events_of(answer.iter_lines()):
            read.append(event)
            site.api.kill()
    site.platform.start_api()
    run = site.run_of(agent)
    last = read[-1]["seq_id"]
    with site.http.stream("POST", f"/v1/runs/{run}/stream", json={"starting_after": last}) as answer:
        read += events_of(answer.iter_lines())
    assert list(texts_of(read).values()) == ["a b c d e f g h i j"]
    assert site.platform.requests() - before == 1
    assert_whole(site, run, [("assistant", "a b c d e f g h i j")])


def test_an_unchanged_client_streams_across_the_death_of_a_worker(site: Site) -> None:
    agent = site.agent()
    text = "one two three four five six seven eight"
    read, killed = [], False
    with Letta(base_url=site.platform.url, api_key="none") as client:
        for event in client.agents.messages.create(
            agent,
            streaming=True,
            input=script({"text": text, "delta_delay": 0.25}),
            stream_tokens=True,
            include_pings=True,
        ):
            read.append(event.model_dump(mode="json"))
            if event.message_type == "assistant_message" and not killed:
                killed = True
                site.worker.kill()
                site.worker.start()
    assert {event["message_type"] for event in read} <= KNOWN_EVENTS
    run = site.run_of(agent)
    (final,) = site.rows("SELECT id FROM messages WHERE run_id = %(id)s AND role = 'assistant'", id=run)
    texts = texts_of(read)
    assert texts[final["id"]] == text
    assert [each for each in texts.values() if each == text] == [text]
    assert [event["stop_reason"] for event in read if event["message_type"] == "stop_reason"] == ["end_turn"]
    assert_whole(site, run, [("assistant", text)])
