"""Spend and budgets over HTTP: what is shown, what is refused, and in which words."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest

from api.errors import answer_to, model_failure
from o import ids
from o.domain.model import Usage
from o.errors import BudgetExceeded
from o.store.session import Store

NO_AGENT = "agent-11111111-1111-4111-8111-111111111111"
NO_BUDGET = "budget-11111111-1111-4111-8111-111111111111"


@pytest.fixture(autouse=True)
def clean(database_url: str) -> Iterator[None]:
    """The database is shared by the tests here, and spend stays when its agent goes."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("DELETE FROM spend")
        yield
        owner.execute("DELETE FROM spend; DELETE FROM budgets")


async def record(store: Store, agent_id: str, model: str, cost: str | None) -> None:
    usage = Usage(1000, 50, cached_input_tokens=600, cache_write_tokens=300, reasoning_tokens=20)
    async with store.transaction() as tx:
        await tx.spend.record(agent_id, model, usage, None if cost is None else Decimal(cost))


async def put(http: httpx.AsyncClient, **body: object) -> httpx.Response:
    return await http.put("/v1/budgets/", json=body)


async def test_spend_is_shown_by_day_agent_and_model(http: httpx.AsyncClient, store: Store, agent_id: str) -> None:
    await record(store, agent_id, "openai/gpt-4o-mini", "0.25")
    await record(store, agent_id, "ollama/qwen3", None)
    await record(store, NO_AGENT, "openai/gpt-4o-mini", "0.5")
    today = datetime.now(UTC).date()
    counted = {
        "requests": 3,
        "unpriced_requests": 1,
        "prompt_tokens": 3000,
        "completion_tokens": 150,
        "cached_input_tokens": 1800,
        "cache_write_tokens": 900,
        "reasoning_tokens": 60,
        "total_tokens": 3150,
        "cost_usd": 0.75,
    }
    days = (await http.get("/v1/spend")).json()
    assert days == [{"day": today.isoformat(), "agent_id": None, "model": None, **counted}]
    agents = (await http.get("/v1/spend", params={"group_by": "agent"})).json()
    assert [(line["agent_id"], line["cost_usd"]) for line in agents] == [(NO_AGENT, 0.5), (agent_id, 0.25)]
    assert (await http.get("/v1/spend", params={"group_by": "agent", "offset": 1})).json() == agents[1:]
    models = (await http.get("/v1/spend", params={"group_by": "model", "agent_id": agent_id})).json()
    assert [(line["model"], line["cost_usd"]) for line in models] == [
        ("openai/gpt-4o-mini", 0.25),
        ("ollama/qwen3", None),
    ]
    before = (today - timedelta(days=1)).isoformat()
    assert (await http.get("/v1/spend", params={"end_date": before})).json() == []
    assert (await http.get("/v1/spend", params={"start_date": before, "end_date": today.isoformat()})).json() == days


async def test_the_spend_of_a_run_is_shown(http: httpx.AsyncClient, agent_id: str) -> None:
    said = await http.post(f"/v1/agents/{agent_id}/messages", json={"input": "Hello"})
    run_id = said.json()["messages"][0]["run_id"]
    spent = (await http.get(f"/v1/runs/{run_id}/spend")).json()
    assert spent["agent_id"] == agent_id
    assert spent["requests"] == 1
    assert spent["total_tokens"] == said.json()["usage"]["total_tokens"] > 0
    assert (await http.get(f"/v1/runs/{ids.new('run')}/spend")).status_code == 404


@pytest.mark.parametrize(
    ("params", "status", "words"),
    [
        ({"start_date": "2026-11-02", "end_date": "2026-11-01"}, 400, "start_date: 2026-11-02 is after"),
        ({"start_date": "9999-12-31"}, 400, "start_date"),
        ({"start_date": "2026-02-30"}, 422, "start_date"),
        ({"end_date": "1700000000"}, 422, "end_date: must be a day, as YYYY-MM-DD"),
        ({"agent_id": "anybody"}, 422, "agent_id"),
        ({"group_by": "hour"}, 422, "group_by"),
        ({"limit": 0}, 422, "limit"),
        ({"limit": 1001}, 422, "limit"),
        ({"offset": -1}, 422, "offset"),
    ],
)
async def test_what_cannot_be_asked_is_said(
    http: httpx.AsyncClient, params: dict[str, Any], status: int, words: str
) -> None:
    refused = await http.get("/v1/spend", params=params)
    assert refused.status_code == status
    assert words in refused.json()["detail"]


