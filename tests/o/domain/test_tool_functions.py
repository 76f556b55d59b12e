"""Which function of a source is the tool."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.tool_functions import function_of
from o.domain.tool_source import derive
from o.errors import InvalidArgument

NESTED = "class Box:\n    def inside(self): pass\n"


@pytest.mark.parametrize(
    ("source", "name", "found"),
    [
        ("def a(): pass\ndef b(): pass", None, "b"),
        ("def a(): pass\ndef b(): pass", "a", "a"),
        ("def a():\n    def b(): pass", None, "a"),
        ("async def a(): pass", None, "a"),
        ("@tool\ndef a(): pass\nx = 1", None, "a"),
        (NESTED, None, "inside"),
        ("if True:\n    def a(): pass", None, "a"),
        ("def a(): pass\n" + NESTED, None, "a"),
        ("def ä(): pass", None, "ä"),
    ],
)
def test_the_named_function_or_the_last(source: str, name: str | None, found: str) -> None:
    assert function_of(source, name).name == found


def test_what_it_says_of_itself_comes_with_it() -> None:
    source = 'def a(x):\n    """First.\n\n    Second.\n\n    Args:\n        x: An x.\n    """'
    assert function_of(source).description == "First.\n\nSecond."
    assert function_of("def a(): 'one'").description == "one"
    assert function_of("def a(): pass").description == ""


def test_it_is_the_one_a_schema_is_derived_of() -> None:
    one = "def one():\n    'One.'\n"
    for source in (
        one,
        one + "if True:\n    def two():\n        'Two.'\n",
        "class Box:\n    def three(self):\n        'Three.'",
    ):
        assert function_of(source).name == derive(source).name


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        ("", None, "defines no function; write"),
        ("def a(): pass", "b", "no function named 'b'"),
        ("def a():\n    def b(): pass", "b", "no function named 'b'"),
        ("x = lambda: 1", None, "defines no function"),
        ("\n\ndef a(", None, "line 3"),
        ("def a(): '\\q'\n)", None, "line 2"),
        ("\0", None, "no valid Python|NUL|nested"),
        ("(" * 100_000, None, "no valid Python|NUL|nested"),
        ("-" * 190_000 + "1", None, "nested"),
        ("#" * (2**20 + 1), None, "the limit is"),
    ],
)
def test_what_cannot_be_read_is_said(source: str, name: str | None, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        function_of(source, name)


@given(st.text(alphabet="def a():\n\t'\"#@[]{}\\\0é\ud800", max_size=80))
def test_no_source_raises_anything_else(source: str) -> None:
    with suppress(InvalidArgument):
        function_of(source)
