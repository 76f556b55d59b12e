"""A tool that somebody runs by hand: what is asked for, complete."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from o.domain.json import JsonObject
from o.domain.tool_limits import ToolLimits

SourceType = Literal["python", "typescript"]


class ToolRunRequest(BaseModel):
    """One run of a tool outside any turn.

    Attributes:
        tool_id: the stored tool; None where the source came with the request. A stored tool without a source is one
            that O or an MCP server runs.
        agent_id: the agent it runs for, whose secrets and memory are its; None for nobody.
        function: the function of `source` to call, and the name in the return.
        parameters: JSON schema of its arguments, where there is one.
        environment: variables it sees, over all others.
        requirements: PEP 508.
        packages: of npm, as `name` or `name@version`.
        return_char_limit: characters of what it returns.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    tool_id: str | None = None
    agent_id: str | None = None
    tool_type: str = "custom"
    source: str = Field(default="", repr=False)
    source_type: SourceType = "python"
    function: str
    parameters: JsonObject | None = None
    arguments: JsonObject = Field(default_factory=dict, repr=False)
    environment: dict[str, str] = Field(default_factory=dict, repr=False)
    requirements: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    limits: ToolLimits = ToolLimits()
    return_char_limit: int = 50_000