async def test_the_first_day_there_is_can_be_asked_for(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/spend", params={"end_date": "0001-01-01"})).json() == []


async def test_a_budget_is_set_replaced_listed_and_removed(http: httpx.AsyncClient, agent_id: str) -> None:
    made = (await put(http, agent_id=agent_id, period="day", max_cost_usd=2.5)).json()
    assert made == {**made, "agent_id": agent_id, "period": "day", "max_tokens": None, "max_cost_usd": 2.5}
    again = (await put(http, agent_id=agent_id, period="day", max_tokens=1000, max_cost_usd="0.000001")).json()
    assert again == {**made, "max_tokens": 1000, "max_cost_usd": 0.000001}
    everybodys = (await put(http, period="run", max_tokens=10**15)).json()
    assert everybodys["agent_id"] is None
    for path in ("/v1/budgets/", "/v1/budgets"):
        assert (await http.get(path)).json() == [everybodys, again]
    assert (await http.get("/v1/budgets/", params={"agent_id": agent_id})).json() == [again]
    assert (await http.get("/v1/budgets/", params={"limit": 1})).json() == [everybodys]
    assert (await http.get("/v1/budgets/", params={"after": everybodys["id"]})).json() == [again]
    assert (await http.delete(f"/v1/budgets/{made['id']}")).status_code == 200
    gone = await http.delete(f"/v1/budgets/{made['id']}")
    assert (gone.status_code, made["id"] in gone.json()["detail"]) == (404, True)
    assert (await http.get("/v1/budgets/")).json() == [everybodys]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"period": "day"}, 422, "max_tokens or max_cost_usd: set at least one"),
        ({"max_tokens": 1}, 422, "period"),
        ({"period": "week", "max_tokens": 1}, 422, "period"),
        ({"period": "day", "max_tokens": 0}, 422, "max_tokens"),
        ({"period": "day", "max_tokens": True}, 422, "max_tokens"),
        ({"period": "day", "max_tokens": 2**63}, 422, "max_tokens"),
        ({"period": "day", "max_cost_usd": 0}, 422, "max_cost_usd"),
        ({"period": "day", "max_cost_usd": -1}, 422, "max_cost_usd"),
        ({"period": "day", "max_cost_usd": "NaN"}, 422, "max_cost_usd"),
        ({"period": "day", "max_cost_usd": "Infinity"}, 422, "max_cost_usd"),
        ({"period": "day", "max_cost_usd": "0.0000001"}, 422, "max_cost_usd"),
        ({"period": "day", "max_cost_usd": 1e300}, 422, "max_cost_usd"),
        ({"period": "day", "max_tokens": 1, "agent_id": "budget-1"}, 422, "agent_id"),
        ({"period": "day", "max_tokens": 1, "agent_id": NO_AGENT}, 404, NO_AGENT),
        ([], 422, ""),
    ],
)
async def test_a_budget_that_cannot_be_is_refused(http: httpx.AsyncClient, body: Any, status: int, words: str) -> None:
    refused = await http.put("/v1/budgets/", json=body)
    assert refused.status_code == status, refused.text
    assert words in refused.json()["detail"]
    assert (await http.get("/v1/budgets/")).json() == []


async def test_unknown_budgets_are_said(http: httpx.AsyncClient) -> None:
    assert (await http.delete(f"/v1/budgets/{NO_BUDGET}")).status_code == 404
    assert (await http.delete("/v1/budgets/agent-1")).status_code == 422
    assert (await http.get("/v1/budgets/", params={"after": NO_BUDGET})).status_code == 404
    assert (await http.get("/v1/budgets/", params={"after": "budget-1"})).status_code == 422


def test_a_turn_that_met_a_budget_is_answered_as_unpaid() -> None:
    failed = model_failure(BudgetExceeded.code, "the budget is used up")
    assert failed.status_code == 402
    assert b'"budget_exceeded"' in failed.body and b"the budget is used up" in bytes(failed.body)
    assert answer_to(BudgetExceeded("the budget is used up")).status_code == 402
