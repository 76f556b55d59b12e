"""A worker that dies: another takes its work over, and nothing is done twice that must not be."""

import pytest

from o.domain.context import UNKNOWN_OUTCOME
from tests.survival.site import Site, assert_whole, call, script


def test_killed_during_the_model_call(site: Site) -> None:
    agent = site.agent()
    before = site.platform.requests()
    run = site.begin(agent, script({"text": "Here I am.", "delay": 1.0}))
    site.asked(more_than=before)
    site.worker.kill()
    site.worker.start()
    site.ended(run)
    assert site.platform.requests() - before == 2  # the one that was cut off, and the one that was answered
    assert_whole(site, run, [("assistant", "Here I am.")])


@pytest.mark.parametrize(
    ("tool", "times", "returned"),
    [("look_up", 2, "It is done."), ("charge_card", 1, UNKNOWN_OUTCOME)],
    ids=["repeatable", "external"],
)
def test_killed_between_tool_call_and_return(site: Site, tool: str, times: int, returned: str) -> None:
    agent = site.agent()
    before = site.platform.requests()
    run = site.begin(agent, script(call(tool, mark=agent, seconds=1.5), {"text": "Done."}))
    site.began(agent)
    site.worker.kill()
    site.worker.start()
    site.ended(run)
    assert site.effects(agent) == times
    assert site.platform.requests() - before == 2  # one for each step: the answered one was not asked again
    assert_whole(site, run, [("assistant", ""), ("tool", returned), ("assistant", "Done.")])


def test_all_workers_gone_for_a_while(site: Site) -> None:
    agent = site.agent()
    site.worker.kill()
    runs = [site.begin(agent, script({"text": text})) for text in ("One.", "Two.")]
    site.worker.start()
    assert_whole(site, runs[0], [("assistant", "One.")], again=False)
    assert_whole(site, runs[1], [("assistant", "Two.")])
