"""A worker that is frozen until its work was given to another, and then wakes: what it does late counts for nothing."""

import asyncio
import signal

import pytest

from o import ids
from o.contracts.turn import StepRef
from o.domain.json import JsonObject
from o.store import turn
from o.store.session import Store
from tests.survival.site import Site, assert_whole, call, script


def wake_and_end(site: Site) -> None:
    """Let the frozen worker go on, and wait until it has ended: it finishes what it holds first."""
    site.worker.signal(signal.SIGCONT)
    site.worker.stop()


@pytest.mark.parametrize("tokens", [False, True], ids=["whole", "tokens"])
def test_paused_in_the_model_call(site: Site, tokens: bool) -> None:
    agent = site.agent()
    before = site.platform.requests()
    body: JsonObject = {
        "input": script({"text": "It was a dark night", "delay": 0.5, "delta_delay": 0.1}),
        "stream_tokens": tokens,
        "background": True,
    }
    with site.http.stream("POST", f"/v1/agents/{agent}/messages/stream", json=body):
        run = site.run_of(agent)
        site.asked(more_than=before)
        site.worker.signal(signal.SIGSTOP)
        site.second_worker()
        site.overtaken(run)
        site.ended(run)
    wake_and_end(site)
    assert site.platform.requests() - before == 2
    assert_whole(site, run, [("assistant", "It was a dark night")])


def test_woken_while_the_new_attempt_is_under_way(site: Site) -> None:
    agent = site.agent()
    before = site.platform.requests()
    run = site.begin(agent, script({"text": "Only once.", "delay": 2.0}))
    site.asked(more_than=before)
    site.worker.signal(signal.SIGSTOP)
    site.second_worker()
    site.overtaken(run)
    wake_and_end(site)
    assert_whole(site, run, [("assistant", "Only once.")])


def test_woken_with_an_attempt_that_the_engine_has_given_up(site: Site) -> None:
    agent = site.agent()
    before = site.platform.requests()
    run = site.begin(agent, script({"text": "Whoever asks.", "delay": 1.0}))
    site.asked(more_than=before)
    conversation = site.run(run)["conversation_id"]
    at = StepRef(org_id=ids.DEFAULT_ORG, agent_id=agent, conversation_id=conversation, run_id=run, index=0)
    asyncio.run(_begin_late(site, at))
    site.ended(run)
    assert site.platform.requests() - before == 2  # the engine's own attempt lost its answer, and asked again
    assert_whole(site, run, [("assistant", "Whoever asks.")])


async def _begin_late(site: Site, at: StepRef) -> None:
    """Take the step's next number, as a task does that a frozen worker had in its socket; then do nothing more."""
    async with Store(site.database_url, size=1) as store, store.transaction() as tx:
        assert isinstance(await turn.begin(tx, at), turn.Asking)


@pytest.mark.parametrize("tool", ["look_up", "charge_card"])
def test_paused_in_a_tool(site: Site, tool: str) -> None:
    agent = site.agent()
    before = site.platform.requests()
    run = site.begin(agent, script(call(tool, mark=agent, seconds=0.5), {"text": "Done."}))
    site.began(agent)
    site.worker.signal(signal.SIGSTOP)
    site.second_worker()
    site.ended(run)
    seen = site.rows("SELECT * FROM messages WHERE run_id = %(id)s ORDER BY id", id=run)
    wake_and_end(site)
    assert site.effects(agent) == (2 if tool == "look_up" else 1)
    assert site.platform.requests() - before == 2
    assert site.rows("SELECT * FROM messages WHERE run_id = %(id)s ORDER BY id", id=run) == seen
    (returned,) = (row["tool_returns"][0]["content"] for row in seen if row["role"] == "tool")
    assert_whole(site, run, [("assistant", ""), ("tool", returned), ("assistant", "Done.")])
