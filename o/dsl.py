"""Agents, tools and rules written in Python; `o apply FILE` makes them so.

    from o.dsl import block, define_agent, tool, when

    @tool(effect="reads", network=["api.weather.example"])
    def forecast(city: str) -> str:
        \"""Tell tomorrow's weather.

        Args:
            city: Where.
        \"""
        ...

    define_agent("Weather", blocks=[block("human")], tools=[forecast], rules=[when(forecast).at_most(3)])

A tool runs in a sandbox, alone: its source is the function with what it uses of its file. Here it stays a function.
"""

import inspect
import linecache
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Generic, ParamSpec, TypeVar, overload

from pydantic import ValidationError

from o.domain.agent import AGENT_TYPES, AgentType, Effect
from o.domain.base_tools import base_tools_of
from o.domain.blocks import DEFAULT_LIMIT
from o.domain.definitions import (
    AgentDefinition,
    BlockDefinition,
    Existing,
    ToolDefinition,
    all_rules,
    attached_tools,
    check_rules,
    requirement,
)
from o.domain.json import JsonObject
from o.domain.rule_words import AnyTool, name_of, starting_with, using, when
from o.domain.standalone_source import standalone
from o.domain.tool_limits import ToolLimits
from o.domain.tool_rules import ToolRule
from o.domain.tool_source import DerivedTool, derive
from o.errors import InvalidArgument

