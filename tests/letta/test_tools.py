"""Tools through letta-client 1.12.1: made changed, listed page by page, attached, guarded, run."""

import uuid
from typing import Any

import letta_client
import pytest

from tests.letta.test_quickstart import make, script


@pytest.fixture
def name() -> str:
    """A name no other test has: the organisation is everybody's."""
    return f"t_{uuid.uuid4().hex[:12]}"


def source(name: str) -> str:
    return f'''
def {name}(first: int, second: int = 1) -> int:
    """Add two numbers.

    Args:
        first: The first.
        second: The second.
    """
    print("adding")
    return first + second
'''


def test_a_tool_is_made_changed_found_and_deleted(letta: Any, name: str) -> None:
    tool = letta.tools.create(source_code=source(name), tags=[name])
    assert (tool.name, tool.tool_type, tool.source_type, tool.return_char_limit) == (name, "custom", "python", 50000)
    assert tool.json_schema["parameters"]["required"] == ["first"]
    again = letta.tools.upsert(source_code=source(name).replace("Add two", "Sum two"), tags=[name])
    assert again.id == tool.id and again.description.startswith("Sum two numbers.")
    changed = letta.tools.update(tool.id, metadata={"a": 1}, default_requires_approval=True)
    assert (changed.metadata, changed.default_requires_approval) == ({"a": 1}, True)
    assert letta.tools.retrieve(tool.id).metadata == {"a": 1}
    assert [each.id for each in letta.tools.list(name=name)] == [tool.id]
    (found,) = letta.tools.search(query="sum numbers", tags=[name])
    assert (found.tool.id, found.fts_rank) == (tool.id, 1) and found.combined_score > 0
    assert letta.tools.delete(tool.id) is None
    with pytest.raises(letta_client.NotFoundError):
        letta.tools.retrieve(tool.id)
    with pytest.raises(letta_client.BadRequestError):
        letta.tools.delete(tool.id)


def test_bad_sources_and_names_are_refused(letta: Any, name: str) -> None:
    with pytest.raises(letta_client.BadRequestError):
        letta.tools.create(source_code="def nothing_said(): pass")
    with pytest.raises(letta_client.BadRequestError, match="48"):
        letta.tools.create(source_code=source("n" * 49))
    with pytest.raises(letta_client.BadRequestError, match="there is no tool type"):
        letta.tools.list(tool_types=["nonsense"])


def test_the_client_pages_through_all_tools(letta: Any, name: str) -> None:
    made = [letta.tools.create(source_code=source(f"{name}_{number}")) for number in range(3)]
    listed = [tool.id for tool in letta.tools.list(search=name, limit=2)]
    assert listed == [tool.id for tool in reversed(made)]
    everything = [tool.id for tool in letta.tools.list(limit=3, order="asc", return_only_letta_tools=True)]
    assert len(everything) == len(set(everything)) > 3
    for tool in made:
        letta.tools.delete(tool.id)


def test_tools_of_an_agent(letta: Any, name: str) -> None:
    agent = make(letta)
    tool = letta.tools.create(source_code=source(name), default_requires_approval=True)
    before = {each.name for each in letta.agents.tools.list(agent.id)}
    assert "conversation_search" in before
    assert letta.agents.tools.attach(tool.id, agent_id=agent.id) is None
    assert {each.name for each in letta.agents.tools.list(agent.id)} == {*before, name}
    rules = letta.agents.retrieve(agent.id).tool_rules
    assert [rule.tool_name for rule in rules if rule.type == "requires_approval"] == [name]
    assert letta.agents.tools.update_approval(name, agent_id=agent.id, body_requires_approval=False) is None
    assert letta.agents.retrieve(agent.id).tool_rules == []
    assert letta.agents.tools.detach(tool.id, agent_id=agent.id) is None
    assert {each.name for each in letta.agents.tools.list(agent.id)} == before
    with pytest.raises(letta_client.NotFoundError):
        letta.agents.tools.run(name, agent_id=agent.id, args={"first": 1})
    with pytest.raises(letta_client.NotFoundError):
        letta.agents.tools.attach(f"tool-{uuid.uuid4()}", agent_id=agent.id)
    letta.tools.delete(tool.id)


def test_an_approval_rule_of_an_attached_tool_pauses_its_call(letta: Any, name: str) -> None:
    agent = make(letta)
    tool = letta.tools.create(source_code=source(name), default_requires_approval=True)
    letta.agents.tools.attach(tool.id, agent_id=agent.id)
    call = {"tool_calls": [{"name": name, "arguments": {"first": 1}}]}
    answer = letta.agents.messages.create(agent_id=agent.id, input=script(call, {"text": "Done."}))
    assert answer.stop_reason.stop_reason == "requires_approval"
    letta.agents.delete(agent.id)
    letta.tools.delete(tool.id)
