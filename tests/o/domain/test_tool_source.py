"""Schemas derived from sources: every form that is understood, every one that is refused."""

import json
from textwrap import dedent

import pytest

from o.domain.json import JsonObject
from o.domain.tool_source import BadSource, DerivedTool, derive
from o.errors import InvalidArgument

DEFINITIONS = '''
from __future__ import annotations
import typing
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum, IntEnum, StrEnum, auto
from typing import Annotated, Any, Dict, List, Literal, NewType, Optional, Set, Tuple, TypedDict, Union
from typing import List as L
import pydantic
from pydantic import BaseModel, Field

LIMIT = 7
Words = List[str]
UserId = NewType("UserId", str)
Positive = Annotated[int, Field(gt=0)]

class Color(str, Enum):
    """A color."""
    RED = "red"
    BLUE = "blue"

class Level(IntEnum):
    LOW = auto()
    HIGH = auto()

class Mode(StrEnum):
    FAST = auto()

class Point(BaseModel):
    """A place.

    Attributes:
        x: how far right
    """
    model_config = {"extra": "forbid"}
    kinds: typing.ClassVar[int] = 3
    x: int
    y: int = Field(0, description="how far up", ge=-5, le=5)
    label: Optional[str] = None
    tags: List[str] = Field(default_factory=list, max_length=3)
    _hidden: int = 1

class Named(Point):
    name: str = Field(alias="fullName", min_length=1)

class Path(BaseModel):
    points: List[Point]
    end: Optional[Point]

@dataclass
class Pair:
    left: int
    right: float = 2.5
    rest: list[int] = field(default_factory=list)

class Options(TypedDict, total=False):
    deep: typing.Required[bool]
    size: int
'''


def tool(annotation: str, default: str | None = None, before: str = DEFINITIONS) -> DerivedTool:
    given = f" = {default}" if default is not None else ""
    return derive(
        f'{before}\ndef act(v: {annotation}{given}):\n    """Act.\n\n    Args:\n        v: a value\n    """\n'
    )


def schema_of(annotation: str, default: str | None = None) -> JsonObject:
    schema: JsonObject = dict(tool(annotation, default).parameters["properties"]["v"])
    assert schema.pop("description") == "a value"
    return schema


