"""Tools in O's own code: what they return, refuse, and may take."""

import asyncio

from activities import policy
from activities.tools import Toolbox, ToolContext
from o import ids
from o.contracts.turn import Timing
from o.domain.json import JsonObject
from o.store.session import Store

CONTEXT = ToolContext(ids.DEFAULT_ORG, "agent-x", Store("postgresql:///nowhere"))


async def hangs(context: ToolContext, arguments: JsonObject) -> str:
    await asyncio.Event().wait()
    return "never"


async def refuses(context: ToolContext, arguments: JsonObject) -> str:
    raise ValueError("no such city")


async def test_a_tool_that_hangs_is_ended_and_the_model_is_told() -> None:
    back = await Toolbox({"hangs": hangs}, deadline=0.05).call_own(CONTEXT, "hangs", {}, "call-1")
    assert (back.status, back.tool_call_id, back.name) == ("error", "call-1", "hangs")
    assert "took longer than 0.05 seconds" in back.content


async def test_what_a_tool_refuses_is_for_the_model_and_so_is_that_there_is_none() -> None:
    toolbox = Toolbox({"refuses": refuses})
    assert "no such city" in (await toolbox.call_own(CONTEXT, "refuses", {}, "call-1")).content
    assert "nothing here can run" in (await toolbox.call_own(CONTEXT, "other", {}, "call-1")).content


def test_the_engine_gives_a_call_more_time_than_its_tool_has() -> None:
    """Both at once would make an unknown outcome of every tool that takes all its time."""
    timing = Timing(tool=5)
    assert policy.tool(timing)["start_to_close_timeout"].total_seconds() >= timing.tool + 600
