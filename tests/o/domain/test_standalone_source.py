"""Functions taken out of their files: what goes with them, and that they run alone."""

from textwrap import dedent
from typing import Any

import pytest

from o.domain.bad_source import BadSource
from o.domain.standalone_source import standalone

FILE = dedent('''
    """A file."""
    from __future__ import annotations

    import json, re
    import os.path as paths
    from enum import Enum
    from typing import Literal
    from functools import cache, partial
    from o.dsl import tool, block
    import o.dsl as dsl

    try:
        import tomllib as toml
    except ImportError:
        toml = None

    GREETING = "hi"
    UNUSED = block("x")
    LIMITS = {"greeting": len(GREETING)}
    counter: int = 3

    class Color(Enum):
        RED = "red"

    class Point:
        color: Color = Color.RED

    def helper(n):
        # kept: a comment
        return GREETING * n if n < LIMITS["greeting"] + 100 else paths.sep

    @cache
    def even(n): return n == 0 or odd(n - 1)
    def odd(n): return n != 0 and even(n - 1)

    @tool(effect="pure")
    def first(n: int, where: "Point | None" = None, how: Literal["no_name"] = "no_name") -> str:
        """First."""
        total = [helper(i) for i in range(n)]
        def inner():
            return json.dumps(total)
        return inner()

    @cache
    @dsl.tool
    def second(n: int):
        """Second."""
        return even(n), toml is not None

    @tool
    def again(n: int) -> int:
        """Again."""
        return 1 if n < 2 else n * again(n - 1)

    @tool
    def calls_a_tool(n: int) -> str:
        return first(n)

    @tool
    def strange(n: int):
        return nowhere + elsewhere(n)

    @tool
    def from_here():
        return block("y")

    @tool
    def rebinding():
        global counter
        counter += 1
        return counter

    def make():
        @tool
        def nested(): ...
        return nested
''').lstrip()


def alone(function: str, name: str | None = None) -> str:
    lines = FILE.splitlines()
    at = next(n for n, line in enumerate(lines) if f"def {function}(" in line)
    while lines[at - 1].lstrip().startswith("@"):
        at -= 1
    return standalone(FILE, function, line=at + 1, name=name or function, without="o.dsl")


def ran(source: str, call: str) -> object:
    space: dict[str, object] = {"__name__": "tool"}
    exec(compile(source, "tool", "exec", dont_inherit=True), space)
    return eval(call, space)


def test_what_is_used_goes_along_and_nothing_else() -> None:
    source = alone("first")
    assert ran(source, "first(2)") == '["", "hi"]'
    assert "# kept: a comment" in source
    assert source.startswith("from __future__ import annotations")
    for gone in ("UNUSED", "o.dsl", "@tool", "even", "second", "toml", "functools", "A file"):
        assert gone not in source
    # The type of an argument is written as a string, and looked up all the same when it is called.
    assert "class Point" in source and "class Color" in source


def test_functions_that_need_each_other_and_other_decorators() -> None:
    source = alone("second")
    assert ran(source, "second(4)") == (True, True)
    assert source.count("@cache") == 2
    assert "dsl" not in source


def test_the_tool_stands_last() -> None:
    assert alone("second").rstrip().splitlines()[-1] == "    return even(n), toml is not None"
    assert alone("calls_a_tool").rstrip().endswith("return first(n)")


def test_another_name_also_where_it_calls_itself() -> None:
    assert ran(alone("again"), "again(5)") == 120
    source = alone("again", "factorial")
    assert ran(source, "factorial(5)") == 120
    assert source.rstrip().splitlines()[-3] == "def factorial(n: int) -> int:"


def test_module_variables_stay_variables() -> None:
    assert ran(alone("rebinding"), "(rebinding(), rebinding())") == (4, 5)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        ("strange", "uses 'nowhere', 'elsewhere', which its file does not define"),
        ("from_here", "uses 'block' of o.dsl"),
        ("nested", "define it at the top level"),
    ],
)
def test_what_cannot_stand_alone(function: str, complaint: str) -> None:
    with pytest.raises(BadSource, match=complaint):
        alone(function)


def test_everything_imported_at_once() -> None:
    file = "from o.dsl import *\nfrom json import *\n\n@tool(effect='pure')\ndef act():\n    return dumps(1)\n"
    with pytest.raises(BadSource, match="uses 'dumps'"):
        standalone(file, "act", line=4, name="act", without="o.dsl")
    file = file.replace("dumps(1)", "1")
    assert standalone(file, "act", line=4, name="act", without="o.dsl") == "def act():\n    return 1\n"


def test_what_changes_a_value_goes_with_it() -> None:
    file = dedent("""
        import sys
        from o.dsl import define_agent

        PRICES = {}
        PRICES["tea"] = 3
        ROUNDS = ["a"]
        for name in ROUNDS:
            PRICES[name] = 1
        PRICES.update(milk=2)
        ROUNDS.append("b")
        sys.setrecursionlimit(900)
        OTHER = []
        OTHER.append(1)

        def price(item):
            return PRICES[item]

        define_agent("x", tools=[price])

        if __name__ == "__main__":
            PRICES["tea"] = 100
    """)
    source = standalone(file, "price", line=16, name="price", without="o.dsl")
    for kept in ('PRICES["tea"] = 3', "PRICES[name] = 1", "PRICES.update(milk=2)", 'ROUNDS.append("b")'):
        assert kept in source
    for left in ("OTHER", "sys", "define_agent"):
        assert left not in source
    scope: dict[str, Any] = {}
    exec(source, scope)
    assert [scope["price"](item) for item in ("tea", "a", "milk")] == [3, 1, 2]
