"""Tool rules as sentences: `when(search).then(summarise)`. Each gives one of the nine rules as a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from o.domain.json import JsonObject
from o.domain.tool_rules import (
    ChildArguments,
    Conditional,
    ConstrainChildren,
    ContinueLoop,
    ExitLoop,
    MaxCount,
    ParentLast,
    RequiredBeforeExit,
    RequiresApproval,
    RunFirst,
    ToolRule,
)
from o.errors import InvalidArgument


class NamedTool(Protocol):
    """Something that stands for a tool."""

    @property
    def tool_name(self) -> str:
        """The name models call it by."""
        ...


AnyTool = NamedTool | str


def name_of(tool: object) -> str:
    """The name of a tool.

    Raises:
        InvalidArgument: it is none.
    """
    name = tool if isinstance(tool, str) else getattr(tool, "tool_name", None)
    if not isinstance(name, str) or not name:
        raise InvalidArgument(f"{_shown(tool)} is no tool: decorate the function with @tool, or give a tool's name")
    return name


@dataclass(frozen=True, slots=True)
class Using:
    """A tool with arguments that are set for it, whatever the model writes."""

    tool: AnyTool
    arguments: JsonObject

    @property
    def tool_name(self) -> str:
        return name_of(self.tool)


def using(tool: AnyTool, **arguments: object) -> Using:
    """The tool with some of its arguments set: `when(search).then(using(summarise, style="short"))`."""
    return Using(tool, arguments)


def starting_with(tool: AnyTool) -> RunFirst:
    """Every request begins with a call of this tool; `starting_with(using(look_up, source="wiki"))` sets arguments."""
    return RunFirst(tool_name=name_of(tool), args=tool.arguments if isinstance(tool, Using) else None)


def when(tool: AnyTool) -> "When":
    """The beginning of a rule about one tool: `when(pay).asks()`."""
    return When(name_of(tool))


@dataclass(frozen=True, slots=True)
class When:
    """A tool that a rule is being made about."""

    tool_name: str

    def then(self, *tools: AnyTool) -> ConstrainChildren:
        """Right after it one of these must be called. `using(tool, …)` sets arguments of one."""
        if not tools:
            raise InvalidArgument(f"when({self.tool_name}).then(): name the tools that may come next")
        preset = tuple(
            ChildArguments(name=each.tool_name, args=each.arguments) for each in tools if isinstance(each, Using)
        )
        return ConstrainChildren(
            tool_name=self.tool_name, children=tuple(map(name_of, tools)), child_arg_nodes=preset or None
        )

    def unlocks(self, *tools: AnyTool) -> ParentLast:
        """These may be called right after it, and at no other time."""
        if not tools:
            raise InvalidArgument(f"when({self.tool_name}).unlocks(): name the tools that it unlocks")
        return ParentLast(tool_name=self.tool_name, children=tuple(map(name_of, tools)))

    def returns(
        self, which: Mapping[object, AnyTool], *, otherwise: AnyTool | None = None, strict: bool = False
    ) -> Conditional:
        """What it returned decides what is called next: `when(check).returns({"yes": pay, False: refuse})`.

        Args:
            which: the next tool by what was returned: a text, number or boolean.
            otherwise: the next tool after anything else; None leaves the choice to the model.
            strict: whether nothing may be called after anything else.
        """
        if not which:
            raise InvalidArgument(f"when({self.tool_name}).returns(): name at least one value and its tool")
        if strict and otherwise is not None:
            raise InvalidArgument(f"when({self.tool_name}).returns(): strict leaves no room for `otherwise`")
        mapping = {_output(value): name_of(next_tool) for value, next_tool in which.items()}
        return Conditional(
            tool_name=self.tool_name,
            child_output_mapping=mapping,
            default_child=None if otherwise is None else name_of(otherwise),
            require_output_mapping=strict,
        )

    def ends(self) -> ExitLoop:
        """Calling it ends the turn."""
        return ExitLoop(tool_name=self.tool_name)

    def continues(self) -> ContinueLoop:
        """After it the turn goes on."""
        return ContinueLoop(tool_name=self.tool_name)

    def at_most(self, times: int) -> MaxCount:
        """It may be called so often in one request, from 1."""
        try:
            return MaxCount(tool_name=self.tool_name, max_count_limit=times)
        except ValidationError:
            raise InvalidArgument(f"when({self.tool_name}).at_most({times!r}): the count must be 1 or more") from None

    def required(self) -> RequiredBeforeExit:
        """The turn may not end before it was called."""
        return RequiredBeforeExit(tool_name=self.tool_name)

    def asks(self) -> RequiresApproval:
        """A person decides about each call."""
        return RequiresApproval(tool_name=self.tool_name)


def tools_named(rule: ToolRule) -> tuple[str, ...]:
    """All tools that a rule speaks of."""
    match rule:
        case ConstrainChildren() | ParentLast():
            return (rule.tool_name, *rule.children)
        case Conditional():
            default = (rule.default_child,) if rule.default_child else ()
            return (rule.tool_name, *rule.child_output_mapping.values(), *default)
        case _:
            return (rule.tool_name,)


def preset_arguments(rule: ToolRule) -> dict[str, JsonObject]:
    """The arguments that a rule sets, by tool."""
    match rule:
        case RunFirst(args=dict()):
            return {rule.tool_name: rule.args or {}}
        case ConstrainChildren():
            return {node.name: node.args or {} for node in rule.child_arg_nodes or ()}
        case _:
            return {}


def _output(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    raise InvalidArgument(f"returns(): {_shown(value)} is no text, number or boolean, so nothing compares to it")


def _shown(value: object) -> str:
    return repr(value) if len(repr(value)) <= 60 else type(value).__name__
