"""The servers below die: the engine, the database, everything at once, and the engine's memory."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
from letta_client import Letta

from o.temporal import connect, prepare
from tests.survival.site import Site, assert_whole, call, script


def test_temporal_killed_in_the_model_call(site: Site) -> None:
    agent = site.agent()
    before = site.platform.requests()
    run = site.begin(agent, script({"text": "Still thinking.", "delay": 1.5}))
    site.asked(more_than=before)
    site.temporal.process.kill()
    site.temporal.start()
    assert_whole(site, run, [("assistant", "Still thinking.")])


def test_temporal_killed_in_a_tool_that_must_not_run_twice(site: Site) -> None:
    agent = site.agent()
    run = site.begin(agent, script(call("charge_card", mark=agent, seconds=2), {"text": "Paid."}))
    site.began(agent)
    site.temporal.process.kill()
    site.temporal.start()
    site.ended(run)
    assert site.effects(agent) == 1
    (row,) = site.rows("SELECT tool_returns FROM messages WHERE run_id = %(id)s AND role = 'tool'", id=run)
    assert_whole(site, run, [("assistant", ""), ("tool", row["tool_returns"][0]["content"]), ("assistant", "Paid.")])


def test_accepted_while_temporal_is_away(site: Site) -> None:
    agent = site.agent()
    site.temporal.process.kill()
    with ThreadPoolExecutor() as threads:
        accepted = threads.submit(site.begin, agent, script({"text": "In good time."}))
        site.temporal.start()
        run = accepted.result()
    assert_whole(site, run, [("assistant", "In good time.")])


def test_postgres_killed_while_a_client_waits(site: Site) -> None:
    agent = site.agent()
    before = site.platform.requests()
    with Letta(base_url=site.platform.url, api_key="none", max_retries=8) as client, ThreadPoolExecutor() as threads:
        waiting = threads.submit(
            client.agents.messages.create, agent, input=script({"text": "Nothing is lost.", "delay": 1.0})
        )
        site.asked(more_than=before)
        site.postgres.process.kill()
        site.postgres.restart()
        answer = waiting.result()
    assert [getattr(message, "content", None) for message in answer.messages] == ["Nothing is lost."]
    assert_whole(site, site.run_of(agent), [("assistant", "Nothing is lost.")])


def test_postgres_killed_in_a_tool(site: Site) -> None:
    agent = site.agent()
    run = site.begin(agent, script(call("look_up", mark=agent, seconds=1), {"text": "Found."}))
    site.began(agent)
    site.postgres.process.kill()
    site.postgres.restart()
    assert_whole(site, run, [("assistant", ""), ("tool", "It is done."), ("assistant", "Found.")])


def test_everything_told_to_stop_in_the_middle_of_a_turn(site: Site) -> None:
    agent = site.agent()
    before = site.platform.requests()
    run = site.begin(agent, script(call("look_up", mark=agent, seconds=3), {"text": "Good morning."}))
    queued = site.begin(agent, script({"text": "And me?"}))
    site.began(agent)
    parts = [site.api, site.worker, site.temporal.process, site.postgres.process]
    for process in parts:
        process.signal(signal.SIGTERM)
    for process in parts:
        process.stop()
    site.heal()
    assert_whole(site, run, [("assistant", ""), ("tool", "It is done."), ("assistant", "Good morning.")], again=False)
    assert_whole(site, queued, [("assistant", "And me?")])
    assert site.platform.requests() - before >= 3


def test_the_engine_forgets_everything(site: Site) -> None:
    agent, other = site.agent(), site.agent()
    before = site.platform.requests()
    run = site.begin(agent, script(call("charge_card", mark=agent, seconds=3), {"text": "Paid."}))
    site.began(agent)
    asking = site.begin(other, script({"text": "Who am I?", "delay": 3.0}))
    site.asked(more_than=before + 1)
    site.temporal.process.kill()
    for file in site.layout.data_dir.glob("temporal.db*"):
        file.unlink()
    site.temporal.start()
    asyncio.run(_prepare(site))
    site.ended(run)
    assert site.effects(agent) == 1
    (row,) = site.rows("SELECT tool_returns FROM messages WHERE run_id = %(id)s AND role = 'tool'", id=run)
    assert_whole(site, run, [("assistant", ""), ("tool", row["tool_returns"][0]["content"]), ("assistant", "Paid.")])
    assert_whole(site, asking, [("assistant", "Who am I?")])
    assert httpx.get(f"{site.platform.url}/v1/runs/{run}").json()["status"] == "completed"


async def _prepare(site: Site) -> None:
    """What the supervisor does after each start of its Temporal."""
    await prepare(await connect(site.temporal.address, "default"), reconcile_every=1)
