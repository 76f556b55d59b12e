"""A reporter that a clock starts: each time it hears "report", it measures, compares and writes its report.

o apply examples/reporter.py && o chat Reporter -m report
"""

from statistics import fmean

from pydantic import BaseModel, Field

from o.dsl import block, define_agent, starting_with, tool, when


class Summary(BaseModel):
    """What a series of numbers says."""

    count: int = Field(description="How many numbers there are.")
    mean: float = Field(description="Their mean.")
    trend: str = Field(description="rising, falling or steady.")


@tool(effect="pure", idempotent=True)
def summarise(numbers: list[float]) -> Summary:
    """Summarise a series of numbers, the oldest first.

    Args:
        numbers: At least two of them.
    """
    half = len(numbers) // 2
    difference = fmean(numbers[half:]) - fmean(numbers[:half])
    trend = "steady" if abs(difference) < 1e-9 else "rising" if difference > 0 else "falling"
    return Summary(count=len(numbers), mean=fmean(numbers), trend=trend)


define_agent(
    "Reporter",
    system=(
        "You report. When you are told to, look with conversation_search for the numbers that were reported to you "
        "since the last report, summarise them, write the report into the block `report` with memory_replace or "
        "memory_insert, and answer with it. A report has three sentences: what is, what changed, what to look at."
    ),
    blocks=[block("report", "No report yet.", description="The latest report.", limit=4000)],
    tools=[summarise],
    rules=[
        starting_with("conversation_search"),
        when(summarise).at_most(5),
        when(summarise).unlocks("memory_replace", "memory_insert"),
    ],
    tags=["example"],
)
