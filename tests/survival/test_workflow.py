"""Steps whose workflow or whose activities cannot go on: the run ends all the same, and the agent stays usable."""

from tests.survival.site import Site, assert_whole, call, script


def test_other_code_over_an_open_history(site: Site) -> None:
    agent = site.agent()
    before = site.platform.requests()
    run = site.begin(agent, script(call("look_up", mark=agent, seconds=1.5), {"text": "New code, same run."}))
    site.began(agent)
    site.worker.kill()
    changed = site.second_worker("--changed")
    said = [("assistant", ""), ("tool", "It is done."), ("assistant", "New code, same run.")]
    assert_whole(site, run, said)
    assert changed.running
    assert site.platform.requests() - before == 3  # the two steps, and the next message: nothing was asked twice


def test_a_model_that_never_answers(site: Site) -> None:
    agent = site.agent()
    before = site.platform.requests()
    run = site.begin(agent, script({"error": "llm_unavailable", "retry_after": 0.05}))
    site.ended(run)
    assert site.run(run)["error"]["error_type"] == "llm_unavailable"
    assert site.platform.requests() - before == 6
    assert_whole(site, run, [], stop="llm_api_error")
