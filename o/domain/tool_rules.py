"""The nine tool rules as values (letta-v1 contract, section 11)."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from o.domain.json import JsonObject


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True)

    tool_name: str = Field(min_length=1, max_length=200)
    prompt_template: str | None = None


class RunFirst(_Rule):
    """Until some tool was called in this request, only the tools with this rule may be, and one must be."""

    type: Literal["run_first"] = "run_first"
    args: JsonObject | None = None


class ExitLoop(_Rule):
    """Calling the tool ends the turn."""

    type: Literal["exit_loop"] = "exit_loop"


class ContinueLoop(_Rule):
    """After the tool the turn goes on."""

    type: Literal["continue_loop"] = "continue_loop"


class ChildArguments(BaseModel):
    """Arguments that are set for a child, whatever the model wrote."""

    model_config = ConfigDict(frozen=True)

    name: str
    args: JsonObject | None = None


class ConstrainChildren(_Rule):
    """Right after the tool, one of its children must be called."""

    type: Literal["constrain_child_tools"] = "constrain_child_tools"
    children: tuple[str, ...]
    child_arg_nodes: tuple[ChildArguments, ...] | None = None

    @model_validator(mode="after")
    def _known_children(self) -> "ConstrainChildren":
        strangers = [node.name for node in self.child_arg_nodes or () if node.name not in self.children]
        if strangers:
            raise ValueError(f"child_arg_nodes names tools that are not among the children: {', '.join(strangers)}")
        return self


class ParentLast(_Rule):
    """The children may be called right after the tool, and only then."""

    type: Literal["parent_last_tool"] = "parent_last_tool"
    children: tuple[str, ...]


class Conditional(_Rule):
    """What the tool returned decides which tool comes next."""

    type: Literal["conditional"] = "conditional"
    child_output_mapping: dict[str, str] = Field(min_length=1)
    default_child: str | None = None
    require_output_mapping: bool = False


class MaxCount(_Rule):
    """The tool may be called at most this often in one request."""

    type: Literal["max_count_per_step"] = "max_count_per_step"
    max_count_limit: int = Field(ge=1)


class RequiredBeforeExit(_Rule):
    """The turn may not end before the tool was called."""

    type: Literal["required_before_exit"] = "required_before_exit"


class RequiresApproval(_Rule):
    """A person decides about each call."""

    type: Literal["requires_approval"] = "requires_approval"


ToolRule = Annotated[
    RunFirst
    | ExitLoop
    | ContinueLoop
    | ConstrainChildren
    | ParentLast
    | Conditional
    | MaxCount
    | RequiredBeforeExit
    | RequiresApproval,
    Field(discriminator="type"),
]
TOOL_RULES: TypeAdapter[tuple[ToolRule, ...]] = TypeAdapter(tuple[ToolRule, ...])
