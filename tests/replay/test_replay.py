"""Histories of earlier versions still replay: a changed workflow that breaks one needs `workflow.patched`.

The recorded histories hold ids only. `O_RECORD_HISTORIES=1 pytest tests/replay` records those that are missing.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from o.domain.json import JsonObject
from o.store import queue
from tests.support.agents import make_agent, request
from tests.support.engine import Engine
from tests.workflows.conftest import engine
from tests.workflows.test_step import at, call, script
from workers.worker import workflow_runner
from workflows.registry import ALL_WORKFLOWS

HISTORIES = Path(__file__).parent / "histories"
RECORDED = sorted(HISTORIES.glob("*.json"))

__all__ = ["engine"]

APPROVE: JsonObject = {"type": "requires_approval", "tool_name": "memory_insert"}
CASES: dict[str, tuple[JsonObject, ...]] = {
    "plain": ({"text": "Hello"},),
    "memory_edit": (call("memory_insert", label="human", new_string="x"), {"text": "Done"}),
    "tool": (call("conversation_search", query="x"), {"text": "Done"}),
    "failed": ({"error": "llm_authentication"},),
    "retried": ({"text": "Hello", "error": "llm_unavailable", "attempts_failing": 1},),
    "cancelled": ({"text": "Hello", "delay": 20},),
    "approval": (call("memory_insert", label="human", new_string="x"),),
}


@pytest.mark.skipif("O_RECORD_HISTORIES" not in os.environ, reason="records histories only when asked to")
@pytest.mark.parametrize("name", CASES)
async def test_record(engine: Engine, name: str) -> None:
    target = HISTORIES / f"{name}-1.json"
    if target.exists():
        return
    agent, conversation = await make_agent(engine.store, rules=[APPROVE] if name == "approval" else [])
    asked = request(agent, conversation, script(*CASES[name]))
    accepted = await engine.accept(asked)
    if name == "cancelled":
        async with engine.store.transaction() as tx:
            cancelling = await queue.cancel(tx, accepted.run_id)
        assert cancelling.workflow is not None
        await engine.client.get_workflow_handle(cancelling.workflow.workflow_id).cancel()
    await engine.ended(accepted.run_id)
    await engine.closed(at(asked))
    history = await engine.client.get_workflow_handle(at(asked).workflow_id).fetch_history()
    target.write_text(json.dumps(without_traces(history.to_json_dict()), indent=1) + "\n")


def without_traces(value: Any) -> Any:
    """The history without what only tells of the machine it was recorded on."""
    if isinstance(value, dict):
        dropped = {"stackTrace", "identity"}
        return {key: without_traces(inner) for key, inner in value.items() if key not in dropped}
    return [without_traces(inner) for inner in value] if isinstance(value, list) else value


def test_there_is_a_history_of_every_case() -> None:
    assert {path.stem.rpartition("-")[0] for path in RECORDED} >= set(CASES)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_history_replays(path: Path) -> None:
    replayer = Replayer(
        workflows=ALL_WORKFLOWS, data_converter=pydantic_data_converter, workflow_runner=workflow_runner()
    )
    await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, path.read_text()))  # noqa: ASYNC240


async def test_workflows_load_in_the_sandbox() -> None:
    """A clock, a random number or a file at import of a workflow module fails here, without any server."""
    for kind in ALL_WORKFLOWS:
        workflow_runner().prepare_workflow(workflow._Definition.must_from_class(kind))
