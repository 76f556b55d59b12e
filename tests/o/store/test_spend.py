"""Spend is summed by day and outlives its agent; budgets are asked with what was spent since."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from o import ids
from o.domain.model import Usage
from o.errors import NotFound
from o.store import queue
from o.store.provider_records import SpendRecord
from o.store.repositories.budgets import BudgetFilter
from o.store.repositories.spend import SpendFilter
from o.store.session import Store
from tests.support.agents import make_agent, request

USAGE = Usage(1000, 50, cached_input_tokens=600, cache_write_tokens=300, reasoning_tokens=20)
OTHER_ORG = "org-11111111-1111-4111-8111-111111111111"

Owner = psycopg.Connection[tuple[int, ...]]


def today() -> date:
    return datetime.now(UTC).date()


@pytest.fixture
def owner(database_url: str) -> Iterator[Owner]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO organizations (id, name) VALUES (%s, 'other')", (OTHER_ORG,))
        yield connection


async def record(
    store: Store,
    agent_id: str,
    cost: str | None,
    *,
    usage: Usage = USAGE,
    model: str = "openai/gpt",
    org: str = ids.DEFAULT_ORG,
) -> None:
    async with store.transaction(org) as tx:
        await tx.spend.record(agent_id, model, usage, None if cost is None else Decimal(cost))


async def listed(store: Store, what: SpendFilter | None = None) -> list[SpendRecord]:
    async with store.transaction() as tx:
        return await tx.spend.list(what or SpendFilter(today() - timedelta(days=1), today()))


async def run_of(store: Store, agent_id: str, conversation_id: str) -> str:
    async with store.transaction() as tx:
        return (await queue.accept(tx, request(agent_id, conversation_id))).run_id


def answered(owner: Owner, run_id: str, index: int, cost: str | None) -> None:
    """Give a run a step that a model answered with `USAGE`."""
    owner.execute(
        "INSERT INTO steps (org_id, run_id, index, id, agent_id, model, prompt_tokens, completion_tokens, "
        "cached_input_tokens, cache_write_tokens, reasoning_tokens, cost_usd) "
        "SELECT org_id, id, %s, %s, agent_id, 'openai/gpt', 1000, 50, 600, 300, 20, %s FROM runs WHERE id = %s "
        "ON CONFLICT (run_id, index) DO UPDATE SET model = excluded.model, prompt_tokens = excluded.prompt_tokens, "
        "completion_tokens = excluded.completion_tokens, cached_input_tokens = excluded.cached_input_tokens, "
        "cache_write_tokens = excluded.cache_write_tokens, reasoning_tokens = excluded.reasoning_tokens, "
        "cost_usd = excluded.cost_usd",
        (index, ids.new("step"), cost, run_id),
    )


async def test_a_day_is_summed(store: Store) -> None:
    await record(store, "agent-a", "0.25")
    await record(store, "agent-a", "0.000001")
    assert await listed(store) == [
        SpendRecord(today(), None, None, 2, 0, 2000, 100, 1200, 600, 40, Decimal("0.250001"))
    ]


async def test_a_cost_nobody_knows_is_not_zero(store: Store) -> None:
    await record(store, "agent-a", None)
    [unknown] = await listed(store)
    assert (unknown.requests, unknown.unpriced_requests, unknown.cost_usd) == (1, 1, None)
    await record(store, "agent-a", "0.5")
    await record(store, "agent-a", None)
    [partly] = await listed(store)
    assert (partly.requests, partly.unpriced_requests, partly.cost_usd) == (3, 2, Decimal("0.5"))


async def test_spend_is_grouped_filtered_and_paged(store: Store, owner: Owner) -> None:
    await record(store, "agent-a", "1", model="openai/gpt")
    owner.execute("UPDATE spend SET day = day - 1")
    await record(store, "agent-a", "2", model="groq/llama")
    await record(store, "agent-b", "5", model="openai/gpt")
    await record(store, "agent-c", None, model="ollama/qwen")
    days = await listed(store)
    assert [(line.day, line.cost_usd) for line in days] == [
        (today(), Decimal(7)),
        (today() - timedelta(days=1), Decimal(1)),
    ]

    def by(group: str, **more: int | str) -> SpendFilter:
        return SpendFilter(today() - timedelta(days=1), today(), group_by=group, **more)  # type: ignore[arg-type]

    agents = [(line.agent_id, line.cost_usd) for line in await listed(store, by("agent"))]
    assert agents == [("agent-b", Decimal(5)), ("agent-a", Decimal(3)), ("agent-c", None)]
    assert [line.agent_id for line in await listed(store, by("agent", limit=1, offset=1))] == ["agent-a"]
    models = [(line.model, line.requests) for line in await listed(store, by("model"))]
    assert models == [("openai/gpt", 2), ("groq/llama", 1), ("ollama/qwen", 1)]
    of_one = await listed(store, by("model", agent_id="agent-a"))
    assert [(line.model, line.cost_usd) for line in of_one] == [("groq/llama", Decimal(2)), ("openai/gpt", Decimal(1))]
    assert [line.cost_usd for line in await listed(store, SpendFilter(today(), today()))] == [Decimal(7)]


async def test_organisations_do_not_see_each_others_spend(store: Store, owner: Owner) -> None:
    await record(store, "agent-a", "3", org=OTHER_ORG)
    assert await listed(store) == []
    await record(store, "agent-a", "1")
    assert [line.cost_usd for line in await listed(store)] == [Decimal(1)]


async def test_spend_outlives_its_agent_and_budgets_do_not(store: Store) -> None:
    agent_id, _ = await make_agent(store)
    await record(store, agent_id, "1")
    async with store.transaction() as tx:
        await tx.budgets.put(agent_id, "day", max_tokens=1, max_cost_usd=None)
        await tx.agents.delete(agent_id)
    assert [line.cost_usd for line in await listed(store)] == [Decimal(1)]
    async with store.transaction() as tx:
        assert await tx.budgets.list(BudgetFilter()) == []


async def test_a_run_is_summed_over_its_answered_steps(store: Store, owner: Owner) -> None:
    agent_id, conversation_id = await make_agent(store)
    run_id = await run_of(store, agent_id, conversation_id)
    async with store.transaction() as tx:
        assert (await tx.spend.of_run(run_id)).requests == 0
    answered(owner, run_id, 0, "0.5")
    answered(owner, run_id, 1, None)
    async with store.transaction() as tx:
        spent = await tx.spend.of_run(run_id)
    assert spent == SpendRecord(None, agent_id, None, 2, 1, 2000, 100, 1200, 600, 40, Decimal("0.5"))


async def exceeded_by(store: Store, agent_id: str, run_id: str) -> str | None:
    async with store.transaction() as tx:
        found = await tx.budgets.exceeded(agent_id, run_id)
    return None if found is None else f"{found.budget.agent_id and 'agent'} {found.budget.period} {found.spent.tokens}"


async def test_a_budget_per_run_counts_that_run_only(store: Store, owner: Owner) -> None:
    agent_id, conversation_id = await make_agent(store)
    first = await run_of(store, agent_id, conversation_id)
    second = await run_of(store, agent_id, conversation_id)
    assert await exceeded_by(store, agent_id, first) is None
    async with store.transaction() as tx:
        await tx.budgets.put(None, "run", max_tokens=2000, max_cost_usd=None)
    answered(owner, first, 0, None)
    assert await exceeded_by(store, agent_id, first) is None
    answered(owner, first, 1, None)
    assert await exceeded_by(store, agent_id, first) == "None run 2100"
    assert await exceeded_by(store, agent_id, second) is None
    async with store.transaction() as tx:
        await tx.budgets.put(agent_id, "run", max_tokens=None, max_cost_usd=Decimal("0.1"))
    assert await exceeded_by(store, agent_id, first) == "None run 2100"  # what costs an unknown sum counts as none
    answered(owner, first, 1, "0.1")
    assert await exceeded_by(store, agent_id, first) == "agent run 2100"


async def test_a_budget_per_day_counts_todays_spend(store: Store, owner: Owner) -> None:
    async with store.transaction() as tx:
        await tx.budgets.put(None, "day", max_tokens=None, max_cost_usd=Decimal(10))
    agent_id, _ = await make_agent(store)
    other_id, _ = await make_agent(store)
    async with store.transaction() as tx:
        await tx.budgets.put(agent_id, "day", max_tokens=None, max_cost_usd=Decimal(3))
    await record(store, agent_id, "100")
    await record(store, agent_id, "100", org=OTHER_ORG)
    owner.execute("UPDATE spend SET day = day - 1")
    await record(store, agent_id, "2", model="openai/gpt")
    await record(store, other_id, "7")
    assert await exceeded_by(store, agent_id, "run-none") is None
    await record(store, agent_id, "1", model="groq/llama")
    assert await exceeded_by(store, agent_id, "run-none") == "agent day 2100"
    assert await exceeded_by(store, other_id, "run-none") == "None day 3150"
    async with store.transaction(OTHER_ORG) as tx:
        assert await tx.budgets.exceeded(agent_id, "run-none") is None


async def test_a_budget_is_replaced_under_its_id(store: Store) -> None:
    async with store.transaction() as tx:
        first = await tx.budgets.put(None, "day", max_tokens=5, max_cost_usd=None)
        again = await tx.budgets.put(None, "day", max_tokens=None, max_cost_usd=Decimal("2.50"))
        other = await tx.budgets.put(None, "run", max_tokens=7, max_cost_usd=None)
        found = await tx.budgets.list(BudgetFilter(order="asc"))
    assert (again.id, again.max_tokens, again.max_cost_usd) == (first.id, None, Decimal("2.50"))
    assert {budget.id for budget in found} == {first.id, other.id}
    async with store.transaction() as tx:
        await tx.budgets.delete(first.id)
    with pytest.raises(NotFound, match="o budgets ls"):
        async with store.transaction() as tx:
            await tx.budgets.delete(first.id)