TEXT: JsonObject = {"type": "string"}
WHOLE: JsonObject = {"type": "integer"}
POINT: JsonObject = {
    "type": "object",
    "description": "A place.",
    "properties": {
        "x": {"type": "integer", "description": "how far right"},
        "y": {"type": "integer", "minimum": -5, "maximum": 5, "description": "how far up", "default": 0},
        "label": TEXT,
        "tags": {"type": "array", "items": TEXT, "maxItems": 3, "default": []},
    },
    "required": ["x"],
}


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("str", TEXT),
        ("int", WHOLE),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("None", {"type": "null"}),
        ("Any", {}),
        ("object", {}),
        ("dict", {"type": "object"}),
        ("list", {"type": "array", "items": {}}),
        ("List[str]", {"type": "array", "items": TEXT}),
        ("L[str]", {"type": "array", "items": TEXT}),
        ("t.List[str]", {"type": "array", "items": TEXT}),
        ("typing.Sequence[str]", {"type": "array", "items": TEXT}),
        ("Sequence[list[int]]", {"type": "array", "items": {"type": "array", "items": WHOLE}}),
        ("Set[int]", {"type": "array", "items": WHOLE, "uniqueItems": True}),
        ("Dict[str, int]", {"type": "object", "additionalProperties": WHOLE}),
        ("dict[str, Any]", {"type": "object", "additionalProperties": True}),
        ("tuple[int, ...]", {"type": "array", "items": WHOLE}),
        ("Tuple[int, int]", {"type": "array", "items": WHOLE, "minItems": 2, "maxItems": 2}),
        (
            "tuple[int, str]",
            {
                "type": "array",
                "prefixItems": [WHOLE, TEXT],
                "items": {"anyOf": [WHOLE, TEXT]},
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        ("Optional[int]", WHOLE),
        ("int | None", WHOLE),
        ("None | int", WHOLE),
        ("Union[int, None]", WHOLE),
        ("'int'", WHOLE),
        ("Optional['Color']", {"type": "string", "enum": ["red", "blue"]}),
        ("int | str", {"anyOf": [WHOLE, TEXT]}),
        ("Union[int, str, int]", {"anyOf": [WHOLE, TEXT]}),
        ("list[int | None]", {"type": "array", "items": {"anyOf": [WHOLE, {"type": "null"}]}}),
        ("Literal['a', 'b']", {"type": "string", "enum": ["a", "b"]}),
        ("Literal[1, 'b']", {"enum": [1, "b"]}),
        ("Literal[Color.RED]", {"type": "string", "enum": ["red"]}),
        ("Color", {"type": "string", "enum": ["red", "blue"]}),
        ("Level", {"type": "integer", "enum": [1, 2]}),
        ("Mode", {"type": "string", "enum": ["fast"]}),
        ("Words", {"type": "array", "items": TEXT}),
        ("UserId", TEXT),
        ("Positive", {"type": "integer", "exclusiveMinimum": 0}),
        ("Annotated[str, Field(min_length=2, pattern='^a')]", {"type": "string", "minLength": 2, "pattern": "^a"}),
        ("Annotated[list[int], Field(max_length=2)]", {"type": "array", "items": WHOLE, "maxItems": 2}),
        ("datetime", {"type": "string", "format": "date-time"}),
        ("pydantic.HttpUrl", {"type": "string", "format": "uri"}),
        ("Point", POINT),
        ("List[Point]", {"type": "array", "items": POINT}),
        (
            "Named",
            {
                "type": "object",
                "properties": {**POINT["properties"], "fullName": {"type": "string", "minLength": 1}},
                "required": ["x", "fullName"],
            },
        ),
        (
            "Path",
            {
                "type": "object",
                "properties": {
                    "points": {"type": "array", "items": POINT},
                    "end": {"anyOf": [POINT, {"type": "null"}]},
                },
                "required": ["points", "end"],
            },
        ),
        (
            "Pair",
            {
                "type": "object",
                "properties": {
                    "left": WHOLE,
                    "right": {"type": "number", "default": 2.5},
                    "rest": {"type": "array", "items": WHOLE, "default": []},
                },
                "required": ["left"],
            },
        ),
        (
            "Options",
            {"type": "object", "properties": {"deep": {"type": "boolean"}, "size": WHOLE}, "required": ["deep"]},
        ),
    ],
)
def test_types(annotation: str, expected: JsonObject) -> None:
    expected = {name: value for name, value in expected.items() if name != "description"}
    assert schema_of(annotation) == expected


@pytest.mark.parametrize(
    ("annotation", "default", "stated"),
    [
        ("int", "5", {"default": 5}),
        ("int", "-5", {"default": -5}),
        ("float", "1.5", {"default": 1.5}),
        ("float", "1e999", {}),
        ("int", str(2**70), {}),
        ("str", "'x'", {"default": "x"}),
        ("bool", "False", {"default": False}),
        ("list", "[1, 'a']", {"default": [1, "a"]}),
        ("tuple", "(1, 2)", {"default": [1, 2]}),
        ("dict", "{'a': [None]}", {"default": {"a": [None]}}),
        ("int", "LIMIT", {"default": 7}),
        ("Color", "Color.RED", {"default": "red"}),
        ("str", "Color.RED.value", {"default": "red"}),
        ("int", "len('abc')", {}),
        ("str", "b'x'", {}),
        ("str", "None", {}),
        ("Optional[str]", "None", {}),
    ],
)
def test_defaults_are_stated_where_they_are_json(annotation: str, default: str, stated: JsonObject) -> None:
    made = tool(annotation, default)
    schema = made.parameters["properties"]["v"]
    assert {name: schema[name] for name in schema if name == "default"} == stated
    assert made.parameters["required"] == []
    assert made.optional == ()


def test_an_optional_value_with_another_default_may_still_be_null() -> None:
    assert schema_of("Optional[int]", "5") == {"anyOf": [WHOLE, {"type": "null"}], "default": 5}


def test_optional_without_a_default_is_not_required_but_noted() -> None:
    made = tool("Optional[int]")
    assert made.parameters["required"] == []
    assert made.optional == ("v",)


