"""The reconciler carries out what a policy says of a question that nobody answered."""

import psycopg

from o.domain.json import JsonObject
from o.store.repositories.approvals import ApprovalFilter
from tests.support.agents import make_agent, request
from tests.support.engine import Engine, script
from tests.workflows.test_step import reconcile

INSERT: JsonObject = {
    "tool_calls": [{"name": "memory_insert", "arguments": {"label": "human", "new_string": "likes tea"}}]
}


async def test_a_call_that_a_policy_approves_in_the_end_runs_and_the_turn_goes_on(
    engine: Engine, database_url: str
) -> None:
    agent, conversation = await make_agent(engine.store)
    async with engine.store.transaction() as tx:
        await tx.policies.add({"action": "ask", "timeout_seconds": 3600, "on_timeout": "approve"})
    asked = await engine.accept(request(agent, conversation, script(INSERT, {"text": "Noted."})))
    assert (await engine.ended(asked.run_id)).stop_reason == "requires_approval"
    with psycopg.connect(database_url, autocommit=True) as owner:  # the hour passes
        owner.execute("UPDATE approvals SET expires_at = now() - interval '1 second'")
    await reconcile(engine)
    async with engine.store.transaction() as tx:
        [answered] = await tx.approvals.list(ApprovalFilter())
    assert answered.answered_by_run_id is not None
    assert (await engine.ended(answered.answered_by_run_id)).stop_reason == "end_turn"
    async with engine.store.transaction() as tx:
        assert "likes tea" in (await tx.blocks.of_agent(agent, "human")).value
