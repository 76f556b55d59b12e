"""People's own tools and questions between agents, when a process in the middle of them dies."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
import pytest

from o.domain.agent import ASK_AGENT
from o.domain.context import UNKNOWN_OUTCOME
from tests.support.servers import until
from tests.survival.site import Site, assert_whole, call, script

# Does something to the world, and has a child and a thread of its own when it is killed.
SOURCE = '''
def charge(mark: str, nap: int, seconds: float) -> str:
    """Charge a card.

    Args:
        mark: What to note.
        nap: How long its child would sleep.
        seconds: How long it takes itself.
    """
    import subprocess, threading, time, urllib.request
    threading.Thread(target=time.sleep, args=[nap], daemon=True).start()
    subprocess.Popen(["sleep", str(nap)], start_new_session=True)
    urllib.request.urlopen("http://127.0.0.1:{port}/" + mark).read()
    time.sleep(seconds)
    return "It is done."
'''


@dataclass
class World:
    """What tools do something to: it outlives whatever is killed."""

    port: int = 0
    marks: list[str] = field(default_factory=list)


@pytest.fixture
def world() -> Iterator[World]:
    seen = World()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.marks.append(self.path.removeprefix("/"))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen.port = server.server_port
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield seen
    server.shutdown()
    serving.join()
    server.server_close()


def charger(site: Site, world: World, **declared: object) -> str:
    """An agent with a tool of its organisation's own, which runs in the sandbox."""
    source = SOURCE.replace("{port}", str(world.port))
    body = {"source_code": source, "sandbox": {"network": [f"127.0.0.1:{world.port}"]}, **declared}
    site.post("/v1/tools/", body)
    return site.agent(tools=["charge"])


def asleep(nap: int) -> bool:
    """Whether a child of the tool that was given this number lives, whichever namespaces it lives in."""
    return any(process.info["cmdline"] == ["sleep", str(nap)] for process in psutil.process_iter(["cmdline"]))


@pytest.mark.parametrize(
    ("idempotent", "times", "returned"),
    [(False, 1, UNKNOWN_OUTCOME), (True, 2, "It is done.")],
    ids=["external", "idempotent"],
)
def test_a_worker_killed_in_the_middle_of_a_tool(
    site: Site, world: World, idempotent: bool, times: int, returned: str
) -> None:
    site.start_executor()
    agent = charger(site, world, idempotent=idempotent)
    nap = 8_000_000 + idempotent
    before = site.platform.requests()
    run = site.begin(agent, script(call("charge", mark=agent, nap=nap, seconds=2), {"text": "Done."}))
    until(lambda: agent in world.marks, "the tool running")
    assert asleep(nap)
    site.worker.kill()
    until(lambda: not asleep(nap), "the death of all the tool had started", 3)
    site.second_worker()
    site.ended(run)
    assert world.marks.count(agent) == times
    assert site.platform.requests() - before == 2  # one for each step
    assert not asleep(nap)
    assert_whole(site, run, [("assistant", ""), ("tool", returned), ("assistant", "Done.")])


def test_the_executor_killed_in_the_middle_of_a_tool(site: Site, world: World) -> None:
    site.start_executor()
    agent = charger(site, world)
    nap = 8_000_002
    run = site.begin(agent, script(call("charge", mark=agent, nap=nap, seconds=60), {"text": "Done."}))
    until(lambda: agent in world.marks, "the tool running")
    assert asleep(nap)
    site.executor.kill()
    until(lambda: not asleep(nap), "the death of all the tool had started", 3)
    site.ended(run)
    told = (
        "Error executing function charge: the sandbox went away during the call; "
        "whether the code did its work is not known"
    )
    assert_whole(site, run, [("assistant", ""), ("tool", told), ("assistant", "Done.")])
    assert world.marks.count(agent) == 1
    site.start_executor()
    again = site.begin(agent, script(call("charge", mark="again", nap=nap, seconds=0), {"text": "Done."}))
    assert_whole(site, again, [("assistant", ""), ("tool", "It is done."), ("assistant", "Done.")])
    until(lambda: not asleep(nap), "the end of what the tool left behind", 3)


def test_a_worker_killed_while_an_agent_waits_for_anothers_reply(site: Site) -> None:
    other = site.agent(name="Other")
    agent = site.agent(tools=[ASK_AGENT])
    before = site.platform.requests()
    heard = script({"text": "I was asked.", "delay": 2.0})
    run = site.begin(agent, script(call(ASK_AGENT, message=heard, other_agent_id=other), {"text": "Thanks."}))
    site.asked(more_than=before + 1)
    site.worker.kill()
    site.second_worker()
    site.ended(run)
    (asked,) = site.rows("SELECT id FROM runs WHERE asked_by_run_id = %(id)s", id=run)
    assert site.run_of(other) == asked["id"]
    assert_whole(site, asked["id"], [("assistant", "I was asked.")])
    assert_whole(site, run, [("assistant", ""), ("tool", "I was asked."), ("assistant", "Thanks.")])