@pytest.mark.parametrize("annotation", ["list", "Optional[str]", "Dict[str, int]", "t.Any"])
def test_names_of_typing_need_no_import(annotation: str) -> None:
    assert tool(annotation, before="import typing as t").name == "act"


def test_the_description_may_be_part_of_the_annotation() -> None:
    made = derive('from typing import Annotated\ndef f(a: Annotated[int, "How many."]):\n    "Count."\n')
    assert made.parameters["properties"] == {"a": {"type": "integer", "description": "How many."}}


def test_the_function_is_the_last_of_the_module() -> None:
    source = dedent('''
        """A module."""
        def first():
            """First."""

        if True:
            async def last(n: int, agent_state: "AgentState", *, m: str = "x"):
                """Last.

                Args:
                    n: A number.
                    m: A text.
                """
                def inner():
                    """Inner."""
                return client.agents.list()

        class Late:
            def method(self):
                """Method."""
    ''')
    made = derive(source)
    assert (made.name, made.function, made.is_async, made.takes_agent_state, made.uses_client) == (
        *("last", "last"),
        *(True, True, True),
    )
    assert list(made.parameters["properties"]) == ["n", "m"]
    assert derive(source, name="first").description == "First."


def test_an_inner_function_is_taken_where_there_is_no_other() -> None:
    assert derive('class Tools:\n    def act(self):\n        """Act."""\n').name == "act"


@pytest.mark.parametrize(
    ("body", "uses"),
    [
        ("return client.agents", True),
        ("client = 1; return client", False),
        ("import client; return client.x", False),
        ("from a import b as client; return client.x", False),
        ("return x.client", False),
    ],
)
def test_a_client_of_its_own_is_not_ours(body: str, uses: bool) -> None:
    assert derive(f'def act():\n    """Act."""\n    {body}\n').uses_client is uses


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("", "defines no function"),
        ("x = 1", "defines no function"),
        ("def act(:", r"line 1"),
        ("def act():\n\treturn 1\n        return 2", "line 3"),
        ("def act():\n    return 1", "'act' has no docstring"),
        ('def act():\n    """   """', "'act' has no docstring"),
        ('def act(x: int):\n    """Args:\n        x: y"""', "'act' has no docstring"),
        ('def act(a):\n    """Act."""', "parameter 'a' has no type"),
        ('def act(a: int):\n    """Act."""', "parameter 'a' is not described"),
        (
            'def act(a: int, b: int):\n    """Act.\n\n    Args:\n        a: A.\n        b:\n    """',
            "'b' is not described",
        ),
        ('def act(*args: int):\n    """Act."""', r"'\*args' cannot be described"),
        ('def act(**more: int):\n    """Act."""', r"'\*\*more' cannot be described"),
        ('def act(a: int, /):\n    """Act."""', "passed by name"),
        (f'def {"a" * 49}():\n    """Act."""', "49 characters, the limit is 48"),
        ('def größe():\n    """Act."""', "ASCII"),
        ('def act(größe: int):\n    """Act.\n\n    Args:\n        größe: x\n    """', "ASCII"),
        ('def act():\n    """Act.\\0"""', "NUL"),
        ('def act():\n    """Act.\\ud800"""', "half of a character pair"),
        ('def act():\n    """\0"""', "NUL"),
        ("\ud800", "surrogates"),
        ("x" * 200_001, "the limit is 200000"),
        ("1+" * 90_000 + "1", "nested too deeply"),
        ("(" * 500, "line 1"),
        ("-" * 190_000 + "1", "nested too deeply"),
        ("9" * 5000, "line 1"),
    ],
)
def test_sources_that_are_refused(source: str, complaint: str) -> None:
    with pytest.raises(BadSource, match=complaint) as refused:
        derive(source)
    assert isinstance(refused.value, InvalidArgument)
    assert len(refused.value.message) < 500


