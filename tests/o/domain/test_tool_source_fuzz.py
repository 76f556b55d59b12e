"""Schemas derived from random sources: what pydantic says of the same types, and nothing but `BadSource` otherwise."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from o.domain.docstrings import read
from o.domain.tool_source import BadSource, derive, from_args_schema

_HEAD = """
import typing
import typing as t
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Annotated, Any, Dict, List, Literal, Optional, Tuple, Union
from typing_extensions import TypedDict
from pydantic import BaseModel, Field

class Color(Enum):
    RED = "red"
    BLUE = "blue"

class Level(IntEnum):
    LOW = 1
    HIGH = 2

class Point(BaseModel):
    x: int
    y: float = Field(0.5, ge=0, lt=9, description="height")
    note: Optional[str] = None
    colors: List[Color] = Field(default_factory=list)

class Line(BaseModel):
    ends: Tuple[Point, Point]
    by_name: Dict[str, Point]
    mode: Literal["a", "b"] = "a"

@dataclass
class Pair:
    left: int
    right: str = "r"

class Options(TypedDict, total=False):
    deep: typing.Required[bool]
    size: Optional[int]
"""
_NAMESPACE: dict[str, Any] = {"__name__": "fuzzed"}
exec(_HEAD, _NAMESPACE)

_LEAVES = st.sampled_from(
    [
        *("str", "int", "float", "bool", "Any", "None", "Color", "Level", "Point", "Line", "Pair", "Options"),
        *(
            "Literal['a', 'b']",
            "Literal[1]",
            "Annotated[int, Field(ge=1, le=5)]",
            "Annotated[str, Field(max_length=3)]",
        ),
        *("'str'", "typing.Dict[str, Any]", "list", "dict"),
    ]
)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(st.sampled_from(["List", "list", "t.List", "typing.Sequence"]), inner).map("{0[0]}[{0[1]}]".format),
        st.tuples(st.sampled_from(["Dict", "dict"]), inner).map("{0[0]}[str, {0[1]}]".format),
        inner.map("Optional[{}]".format),
        inner.map("Tuple[{}, ...]".format),
        st.tuples(inner, inner).map("Union[{0[0]}, {0[1]}]".format),
        st.tuples(inner, inner).map("tuple[{0[0]}, {0[1]}]".format),
        inner.map("Annotated[{}, 'a note']".format),
    )


_TYPES = st.recursive(_LEAVES, _grown, max_leaves=6)


def _plain(schema: Any) -> Any:
    """A schema without what says the same in another way."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _plain(value) for name, value in schema.items() if name not in ("description", "default")}
    if "properties" in schema:
        kept["properties"] = {name: _plain(value) for name, value in schema["properties"].items()}
    if "const" in kept:
        kept["enum"] = [kept.pop("const")]
    if "enum" in kept:
        kept.pop("type", None)
    if "prefixItems" in kept:
        kept.pop("items", None)
        if all(each == kept["prefixItems"][0] for each in kept["prefixItems"]):
            kept["items"] = kept.pop("prefixItems")[0]
    for name in ("items", "additionalProperties"):
        if kept.get(name) in ({}, True):
            del kept[name]
    kept.pop("additionalProperties", None) if kept.get("additionalProperties") is True else None
    if "required" in kept:
        kept["required"] = sorted(kept["required"])
        if not kept["required"]:
            del kept["required"]
    if "anyOf" in kept:
        flat: dict[str, Any] = {}
        for each in kept["anyOf"]:
            for part in each["anyOf"] if each.keys() == {"anyOf"} else [each]:
                flat[json.dumps(part, sort_keys=True)] = part
        if "{}" in flat:
            kept.pop("anyOf")
        elif len(flat) == 1:
            kept = {**kept, **flat.popitem()[1]}
            kept.pop("anyOf")
        else:
            kept["anyOf"] = [flat[key] for key in sorted(flat)]
    # A value that may be left out is not sent as null.
    for name, inner in kept.get("properties", {}).items():
        if name not in kept.get("required", []) and inner.keys() == {"anyOf"}:
            rest = [each for each in inner["anyOf"] if each != {"type": "null"}]
            kept["properties"][name] = rest[0] if len(rest) == 1 else {"anyOf": rest}
    return kept


