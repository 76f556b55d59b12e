"""Pins of MCP tools: what counts as a change, what is refused, and what names tools get."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.mcp_pins import (
    MAX_DEPTH,
    Known,
    Offered,
    compare,
    drift,
    flaw,
    name_for_models,
    nameable,
    storable,
)

LOOK = Offered("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}}}, {"readOnlyHint": True})

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"x": schema}
    return schema


def known(offered: Offered, id_: str = "tool-1") -> Known:
    return Known(id_, offered.name, offered.pinned())


@pytest.mark.parametrize(
    "other",
    [
        Offered("look2", LOOK.description, LOOK.schema, LOOK.annotations),
        Offered("look", "Look!", LOOK.schema, LOOK.annotations),
        Offered("look", LOOK.description, {"type": "object"}, LOOK.annotations),
        Offered("look", LOOK.description, LOOK.schema, {}),
    ],
)
def test_a_change_of_anything_that_is_told_changes_the_pin(other: Offered) -> None:
    assert other.pin != LOOK.pin


def test_the_order_of_keys_is_no_change() -> None:
    turned = {"properties": LOOK.schema["properties"], "type": "object"}
    assert Offered("look", "Look.", turned, {"readOnlyHint": True}).pin == LOOK.pin


def test_a_listing_is_held_against_what_is_pinned() -> None:
    changed, gone, new = Offered("b", "new words", {}), Offered("c", "", {}), Offered("d", "", {})
    found = compare(
        [known(LOOK), known(Offered("b", "", {})), known(gone)], [LOOK, changed, new, Offered("d", "2", {})]
    )
    assert [tool.name for tool in found.same] == ["look"]
    assert [(old.name, offered.description) for old, offered in found.changed] == [("b", "new words")]
    assert [tool.name for tool in found.gone] == ["c"]
    assert found.added == (new,), "of two tools of one name the first counts"


def test_a_drift_shows_what_differs_unless_it_is_too_large() -> None:
    pinned = LOOK.pinned()
    assert drift(pinned, None) == {"changed": ["gone"]}
    shown = drift(pinned, Offered("look", "Other.", LOOK.schema, {}))
    assert shown["changed"] == ["description", "annotations"]
    assert shown["now"] == {"description": "Other.", "annotations": {}}
    flooded = drift(pinned, Offered("look", "x" * 100_000, nested(100), LOOK.annotations))
    assert flooded["changed"] == ["description", "schema"]
    assert flooded["now"] == {}


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        (Offered("a", "x" * 20_000, {}), "characters"),
        (Offered("a", "", nested(MAX_DEPTH + 1)), "nested"),
        (Offered("a", "", {"enum": ["x" * 1000] * 100}), "bytes"),
        (Offered("a", "", {}, {"x": "y" * 100_000}), "annotations"),
    ],
)
def test_what_no_model_can_be_told_has_a_flaw(offered: Offered, reason: str) -> None:
    found = flaw(offered)
    assert found is not None and reason in found


def test_what_is_fine_has_none() -> None:
    assert flaw(LOOK) is None
    assert flaw(Offered("a", "", nested(MAX_DEPTH - 2))) is None


@pytest.mark.parametrize(
    ("tool", "taken", "name"),
    [
        ("read", set(), "read"),
        ("read", {"read"}, "my_files_read"),
        ("read", {"read", "my_files_read"}, None),
        ("a/b.c", set(), "a_b_c"),
        ("x" * 70, set(), None),
        ("x" * 60, {"x" * 60}, None),
    ],
)
def test_names_are_those_that_every_model_takes(tool: str, taken: set[str], name: str | None) -> None:
    assert name_for_models("my files", tool, taken) == name


def test_some_names_cannot_be_kept() -> None:
    assert nameable("read file")
    assert not any(nameable(name) for name in ("", "x" * 200, "a\0b", "a\nb", "a\u202eb"))


@given(JSON)
def test_anything_can_be_made_storable(value: object) -> None:
    text = json.dumps(storable(value), allow_nan=False)
    assert "\\u0000" not in text
    json.dumps(storable(value), ensure_ascii=False, allow_nan=False).encode()
