"""Tools and agents defined in Python."""

import asyncio
import functools
import inspect
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, Field

from o.dsl import block, collecting, define_agent, existing, id_of, starting_with, tool, using, when
from o.errors import InvalidArgument


class Place(BaseModel):
    """Somewhere."""

    name: str = Field(description="its name")


def _upper(text: str) -> str:
    return text.upper()


@tool
def greet(place: Place, times: int = 1) -> str:
    """Greet a place.

    Args:
        place: Which.
        times: How often.
    """
    return " ".join([_upper(place.name)] * times)


@tool(
    name="day_of",
    requires_approval=True,
    effect="reads",
    idempotent=True,
    parallel=True,
    network=["api.example.com", "*.example.org:8443"],
    timeout=5,
    memory=128,
    pip=["python-dateutil==2.9.0", "attrs"],
    return_char_limit=100,
    tags=["time"],
)
async def day(year: int) -> str:
    """Tell a day.

    Args:
        year: The year.
    """
    return str(date(year, 1, 1))


def test_a_tool_stays_a_function() -> None:
    assert greet(Place(name="oslo"), times=2) == "OSLO OSLO"
    assert asyncio.run(day(2000)) == "2000-01-01"


@tool
@functools.cache
def cached(n: int) -> int:
    """Count.

    Args:
        n: A number.
    """
    return n + 1


def test_other_decorators_stay() -> None:
    assert cached(1) == 2
    assert "@functools.cache\ndef cached(n: int)" in cached.definition.source
    assert list(inspect.signature(greet).parameters) == ["place", "times"]
    with pytest.raises(InvalidArgument, match="is a tool already"):
        tool(greet)


def test_its_source_stands_alone() -> None:
    space: dict[str, Any] = {}
    exec(greet.definition.source, space)
    assert space["greet"](space["Place"](name="rome")) == "ROME"
    assert "o.dsl" not in greet.definition.source
    assert greet.definition.derived.parameters["required"] == ["place"]


def test_settings_are_complete() -> None:
    assert greet.definition.settings == {
        "tags": [],
        "default_requires_approval": False,
        "effect": "external",
        "idempotent": False,
        "enable_parallel_execution": False,
        "return_char_limit": 50_000,
        "pip_requirements": [],
        "sandbox": {"network": []},
    }
    assert day.tool_name == "day_of"
    assert "async def day_of(year: int)" in day.definition.source
    assert day.definition.settings == {
        "tags": ["time"],
        "default_requires_approval": True,
        "effect": "reads",
        "idempotent": True,
        "enable_parallel_execution": True,
        "return_char_limit": 100,
        "pip_requirements": [{"name": "python-dateutil", "version": "2.9.0"}, {"name": "attrs"}],
        "sandbox": {"network": ["api.example.com", "*.example.org:8443"], "timeout": 5, "memory": 128},
    }


def _undescribed(n: int) -> int:
    return n


def _described(n: int) -> int:
    """Count.

    Args:
        n: A number.
    """
    return n


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: tool(_undescribed), "'_undescribed' has no docstring"),
        (lambda: tool(len), "is no function"),
        (lambda: tool(network=["http://x"])(_described), "tool '_described': network: .*is no host"),
        (lambda: tool(timeout=-1)(_described), "tool '_described': timeout"),
        (lambda: tool(name="a b")(_described), "ASCII letters"),
        (lambda: tool(lambda: 1), "its name has ASCII letters.*give another"),
        (lambda: block(" "), "label must not be empty"),
        (lambda: block("a", "xxx", limit=2), "block 'a': the value has 3 characters, the limit is 2"),
    ],
)
def test_tools_and_blocks_that_are_refused(make: object, complaint: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidArgument, match=complaint):
        make()


def test_an_agent_has_its_base_tools_and_the_rules_its_tools_bring() -> None:
    made = define_agent(
        "Clerk",
        tools=[greet, day, "archival_memory_search", existing("from_elsewhere")],
        rules=[starting_with(using(greet, times=2)), when(day).then(greet, "from_elsewhere")],
        blocks=[block("human", "Ada")],
        description="Works.",
    )
    assert made.tools == (
        *("conversation_search", "memory_insert", "memory_replace"),
        *("greet", "day_of", "archival_memory_search", "from_elsewhere"),
    )
    assert [rule.type for rule in made.rules] == ["run_first", "constrain_child_tools", "requires_approval"]
    assert made.own_tools == (greet.definition, day.definition)
    assert made.settings == {"description": "Works."}


def test_agents_that_speak_by_tool_get_their_rules() -> None:
    made = define_agent("Old", agent_type="memgpt_v2_agent", rules=[when("memory_insert").continues()])
    assert {(rule.tool_name, rule.type) for rule in made.rules} == {
        ("send_message", "exit_loop"),
        ("conversation_search", "continue_loop"),
        ("memory_insert", "continue_loop"),
        ("memory_replace", "continue_loop"),
    }
    assert define_agent("Bare", base_tools=False).tools == ()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"agent_type": "robot"}, "agent 'A': agent_type must be one of"),
        ({"tools": ["frobnicate"]}, "no base tool 'frobnicate'.*existing\\('frobnicate'\\)"),
        ({"tools": [len]}, "is no tool"),
        ({"rules": [when("greet").ends()]}, "a rule speaks of 'greet', which is not among its tools"),
        ({"rules": [when("memory_insert").then("web_search")]}, "speaks of 'web_search'"),
        ({"tools": [greet], "rules": [starting_with(using(greet, often=2))]}, "sets 'often' of 'greet'"),
        ({"rules": [starting_with(using("memory_insert", lable="x"))]}, "sets 'lable' of 'memory_insert'"),
        ({"blocks": [block("a"), block("b"), block("a")]}, "several blocks are labelled a"),
    ],
)
def test_agents_that_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        define_agent("A", **options)


def test_only_what_is_defined_within_is_collected() -> None:
    define_agent("Before")
    with collecting() as collected:
        made = tool(effect="pure")(_described)
        first = define_agent("First", tools=[made])
        define_agent("Second", blocks=[block("team", f"Ask {id_of(first)}.")])
        with pytest.raises(InvalidArgument, match="'First' is defined twice"):
            define_agent("First")
    assert [each.tool_name for each in collected.tools] == ["_described"]
    assert [each.name for each in collected.agents] == ["First", "Second"]
    assert collected.agents[1].blocks[0].value == "Ask {id of First}."