@settings(max_examples=150, deadline=None)
@given(_TYPES, st.booleans())
def test_types_are_described_as_pydantic_does(annotation: str, later: bool) -> None:
    future = "from __future__ import annotations\n" if later else ""
    source = (
        f'{future}{_HEAD}\ndef act(v: {annotation}) -> str:\n    """Act.\n\n    Args:\n        v: a value\n    """\n'
    )
    ours = derive(source).parameters
    told = TypeAdapter(eval(annotation, _NAMESPACE)).json_schema()
    definitions = told.pop("$defs", {})
    theirs = from_args_schema(
        {"type": "object", "properties": {"v": told}, "required": ours["required"], "$defs": definitions}
    )
    assert _plain(ours) == _plain(theirs)


_NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=6)
_SAID = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters=":\\\"'`"), min_size=1)


def _google(said: dict[str, str], indent: int) -> str:
    return "Args:\n" + "".join(f"{' ' * indent}{name} (int, optional): {text}\n" for name, text in said.items())


def _numpy(said: dict[str, str], indent: int) -> str:
    return "Parameters\n----------\n" + "".join(f"{name} : int\n{' ' * indent}{text}\n" for name, text in said.items())


def _sphinx(said: dict[str, str], indent: int) -> str:
    return "".join(f":param int {name}:\n{' ' * indent}{text}\n:type {name}: int\n" for name, text in said.items())


@settings(max_examples=150, deadline=None)
@given(
    _NAMES,
    st.data(),
    st.sampled_from([_google, _numpy, _sphinx]),
    st.integers(1, 9),
    st.sampled_from(["", "    ", "\t"]),
)
def test_all_styles_of_docstrings_say_the_same(
    names: list[str], data: st.DataObject, style: Any, indent: int, margin: str
) -> None:
    said = {name: data.draw(_SAID) for name in names}
    text = f"Do it.\n\nMore of it.\n\n{style(said, indent) if said else ''}\nReturns:\n    int: c: nothing\n"
    if style is _numpy:
        text = text.replace("Returns:\n", "Returns\n-------\n")
    found = read(text.replace("\n", f"\n{margin}"), names)
    assert found.parameters == said
    assert found.text == "Do it.\n\nMore of it."


_CORPUS = [
    f'{_HEAD}\ndef act(v: List[Point] = [], w: "Color | None" = None) -> str:\n'
    '    """Act.\n\n    Args:\n        v: values\n        w (Color): other\n    """\n    return client.x\n',
    'async def act(a: int, *, b: str = "x", agent_state=None):\n    """Act.\n\n    :param a: A\n    :param b: B"""\n',
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(_CORPUS),
    st.lists(
        st.tuples(
            st.integers(0, 2000),
            st.integers(0, 40),
            st.one_of(st.text(max_size=8), st.sampled_from("[]()|:,'\"\n *=@")),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_mutated_sources_are_derived_or_refused(source: str, edits: list[tuple[int, int, str]]) -> None:
    for at, cut, put in edits:
        source = source[: at % (len(source) + 1)] + put + source[at % (len(source) + 1) + cut :]
    _derived_or_refused(source)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("latin-1"))))
def test_garbage_is_refused(source: str) -> None:
    _derived_or_refused(source)
    read(source, ["a", "b"])
    _derived_or_refused(f"def act(a: int):\n    {source!r}\n")


def _derived_or_refused(source: str) -> None:
    try:
        made = derive(source)
    except BadSource as refused:
        assert len(refused.message) < 1000
        return
    json.dumps([made.name, made.description, made.parameters], allow_nan=False).encode()