__all__ = ["Tool", "block", "collecting", "define_agent", "existing", "id_of", "starting_with", "tool", "using", "when"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Tool(Generic[_P, _R]):
    """A function that agents may call. Called here, it runs as it is, in this process."""

    function: Callable[_P, _R]
    definition: ToolDefinition

    @property
    def tool_name(self) -> str:
        return self.definition.tool_name

    @property
    def __wrapped__(self) -> Callable[_P, _R]:
        """The function, for `inspect.signature` and others that look through decorators."""
        return self.function

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return self.function(*args, **kwargs)


@dataclass(slots=True)
class Collected:
    """What a file defined, in order."""

    tools: list[ToolDefinition] = field(default_factory=list)
    agents: list[AgentDefinition] = field(default_factory=list)


_COLLECTED: ContextVar[Collected | None] = ContextVar("collected", default=None)


@contextmanager
def collecting() -> Iterator[Collected]:
    """Gathers what is defined while the block runs."""
    collected = Collected()
    token = _COLLECTED.set(collected)
    try:
        yield collected
    finally:
        _COLLECTED.reset(token)


@overload
def tool(function: Callable[_P, _R], /) -> Tool[_P, _R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    requires_approval: bool = False,
    effect: Effect = "external",
    idempotent: bool = False,
    parallel: bool = False,
    network: Sequence[str] = (),
    timeout: float | None = None,
    memory: int | None = None,
    pip: Sequence[str] = (),
    return_char_limit: int = 50_000,
    tags: Sequence[str] = (),
) -> Callable[[Callable[_P, _R]], Tool[_P, _R]]: ...


def tool(
    function: Callable[_P, _R] | None = None,
    /,
    *,
    name: str | None = None,
    requires_approval: bool = False,
    effect: Effect = "external",
    idempotent: bool = False,
    parallel: bool = False,
    network: Sequence[str] = (),
    timeout: float | None = None,
    memory: int | None = None,
    pip: Sequence[str] = (),
    return_char_limit: int = 50_000,
    tags: Sequence[str] = (),
) -> Tool[_P, _R] | Callable[[Callable[_P, _R]], Tool[_P, _R]]:
    """Make a function a tool. Its docstring and annotations are what models are told of it.

    Args:
        function: with a docstring that describes it and each parameter, all of them annotated.
        name: what models call it by; the function's name if None.
        requires_approval: whether a person decides about each call.
        effect: what it does to the world: "pure" nothing, "reads" looks at it, "writes" changes what O keeps,
            "external" changes something elsewhere. Calls of the last two are not repeated after a crash.
        idempotent: whether calling it twice leaves what calling it once does; then it may be repeated all the same.
        parallel: whether several calls of it may run at one time.
        network: hosts it may reach, as `api.example.com` or `*.example.com`; none if empty.
        timeout: seconds one call may take; None for the server's default.
        memory: MiB one call may use; None for the server's default.
        pip: libraries it imports, as `name` or `name==version`.
        return_char_limit: characters of what it returns that a model sees.
        tags: to find it by.

    Raises:
        InvalidArgument: it cannot be described to a model, or does not stand alone; says why.
    """

    def made(function: Callable[_P, _R]) -> Tool[_P, _R]:
        source, derived = _source(function, name)
        try:
            limits = ToolLimits(network=tuple(network), timeout=timeout, memory=memory)
        except ValidationError as error:
            problem = error.errors()[0]
            raise InvalidArgument(f"tool '{derived.name}': {problem['loc'][0]}: {problem['msg']}") from None
        settings: JsonObject = {
            "tags": list(tags),
            "default_requires_approval": requires_approval,
            "effect": effect,
            "idempotent": idempotent,
            "enable_parallel_execution": parallel,
            "return_char_limit": return_char_limit,
            "pip_requirements": [requirement(each) for each in pip],
            "sandbox": limits.model_dump(mode="json", exclude_none=True),
        }
        definition = ToolDefinition(derived, source, settings, function.__module__)
        if (collected := _COLLECTED.get()) is not None:
            collected.tools.append(definition)
        return Tool(function, definition)

    return made if function is None else made(function)


def existing(name: str) -> Existing:
    """A tool that is in O already and that no file defines, by its name; `o apply` fails if it is not there."""
    return Existing(name_of(name))


def id_of(agent: AgentDefinition) -> str:
    """Stands for the id of an agent in the instructions and blocks of agents that are defined after it."""
    return agent.placeholder


def block(
    label: str,
    value: str = "",
    *,
    limit: int = DEFAULT_LIMIT,
    description: str | None = None,
    read_only: bool = False,
    keep: bool = True,
) -> BlockDefinition:
    """A piece of an agent's memory that is always in its view.

    Args:
        label: its name, unique within the agent; letters, digits, `_`, `-` and `/`.
        value: what is in it at first.
        limit: characters that its value may have.
        description: what it is for, in words for the model.
        read_only: whether the agent itself may not edit it.
        keep: whether the agent's edits are kept when the file is applied again; False puts `value` back each time.
    """
    if not label.strip():
        raise InvalidArgument("block: the label must not be empty")
    if len(value) > limit:
        raise InvalidArgument(f"block '{label}': the value has {len(value)} characters, the limit is {limit}")
    return BlockDefinition(label, value, limit, description, read_only, keep)


def define_agent(
    name: str,
    *,
    model: str | None = None,
    system: str | None = None,
    blocks: Sequence[BlockDefinition] = (),
    tools: Sequence[AnyTool] = (),
    rules: Sequence[ToolRule] = (),
    tags: Sequence[str] = (),
    agent_type: AgentType = "letta_v1_agent",
    base_tools: bool = True,
    secrets: Sequence[str] = (),
    description: str | None = None,
    timezone: str | None = None,
    embedding: str | None = None,
    context_window: int | None = None,
) -> AgentDefinition:
    """Describe an agent.

    Args:
        name: unique among the agents that files describe.
        model: handle, `provider/model`; None for the one given to `o apply`, or the server's default.
        system: its instructions; None for the built-in ones.
        blocks: its memory.
        tools: functions made by `@tool`, names of base tools, and `existing("name")`.
        rules: see `when` and `starting_with`.
        tags: to find it by, and to be written to by other agents.
        agent_type: decides the loop and the base tools.
        base_tools: whether it gets the base tools of its type.
        secrets: names of environment variables of whoever applies the file; its tools see them.
        description: for people, and for agents that look for one to write to.
        timezone: IANA name.
        embedding: handle of the model that its memories are searched by.
        context_window: tokens.

    Raises:
        InvalidArgument: a rule speaks of a tool it has not, and the like; names the agent.
    """
    where = f"agent '{name}'"
    if agent_type not in AGENT_TYPES:
        raise InvalidArgument(f"{where}: agent_type must be one of {', '.join(AGENT_TYPES)}")
    labels = [each.label for each in blocks]
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise InvalidArgument(f"{where}: several blocks are labelled {', '.join(sorted(twice))}")
    attached, own = attached_tools(where, tools, base_tools_of(agent_type) if base_tools else ())
    check_rules(where, rules, attached, own)
    texts = {"description": description, "timezone": timezone, "embedding": embedding}
    settings = {**texts, "context_window_limit": context_window}
    made = AgentDefinition(
        name,
        agent_type,
        model,
        system,
        tuple(blocks),
        attached,
        own,
        all_rules(rules, agent_type, attached, own),
        tuple(dict.fromkeys(tags)),
        tuple(dict.fromkeys(secrets)),
        {field: value for field, value in settings.items() if value is not None},
    )
    if (collected := _COLLECTED.get()) is not None:
        if any(each.name == name for each in collected.agents):
            raise InvalidArgument(f"{where} is defined twice")
        collected.agents.append(made)
    return made


def _source(function: Callable[_P, _R], name: str | None) -> tuple[str, DerivedTool]:
    if isinstance(function, Tool):
        raise InvalidArgument(f"@tool: '{function.tool_name}' is a tool already")
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        raise InvalidArgument(f"@tool: {function!r} is no function")
    file = "".join(linecache.getlines(code.co_filename))
    if not file:
        raise InvalidArgument(f"tool '{code.co_name}': its source cannot be read: define it in a file")
    wanted = name or code.co_name
    if not wanted.isidentifier() or not wanted.isascii():
        raise InvalidArgument(f"tool '{wanted}': its name has ASCII letters, digits and underscores only: give another")
    source = standalone(file, code.co_name, line=code.co_firstlineno, name=wanted, without="o.dsl")
    return source, derive(source, name=wanted)
