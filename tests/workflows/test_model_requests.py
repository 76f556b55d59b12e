"""Model requests on the real engine: waiting is no failure, others step in, limits and budgets hold, spend is kept."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from o.domain.json import JsonObject
from o.domain.model import Usage
from o.domain.request import TurnOptions
from o.store.repositories.spend import SpendFilter
from tests.support.agents import make_agent, request
from tests.support.engine import Engine, script


def failing(error: str, times: int, **more: object) -> JsonObject:
    return {"text": "At last.", "error": error, "attempts_failing": times, **more}


async def ran(engine: Engine, agent: str, conversation: str, text: str) -> tuple[str | None, JsonObject | None]:
    """Say something; why the run stopped, and its error."""
    run = await engine.ended((await engine.accept(request(agent, conversation, text))).run_id)
    return run.stop_reason, run.error


async def test_being_told_to_wait_costs_no_try(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store)
    said = script(failing("llm_rate_limit", 9, retry_after=0.02))
    assert await ran(engine, agent, conversation, said) == ("end_turn", None)
    assert engine.requests() == 10


async def test_the_last_try_that_is_left_is_final(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.model.MODEL_TRIES", 2)
    agent, conversation = await make_agent(engine.store)
    stop, error = await ran(engine, agent, conversation, script(failing("llm_unavailable", 9, retry_after=0.02)))
    assert stop == "llm_api_error"
    assert error is not None and error["error_type"] == "llm_unavailable"
    assert engine.requests() == 2
    assert await ran(engine, agent, conversation, script({"text": "Here again."})) == ("end_turn", None)


async def test_a_wait_beyond_the_patience_ends_the_run_at_once(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store)
    stop, error = await ran(engine, agent, conversation, script(failing("llm_rate_limit", 9, retry_after=86_400)))
    assert stop == "llm_api_error"
    assert error is not None and error["error_type"] == "llm_rate_limit"
    assert engine.requests() == 1


async def test_another_model_steps_in_where_the_first_cannot(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, model="team/best")
    async with engine.store.transaction() as tx:
        await tx.aliases.set("team/best", ["nobody/there", "scripted/no-such-model", "scripted/echo"])
    run = await engine.ended((await engine.accept(request(agent, conversation, "Hello"))).run_id)
    assert run.stop_reason == "end_turn"
    async with engine.store.transaction() as tx:
        (step,) = await tx.steps.of_run(run.id)
        said = [message.text for message in await tx.messages.of_run(run.id)]
    assert step.model == "scripted/echo"
    assert said == ["Hello", "You said: Hello"]


async def test_no_other_model_is_asked_what_the_first_refused(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, model="team/best")
    async with engine.store.transaction() as tx:
        await tx.aliases.set("team/best", ["scripted/json", "scripted/echo"])
    stop, error = await ran(engine, agent, conversation, script({"error": "llm_refused"}))
    assert stop == "llm_api_error"
    assert error is not None and error["error_type"] == "llm_refused"
    assert engine.requests() == 1


async def test_the_reason_of_the_most_hopeful_is_told_when_all_fail(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.model.MODEL_TRIES", 1)
    agent, conversation = await make_agent(engine.store, model="team/best")
    async with engine.store.transaction() as tx:
        await tx.aliases.set("team/best", ["scripted/json", "nobody/there"])
    _, error = await ran(engine, agent, conversation, script(failing("llm_unavailable", 9)))
    assert error is not None and error["error_type"] == "llm_unavailable"


async def test_a_conversation_may_have_a_model_of_its_own(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, model="scripted/silent")
    async with engine.store.transaction() as tx:
        config = {**(await tx.agents.get(agent)).llm_config, "context_window": 9000, "temperature": 0.5}
        await tx.conversations.update(conversation, {"model": "scripted/echo", "llm_config": config})
        whole = await tx.agents.whole(agent, conversation)
        alone = await tx.agents.whole(agent)
    assert (whole.model, whole.context_window, whole.sampling.temperature) == ("scripted/echo", 9000, 0.5)
    assert (alone.model, alone.sampling.temperature) == ("scripted/silent", None)
    run = await engine.ended((await engine.accept(request(agent, conversation, "Hello"))).run_id)
    async with engine.store.transaction() as tx:
        assert [message.text for message in await tx.messages.of_run(run.id)][-1] == "You said: Hello"


async def test_a_request_may_ask_another_model(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, model="scripted/silent")
    asked = request(agent, conversation, "Hello", options=TurnOptions(override_model="scripted/echo"))
    run = await engine.ended((await engine.accept(asked)).run_id)
    async with engine.store.transaction() as tx:
        assert [step.model for step in await tx.steps.of_run(run.id)] == ["scripted/echo"]
        assert [message.text for message in await tx.messages.of_run(run.id)][-1] == "You said: Hello"


async def test_a_transcript_that_is_too_long_is_asked_again_with_less_of_it(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store)
    assert await ran(engine, agent, conversation, script(failing("context_window_exceeded", 2))) == ("end_turn", None)
    assert engine.requests() == 3
    stop, error = await ran(engine, agent, conversation, script(failing("context_window_exceeded", 9), {"text": "x"}))
    assert stop == "context_window_overflow_in_system_prompt"
    assert error is not None and error["error_type"] == "context_window_exceeded"
    assert engine.requests() == 6
    assert await ran(engine, agent, conversation, script({"text": "Here again."})) == ("end_turn", None)


async def test_limits_of_a_provider_hold_a_request_back(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, model="scripted/echo")
    async with engine.store.transaction() as tx:
        await tx.providers.add(
            {"id": "provider-1", "name": "scripted", "provider_type": "scripted", "requests_per_minute": 1}
        )
    assert await ran(engine, agent, conversation, "one") == ("end_turn", None)
    # The second would have to wait for the first one's minute to pass, which is beyond this engine's patience.
    stop, error = await ran(engine, agent, conversation, "two")
    assert stop == "llm_api_error"
    assert error is not None and error["error_type"] == "llm_rate_limit"
    assert "scripted" in error["message"]
    assert engine.requests() == 1


async def test_a_run_stops_between_steps_when_its_budget_is_used_up(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store)
    async with engine.store.transaction() as tx:
        budget = await tx.budgets.put(agent, "run", max_tokens=1, max_cost_usd=None)
    edit = {"tool_calls": [{"name": "memory_insert", "arguments": {"label": "human", "new_string": "Likes tea."}}]}
    stop, error = await ran(engine, agent, conversation, script(edit, {"text": "Noted."}))
    assert stop == "insufficient_credits"
    assert error is not None and budget.id in error["message"]
    assert engine.requests() == 1
    async with engine.store.transaction() as tx:
        assert "Likes tea." in (await tx.blocks.of_agent(agent, "human")).value
        await tx.budgets.delete(budget.id)
    assert await ran(engine, agent, conversation, script({"text": "Here again."})) == ("end_turn", None)


async def test_spend_is_kept_by_run_agent_and_day(engine: Engine) -> None:
    agent, conversation = await make_agent(engine.store, model="scripted/echo")
    run = await engine.ended((await engine.accept(request(agent, conversation, "Hello"))).run_id)
    today = datetime.now(UTC).date()
    async with engine.store.transaction() as tx:
        of_run = await tx.spend.of_run(run.id)
        (of_agent,) = await tx.spend.list(SpendFilter(today, today, agent, "model"))
        await tx.spend.record(agent, "x/y", Usage(prompt_tokens=1), Decimal("0.5"))
    assert (of_run.requests, of_run.unpriced_requests, of_run.cost_usd) == (1, 1, None)
    assert of_run.completion_tokens == 3
    assert (of_agent.model, of_agent.prompt_tokens) == ("scripted/echo", of_run.prompt_tokens)


async def test_a_model_that_goes_round_in_circles_is_stopped(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.model.MODEL_TRIES", 1)
    agent, conversation = await make_agent(engine.store)
    stop, error = await ran(engine, agent, conversation, script({"text": "and so on, " * 3_000}))
    assert stop == "invalid_llm_response"
    assert error is not None and "repeats itself" in error["message"]
