"""Whose activity runs the calls of a step."""

from dataclasses import replace

import pytest

from o.contracts.turn import CallRef
from o.domain import loop
from o.domain.agent import ASK_AGENT
from o.domain.base_tools import MEMORY_TOOLS
from o.domain.messages import ToolCall
from o.store.step_plan import step_plan
from tests.o.domain.test_loop import agent, tool

EDIT = min(MEMORY_TOOLS)


def planned(name: str, tool_type: str) -> CallRef:
    held = replace(tool(name), tool_type=tool_type, effect="external")
    plan = loop.Plan((ToolCall("call-1", name, "{}"),), (("call-1",),))
    ((ref,),) = step_plan(plan, agent(tools=(held,))).batches
    return ref


def test_os_own_tools_are_known_by_their_names() -> None:
    assert (planned(EDIT, "letta_core").kind, planned(EDIT, "letta_core").repeatable) == ("memory", False)
    asking = planned(ASK_AGENT, "letta_multi_agent_core")
    assert (asking.kind, asking.repeatable) == ("agent", True)
    assert planned("run_code", "letta_builtin").kind == "tool"


@pytest.mark.parametrize("name", [EDIT, ASK_AGENT])
@pytest.mark.parametrize("tool_type", ["custom", "external_mcp"])
def test_a_tool_of_somebody_else_is_theirs_whatever_it_is_called(name: str, tool_type: str) -> None:
    """A base tool may be deleted and its name taken: then the code behind the name is not O's any more."""
    assert planned(name, tool_type) == CallRef(call_id="call-1", tool=name, kind="tool", repeatable=False)
