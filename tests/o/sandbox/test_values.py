"""From Python values to JSON and from JSON to arguments, as the child does it."""

import dataclasses
import datetime
import enum
import json
from typing import Any, Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.sandbox.inside.agent_state import AgentState, after
from o.sandbox.inside.values import Unreturnable, arguments, plain


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: Any = None


class Model(pydantic.BaseModel):
    name: str
    colour: Colour = Colour.RED


class Named(str):
    """A string of its own kind."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ({"a": (1, 2.5), 3: {True}}, {"a": [1, 2.5], "3": [True]}),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        ([Model(name="m")], [{"name": "m", "colour": "red"}]),
        (Colour.RED, "red"),
        (Named("n"), "n"),
        (b"raw", "b'raw'"),
        (2**64, str(2**64)),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_what_a_tool_returns_becomes_plain(value: object, expected: object) -> None:
    assert plain(value) == expected
    assert json.loads(json.dumps(plain(value))) == expected


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.binary(), st.lists, max_leaves=30))
def test_any_value_becomes_json(value: object) -> None:
    json.dumps(plain(value))


def test_what_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(Unreturnable, match="deeper"):
        plain(loop)


def test_models_are_built_where_annotations_name_them() -> None:
    def tool(one: Model, many: list[Model], maybe: Model | None, mode: Literal["a"], raw: dict[str, Any]) -> None: ...

    given = {"one": {"name": "x"}, "many": [{"name": "y"}], "maybe": None, "mode": "a", "raw": {"name": "z"}}
    built = arguments(tool, given)
    assert built["one"] == Model(name="x")
    assert built["many"] == [Model(name="y")]
    assert (built["maybe"], built["mode"], built["raw"]) == (None, "a", {"name": "z"})


def test_what_is_no_such_model_is_an_error() -> None:
    def tool(one: Model) -> None: ...

    with pytest.raises(pydantic.ValidationError):
        arguments(tool, {"one": {"colour": "blue"}})


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Pair:
    left: int
    color: Color


def test_other_types_are_built_too() -> None:
    def tool(
        color: Color, maybe: "Color | None", pair: Pair, pairs: dict[str, Pair], some: set[int], day: datetime.date
    ) -> None: ...

    pair = {"left": 1, "color": "red"}
    given = {"color": "red", "pair": pair, "pairs": {"a": pair}, "some": [1, 1], "day": "2026-01-31"}
    assert arguments(tool, given) == {
        "color": Color.RED,
        "maybe": None,
        "pair": Pair(1, Color.RED),
        "pairs": {"a": Pair(1, Color.RED)},
        "some": {1},
        "day": datetime.date(2026, 1, 31),
    }
    with pytest.raises(ValueError, match="'blue' is not a valid Color"):
        arguments(tool, {"color": "blue"})


def test_an_annotation_that_names_nothing_spoils_no_other() -> None:
    def tool(color: "Color", agent_state: "AgentState", odd: "Nowhere", n: int = 1) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert arguments(tool, {"color": "red", "odd": 5}) == {"color": Color.RED, "odd": 5}


_STATE = {
    "id": "agent-1",
    "name": "a",
    "tags": ["t"],
    "blocks": [{"label": "human", "value": "old", "limit": 100, "description": None, "read_only": False}],
}


def test_a_tool_reads_and_edits_memory() -> None:
    state: Any = AgentState(_STATE)
    assert (state.id, state.name, state.tags) == ("agent-1", "a", ["t"])
    assert state.memory.list_block_labels() == ["human"]
    assert state.memory.get_block("human").value == "old"
    state.memory.update_block_value(label="human", value="new")
    assert state.blocks[0].value == "new"
    assert after(_STATE, state) == {**_STATE, "blocks": [{**_STATE["blocks"][0], "value": "new"}]}  # type: ignore[dict-item]


def test_mistakes_with_memory_are_the_tools() -> None:
    state = AgentState(_STATE)
    with pytest.raises(KeyError, match="it has human"):
        state.memory.get_block("persona")
    with pytest.raises(ValueError, match="string"):
        state.memory.update_block_value("human", 3)  # type: ignore[arg-type]
