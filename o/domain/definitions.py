"""What a file defines: tools, memory blocks and agents, as values that `o apply` compares with what there is."""

from collections.abc import Sequence
from dataclasses import dataclass

from o.domain.agent import LEGACY_TYPES, AgentType
from o.domain.base_tools import BASE_TOOLS
from o.domain.blocks import DEFAULT_LIMIT
from o.domain.json import JsonObject
from o.domain.rule_words import AnyTool, name_of, preset_arguments, tools_named
from o.domain.tool_rules import ContinueLoop, ExitLoop, RequiresApproval, ToolRule
from o.domain.tool_source import DerivedTool
from o.errors import InvalidArgument

_BASE = {each.spec.name: each for each in BASE_TOOLS}
_ENDING = frozenset({"send_message", "send_message_to_agent_async", "memory_finish_edits"})


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as its file describes it.

    Attributes:
        source: what runs in the sandbox.
        settings: how it is used, as the API takes it; complete, so that what is taken out of the file is reset.
        module: where it is defined.
    """

    derived: DerivedTool
    source: str
    settings: JsonObject
    module: str

    @property
    def tool_name(self) -> str:
        return self.derived.name

    @property
    def asks(self) -> bool:
        """Whether a person decides about each call."""
        return bool(self.settings["default_requires_approval"])


@dataclass(frozen=True, slots=True)
class Existing:
    """A tool that is in O already: of an MCP server, or made elsewhere."""

    tool_name: str


@dataclass(frozen=True, slots=True)
class BlockDefinition:
    """A piece of an agent's memory.

    Attributes:
        keep: whether the value is the agent's once it is there: `o apply` sets it when it makes the block, never again.
    """

    label: str
    value: str = ""
    limit: int = DEFAULT_LIMIT
    description: str | None = None
    read_only: bool = False
    keep: bool = True


@dataclass(frozen=True, slots=True)
class AgentDefinition:
    """An agent as its file describes it.

    Attributes:
        model: handle; None for the one that `o apply` is told, or the default of the server.
        tools: all it has, the base tools of its type included, by name.
        own_tools: those of them that files define.
        rules: complete, with those its tools and its type bring.
        secrets: names of environment variables that its tools see; their values are read when it is applied.
        settings: further fields of the API that were given.
    """

    name: str
    agent_type: AgentType
    model: str | None
    system: str | None
    blocks: tuple[BlockDefinition, ...]
    tools: tuple[str, ...]
    own_tools: tuple[ToolDefinition, ...]
    rules: tuple[ToolRule, ...]
    tags: tuple[str, ...]
    secrets: tuple[str, ...]
    settings: JsonObject

    @property
    def placeholder(self) -> str:
        """Stands for its id in texts that are written before it has one."""
        return f"{{id of {self.name}}}"


def attached_tools(
    where: str, tools: Sequence[AnyTool], base: Sequence[str]
) -> tuple[tuple[str, ...], tuple[ToolDefinition, ...]]:
    """The names of an agent's tools, and those of them that are defined in files. Raises InvalidArgument."""
    names = list(base)
    own: dict[str, ToolDefinition] = {}
    for each in tools:
        name = name_of(each)
        if isinstance(each, str) and name not in _BASE:
            raise InvalidArgument(
                f"{where}: there is no base tool '{name}': give the function itself, or existing('{name}') for a tool "
                "that is in O already"
            )
        definition = getattr(each, "definition", None)
        if isinstance(definition, ToolDefinition):
            if own.get(name, definition) != definition or name in _BASE:
                raise InvalidArgument(f"{where}: another tool is called '{name}': rename one with @tool(name=…)")
            own[name] = definition
        names.append(name)
    return tuple(dict.fromkeys(names)), tuple(own.values())


def check_rules(where: str, rules: Sequence[ToolRule], attached: Sequence[str], own: Sequence[ToolDefinition]) -> None:
    """Raises InvalidArgument where a rule speaks of a tool the agent has not, or sets an argument a tool has not."""
    known = {name: base.spec.parameters for name, base in _BASE.items()}
    known |= {each.tool_name: each.derived.parameters for each in own}
    for rule in rules:
        for name in tools_named(rule):
            if name not in attached:
                raise InvalidArgument(f"{where}: a rule speaks of '{name}', which is not among its tools")
        for name, arguments in preset_arguments(rule).items():
            if name not in known:
                continue
            unknown = [key for key in arguments if key not in known[name]["properties"]]
            if unknown:
                raise InvalidArgument(f"{where}: a rule sets '{unknown[0]}' of '{name}', which has no such argument")


def all_rules(
    rules: Sequence[ToolRule], agent_type: AgentType, attached: Sequence[str], own: Sequence[ToolDefinition]
) -> tuple[ToolRule, ...]:
    """The rules with those that tools bring (approval), and those that agents need who answer through a tool."""
    brought: list[ToolRule] = [RequiresApproval(tool_name=each.tool_name) for each in own if each.asks]
    if agent_type in LEGACY_TYPES:
        base = [name for name in attached if name in _BASE]
        brought += [ExitLoop(tool_name=name) if name in _ENDING else ContinueLoop(tool_name=name) for name in base]
    return (*rules, *(rule for rule in brought if rule not in rules))


def requirement(text: str) -> JsonObject:
    """A library as the API takes it, of `name` or `name==version`."""
    name, sign, version = text.partition("==")
    return {"name": name.strip(), "version": version.strip()} if sign else {"name": name.strip()}
