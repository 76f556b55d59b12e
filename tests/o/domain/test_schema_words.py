"""Schemas from outside, held to what vendors of models take: one they refuse breaks every request of its agent."""

import re

import pytest

from o.domain.bad_source import BadSource
from o.domain.declared_schema import checked_schema
from o.domain.json import JsonObject
from o.domain.tool_schemas import from_args_schema
from o.errors import InvalidArgument

TEXT: JsonObject = {"type": "string"}


def of(schema: JsonObject) -> JsonObject:
    return {"type": "object", "properties": {"a": schema}}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (of({"type": "any"}), "properties.a.type: must be the name of a type (array"),
        (of({"type": []}), "properties.a.type: must be the name of a type (array"),
        (of({"type": [{}]}), "properties.a.type: must be the name of a type (array"),
        (of({"type": "integer", "minimum": "1"}), "properties.a.minimum: must be a number"),
        (of({"type": "string", "maxLength": -1}), "properties.a.maxLength: must be a whole number"),
        (of({"type": "string", "minLength": True}), "properties.a.minLength: must be a whole number"),
        (of({"type": "string", "required": True}), "properties.a.required: must be a list of names"),
        (of({"enum": []}), "properties.a.enum: must be a list, and not an empty one"),
        (of({"type": "string", "pattern": 1}), "properties.a.pattern: must be a text"),
        (of({"type": "array", "uniqueItems": "yes"}), "properties.a.uniqueItems: must be true or false"),
        ({"type": "object", "properties": {"two words": TEXT}}, "an argument is called 'two words'"),
        ({"type": "object", "properties": {"n" * 65: TEXT}}, "an argument is called"),
        ({"type": "object", "properties": {"": TEXT}}, "an argument is called ''"),
    ],
)
def test_what_vendors_refuse_is_refused_with_its_place(schema: JsonObject, said: str) -> None:
    with pytest.raises(BadSource, match=re.escape(said)):
        from_args_schema(schema)
    with pytest.raises(InvalidArgument):
        checked_schema({"name": "f", "parameters": schema}, name=None)


CHOICES: list[tuple[JsonObject, dict[str, JsonObject], list[str]]] = [
    (
        {"anyOf": [{"properties": {"a": TEXT, "b": TEXT}, "required": ["a", "b"]}, {"required": ["b"]}]},
        {"a": TEXT, "b": TEXT},
        ["b"],
    ),
    (
        {"properties": {"a": TEXT}, "required": ["a"], "oneOf": [{"properties": {"a": {"const": "x"}, "c": TEXT}}]},
        {"a": TEXT, "c": TEXT},
        ["a"],
    ),
    (
        {"allOf": [{"properties": {"a": TEXT}, "required": ["a"], "x": 1}, {"properties": {"b": TEXT}, "x": 2}]},
        {"a": TEXT, "b": TEXT},
        ["a"],
    ),
    (
        {"properties": {"a": TEXT}, "if": {"required": ["a"]}, "then": {"properties": {"b": TEXT}}, "else": False},
        {"a": TEXT, "b": TEXT},
        [],
    ),
    ({"oneOf": [{"anyOf": [{"properties": {"a": TEXT}}]}], "not": {"required": ["a"]}}, {"a": TEXT}, []),
]


@pytest.mark.parametrize(("schema", "properties", "required"), CHOICES)
def test_choices_at_the_top_are_folded(
    schema: JsonObject, properties: dict[str, JsonObject], required: list[str]
) -> None:
    expected = {"type": "object", "properties": properties, "required": required}
    assert from_args_schema({"type": "object", **schema}) == expected
    assert checked_schema({"name": "f", "parameters": schema}, name=None)["parameters"] == expected


def test_older_drafts_are_brought_up_to_date() -> None:
    older = {"type": "number", "minimum": 1, "exclusiveMinimum": True, "maximum": 9, "exclusiveMaximum": False}
    assert from_args_schema(of(older))["properties"]["a"] == {"type": "number", "exclusiveMinimum": 1, "maximum": 9}
    pair = {"type": "array", "items": [TEXT, {"type": "integer"}], "additionalItems": False}
    made = from_args_schema(of(pair))
    expected = {"type": "array", "prefixItems": [TEXT, {"type": "integer"}], "items": {"not": {}}}
    assert made["properties"]["a"] == expected


def test_what_is_given_stays_as_it_is_where_vendors_take_it() -> None:
    parameters = of({"type": "string", "title": "A", "anyOf": [{"minLength": 1}, {"pattern": "x"}]})
    assert checked_schema({"name": "f", "parameters": parameters}, name=None)["parameters"] == parameters
