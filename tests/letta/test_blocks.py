"""Memory blocks through letta-client 1.12.1."""

from typing import Any

import letta_client
import pytest

from tests.letta.test_quickstart import make


def test_a_block_is_made_shared_changed_and_deleted(letta: Any) -> None:
    block = letta.blocks.create(label="house", value="Quiet.", description="Rules.", limit=500, metadata={"a": 1})
    assert (block.label, block.limit, block.metadata, block.read_only) == ("house", 500, {"a": 1}, False)
    agents = [make(letta), make(letta)]
    for agent in agents:
        letta.agents.blocks.attach(block.id, agent_id=agent.id)
    changed = letta.blocks.update(block.id, value="Loud.")
    assert (changed.value, changed.description) == ("Loud.", "Rules.")
    assert letta.blocks.retrieve(block.id).value == "Loud."
    for agent in agents:
        assert letta.agents.blocks.retrieve("house", agent_id=agent.id).value == "Loud."
    assert letta.blocks.delete(block.id) is None
    with pytest.raises(letta_client.NotFoundError):
        letta.blocks.retrieve(block.id)
    assert "house" not in {each.label for each in letta.agents.blocks.list(agents[0].id)}