@pytest.mark.parametrize(
    ("annotation", "complaint"),
    [
        ("bytes", "'bytes' is not known here"),
        ("Stranger", "'Stranger' is not known here"),
        ("pandas.DataFrame", "'pandas.DataFrame' is not known here"),
        ("Dict[int, str]", "keys of a dict are strings"),
        ("Literal[print]", "Literal takes"),
        ("list[int, str]", "cannot be written"),
        ("print('x')", "is no type"),
        ("5", "is no type"),
        ("'int; str'", "line 1|no type"),
        ("'" + "int|" * 3000 + "int'", "too long"),
        ("list[" * 40 + "int" + "]" * 40, "nested too deeply"),
    ],
)
def test_types_that_are_refused(annotation: str, complaint: str) -> None:
    with pytest.raises(BadSource, match=complaint) as refused:
        tool(annotation)
    if "line" not in complaint:
        assert refused.value.message.startswith("function 'act', parameter 'v'")


@pytest.mark.parametrize(
    ("classes", "complaint"),
    [
        ("class V(BaseModel):\n    inner: Optional['V'] = None", "'V' contains itself"),
        ("class A(BaseModel):\n    b: 'V'\nclass V(BaseModel):\n    a: A", "'V' contains itself"),
        ("V = list['V']", "refers to itself"),
        ("class V(V):\n    pass", "no enum, dataclass"),
        ("class V:\n    pass", "no enum, dataclass"),
        ("class V(Enum):\n    A = open('x')", "'V.A' is no plain"),
        ("class V(Enum):\n    pass", "no members"),
        ("class V(BaseModel):\n    x: bytes", "'V.x': the type 'bytes'"),
        ("V = make()", "only running the source"),
        (
            "".join(f"class V{n or ''}(BaseModel):\n    a: V{n + 1}\n    b: V{n + 1}\n" for n in range(30))
            + "class V30(BaseModel):\n    a: int",
            "nested too deeply|more than 5000 parts",
        ),
        (
            "".join(f"class V{n or ''}(BaseModel):\n    a: V{n + 1}\n    b: V{n + 1}\n" for n in range(14))
            + "class V14(BaseModel):\n    a: int",
            "more than 5000 parts",
        ),
        (
            "class A(BaseModel):\n    " + f'"""{"x" * 5000}"""\n    x: int\n'
            "class V(BaseModel):\n" + "".join(f"    a{n}: A\n" for n in range(100)),
            "too large",
        ),
        ("V = Literal[" + ",".join(map(str, range(20_000))) + "]", "more than 5000 parts"),
    ],
)
def test_classes_that_are_refused(classes: str, complaint: str) -> None:
    head = "from pydantic import BaseModel\nfrom typing import *\nfrom enum import Enum\n"
    with pytest.raises(BadSource, match=complaint):
        tool("V", before=head + classes)


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(BadSource, match=r"no function 'c' \(it defines: a, b\)"):
        derive('def a():\n    "A."\ndef b():\n    "B."', name="c")


def test_nothing_of_the_source_is_run_or_warned_of(tmp_path: object, recwarn: pytest.WarningsRecorder) -> None:
    canary = f"{tmp_path}/canary"
    source = dedent(f'''
        open({canary!r}, "w").write("ran")
        class Meta(type):
            def __new__(cls, *a): raise SystemExit
        @open({canary!r}, "w").write
        def act(v: "open({canary!r}, 'w')" = open({canary!r}, "w")):
            """Act on "\\d".

            Args:
                v: A value.
            """
            raise SystemExit
    ''')
    with pytest.raises(BadSource, match="is no type"):
        derive(source)
    assert not list(recwarn)
    with pytest.raises(FileNotFoundError):
        open(canary)  # noqa: SIM115, PTH123


def test_what_is_derived_is_json() -> None:
    json.dumps(tool("Path").parameters, allow_nan=False)


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("a: Annotated[str, Field(max_length=1.5)]", "maxLength: must be a whole number"),
        (f"{'n' * 65}: str", "64 at most"),
    ],
)
def test_what_vendors_refuse_is_told_with_the_function(parameter: str, said: str) -> None:
    name = parameter.split(":")[0]
    source = f"def f({parameter}):\n    '''F.\n\n    Args:\n        {name}: It.\n    '''\n"
    with pytest.raises(BadSource, match=rf"function 'f': schema.*{said}"):
        derive(f"from typing import Annotated\nfrom pydantic import Field\n{source}")
