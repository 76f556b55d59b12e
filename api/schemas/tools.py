"""Tools on the wire: what is sent to make, change, find and run them, and what comes back."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import Field, StrictStr

from api.schemas.common import Body, Count, Flag, FreeJson, Line, Name, Shape, Tags, Text
from o.domain.agent import Effect
from o.domain.json import JsonObject
from o.domain.tool_limits import ToolLimits
from o.domain.tool_run import SourceType
from o.store.records import ToolRecord

ToolType = Literal[
    "custom",
    "letta_core",
    "letta_memory_core",
    "letta_multi_agent_core",
    "letta_sleeptime_core",
    "letta_voice_sleeptime_core",
    "letta_builtin",
    "letta_files_core",
    "external_langchain",
    "external_composio",
    "external_mcp",
]
TOOL_TYPES: tuple[ToolType, ...] = get_args(ToolType)

_MAX_SOURCE = 200_000
_MOST_REQUIREMENTS = 100

Source = Annotated[Text, Field(max_length=_MAX_SOURCE, description="The tool's code.")]
ReturnLimit = Annotated[Count, Field(le=1_000_000, description="Most characters of what it returns.")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")]
Value = Annotated[StrictStr, Field(max_length=100_000, pattern=r"^[^\x00]*$")]
Environment = Annotated[dict[VariableName, Value], Field(max_length=200)]


class PipRequirement(Body):
    """A package of PyPI, at one version or at the newest."""

    name: Annotated[
        str, Field(max_length=200, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(\[[A-Za-z0-9._,-]+\])?$")
    ]
    version: Annotated[str, Field(max_length=100, pattern=r"^[0-9][A-Za-z0-9.!+_-]*$")] | None = None


class NpmRequirement(Body):
    """A package of npm, at one version or at the newest."""

    name: Annotated[str, Field(max_length=214, pattern=r"^(@[a-z0-9~._-]+/)?[a-z0-9~._-]+$")]
    version: Annotated[str, Field(max_length=100, pattern=r"^[0-9A-Za-z.^~+_-]+$")] | None = None


PipRequirements = Annotated[list[PipRequirement], Field(max_length=_MOST_REQUIREMENTS)]
NpmRequirements = Annotated[list[NpmRequirement], Field(max_length=_MOST_REQUIREMENTS)]


class _Declaration(Body):
    """What is said of a tool, besides its code. `effect`, `idempotent` and `sandbox` are O's own."""

    description: Text | None = None
    tags: Tags | None = None
    json_schema: FreeJson | None = None
    args_json_schema: FreeJson | None = None
    return_char_limit: ReturnLimit | None = None
    pip_requirements: PipRequirements | None = None
    npm_requirements: NpmRequirements | None = None
    default_requires_approval: Flag | None = None
    enable_parallel_execution: Flag | None = None
    effect: Effect | None = None
    idempotent: Flag | None = None
    sandbox: ToolLimits | None = None
    metadata_: FreeJson | None = None

    def columns(self) -> JsonObject:
        """The columns that are stored as they came; what is absent or null is not among them."""
        return self.model_dump(mode="json", exclude_none=True, exclude={"json_schema"})


class PutTool(_Declaration):
    """A tool to make, or to change where one of its name is there."""

    source_code: Source
    source_type: SourceType = "python"


class UpdateTool(_Declaration):
    """Changes to a tool; what is absent or null stays. New source alone leaves the schema as it is."""

    source_code: Source | None = None
    source_type: SourceType | None = None


class DescribeSource(Body):
    """Code to read a schema from; it is not run."""

    code: Source


class SearchTools(Body):
    """What tools to look for. All modes search the same way: by words, the best match first."""

    query: Line | None = None
    search_mode: Literal["vector", "fts", "hybrid"] = "hybrid"
    tool_types: Annotated[list[Name], Field(max_length=50)] | None = None
    tags: Tags | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class RunSource(Body):
    """Code to run once, with its arguments; nothing of it is kept."""

    source_code: Source
    args: FreeJson = Field(default_factory=dict)
    env_vars: Environment = Field(default_factory=dict)
    name: Name | None = None
    args_json_schema: FreeJson | None = None
    json_schema: FreeJson | None = None
    pip_requirements: PipRequirements | None = None
    npm_requirements: NpmRequirements | None = None
    source_type: SourceType = "python"
    sandbox: ToolLimits = ToolLimits()


class RunAttached(Body):
    """Arguments for an agent's tool."""

    args: FreeJson = Field(default_factory=dict)


class SetApproval(Body):
    """Whether a person decides about each call."""

    requires_approval: Flag | None = None


class Tool(Shape):
    """A tool."""

    id: str
    name: str
    tool_type: ToolType
    source_type: str | None
    source_code: str | None
    description: str | None
    json_schema: JsonObject | None
    args_json_schema: JsonObject | None
    tags: list[str]
    return_char_limit: int
    pip_requirements: list[JsonObject] | None
    npm_requirements: list[JsonObject] | None
    default_requires_approval: bool | None
    enable_parallel_execution: bool
    effect: Effect
    idempotent: bool
    sandbox: JsonObject
    metadata_: JsonObject


class FoundTool(Shape):
    """A tool that a search found."""

    tool: Tool
    embedded_text: str | None = None
    fts_rank: int | None = None
    vector_rank: int | None = None
    combined_score: float


class FunctionSchema(Shape):
    """What a model is told of a tool."""

    name: str
    description: str
    parameters: JsonObject


class RunReturn(Shape):
    """What a tool returned, as a message that belongs to no conversation."""

    message_type: Literal["tool_return_message"] = "tool_return_message"
    id: str
    date: datetime
    tool_call_id: str
    tool_return: str
    status: Literal["success", "error"]
    stdout: list[str] | None = None
    stderr: list[str] | None = None


class ExecutionResult(Shape):
    """What an agent's tool returned."""

    status: Literal["success", "error"]
    func_return: str | None = None
    stdout: list[str] | None = None
    stderr: list[str] | None = None
    agent_state: JsonObject | None = None
    sandbox_config_fingerprint: str | None = None


def print_tool(tool: ToolRecord) -> JsonObject:
    """A tool as the wire has it."""
    return {
        "id": tool.id,
        "tool_type": tool.tool_type,
        "description": tool.description,
        "source_type": tool.source_type,
        "name": tool.name,
        "tags": tool.tags,
        "source_code": tool.source_code,
        "json_schema": tool.json_schema,
        "args_json_schema": tool.args_json_schema,
        "return_char_limit": tool.return_char_limit,
        "pip_requirements": tool.pip_requirements,
        "npm_requirements": tool.npm_requirements,
        "default_requires_approval": tool.default_requires_approval,
        "enable_parallel_execution": tool.enable_parallel_execution,
        "effect": tool.effect,
        "idempotent": tool.idempotent,
        "sandbox": tool.sandbox,
        "created_by_id": tool.created_by_id,
        "last_updated_by_id": tool.last_updated_by_id,
        "metadata_": tool.metadata_,
        "project_id": None,
    }
