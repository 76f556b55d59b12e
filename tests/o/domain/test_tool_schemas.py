"""Schemas from outside: what is inlined, what is refused."""

import json
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from o.domain.json import JsonObject
from o.domain.tool_source import BadSource, from_args_schema


class Inner(BaseModel):
    """Something inner."""

    title: str
    size: Annotated[int, Field(ge=1)] = 1


class Arguments(BaseModel):
    one: Inner = Field(description="The one.")
    many: list[Inner] = []
    maybe: Inner | None = None
    by_name: dict[str, Inner] = {}


def test_pydantic_schemas_are_inlined() -> None:
    inner = {
        "type": "object",
        "description": "Something inner.",
        "properties": {"title": {"type": "string"}, "size": {"type": "integer", "minimum": 1, "default": 1}},
        "required": ["title"],
    }
    assert from_args_schema(Arguments.model_json_schema()) == {
        "type": "object",
        "properties": {
            "one": {**inner, "description": "The one."},
            "many": {"type": "array", "items": inner, "default": []},
            "maybe": {"anyOf": [inner, {"type": "null"}], "default": None},
            "by_name": {"type": "object", "additionalProperties": inner, "default": {}},
        },
        "required": ["one"],
    }


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, {"type": "object", "properties": {}, "required": []}),
        ({"properties": {"a": True}}, {"type": "object", "properties": {"a": {}}, "required": []}),
        (
            {"type": "object", "properties": {"a": {}}, "required": ["a", "gone"]},
            {"type": "object", "properties": {"a": {}}, "required": ["a"]},
        ),
        (
            {"$ref": "#/definitions/A", "definitions": {"A": {"properties": {"a": {"properties": {"$ref": {}}}}}}},
            {"type": "object", "properties": {"a": {"properties": {"$ref": {}}}}, "required": []},
        ),
        (
            {"properties": {"a": {"$ref": "#/$defs/x~1y%20z"}}, "$defs": {"x/y z": {"type": "string"}}},
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": []},
        ),
        (
            {
                "properties": {"a": {"allOf": [{"$ref": "#/$defs/A"}], "description": "d"}},
                "$defs": {"A": {"type": "null"}},
            },
            {"type": "object", "properties": {"a": {"type": "null", "description": "d"}}, "required": []},
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {}}, "required": ["a"]},
                    {"properties": {"b": {}}, "required": ["b"]},
                ]
            },
            {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]},
        ),
        (
            {"properties": {"a": {"allOf": [{"minimum": 1}, {"minimum": 2}]}}},
            {"type": "object", "properties": {"a": {"allOf": [{"minimum": 1}, {"minimum": 2}]}}, "required": []},
        ),
        (
            {"properties": {"a": {"title": "A", "default": {"title": "kept"}, "enum": [{"$ref": "kept"}]}}},
            {
                "type": "object",
                "properties": {"a": {"default": {"title": "kept"}, "enum": [{"$ref": "kept"}]}},
                "required": [],
            },
        ),
    ],
)
def test_shapes(schema: JsonObject, expected: JsonObject) -> None:
    assert from_args_schema(schema) == expected


def _nested(depth: int) -> JsonObject:
    schema: JsonObject = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return {"properties": {"a": schema}}


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({"type": "string"}, 'must be of type "object"'),
        ({"properties": {"a": {"$ref": "#/$defs/A"}}}, "there is no #/\\$defs/A"),
        ({"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"items": {"$ref": "#/$defs/A"}}}}, "to itself"),
        ({"properties": {"a": {"$ref": "#"}}}, "to itself"),
        ({"properties": {"a": {"$ref": "http://x/y"}}}, "same schema"),
        ({"properties": {"a": {"$ref": 5}}}, "same schema"),
        ({"properties": {"a": {"$dynamicRef": "#a"}}}, "dynamic"),
        ({"properties": []}, "must be an object of schemas"),
        ({"properties": {"a": 5}}, "must be a schema"),
        ({"properties": {"a": {"anyOf": {}}}}, "must be a list of schemas"),
        ({"properties": {"a": {"type": 5}}}, "name of a type"),
        ({"required": "a"}, "list of names"),
        ({"properties": {"a": {"enum": 5}}}, "must be a list"),
        ({"properties": {"a": {"description": 5}}}, "must be a text"),
        ({"properties": {"a\0": {}}}, "NUL"),
        ({"properties": {"a": {"description": "\ud800"}}}, "pair"),
        ({"properties": {"a": {"minimum": float("nan")}}}, "no JSON"),
        ({"properties": {"a": {"minimum": 2**64}}}, "64 bits"),
        ({"properties": {"a": {"default": object()}}}, "no JSON"),
        ({"properties": {1: {}}}, "keys"),
        (_nested(50), "levels deep"),
        (_nested(100_000), "levels deep"),
        ({"properties": {"a": {"description": "x" * 300_000}}}, "too large"),
        (
            {
                "properties": {"a": {"$ref": "#/$defs/A0"}},
                "$defs": {
                    **{
                        f"A{n}": {"properties": {name: {"$ref": f"#/$defs/A{n + 1}"} for name in "abc"}}
                        for n in range(18)
                    },
                    "A18": {},
                },
            },
            "too large|levels deep",
        ),
    ],
)
def test_hostile_schemas_are_refused(schema: JsonObject, complaint: str) -> None:
    with pytest.raises(BadSource, match=complaint):
        from_args_schema(schema)


_WORDS = st.sampled_from(
    [
        "type",
        "properties",
        "items",
        "$ref",
        "$defs",
        "anyOf",
        "allOf",
        "required",
        "a",
        "enum",
        "title",
        "not",
        "default",
    ]
)
_LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.sampled_from(["object", "string", "#/$defs/a", "#", "a"]),
    st.text(max_size=3),
)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_WORDS, _JSON, max_size=6))
def test_any_json_is_inlined_or_refused(schema: JsonObject) -> None:
    try:
        found = from_args_schema(schema)
    except BadSource:
        return
    assert found["type"] == "object"
    assert set(found["required"]) <= set(found["properties"])
    json.dumps(found, allow_nan=False).encode()
    assert from_args_schema(found) == found
