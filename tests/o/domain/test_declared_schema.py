"""Schemas and limits that people write themselves."""

from typing import Any

import pytest
from pydantic import ValidationError

from o.domain.declared_schema import checked_schema
from o.domain.tool_limits import ToolLimits
from o.errors import InvalidArgument

EMPTY = {"type": "object", "properties": {}}


def test_what_a_schema_leaves_out_is_added() -> None:
    assert checked_schema({}, name="a") == {"name": "a", "description": "", "parameters": EMPTY}
    given = {
        "name": "b",
        "description": "B.",
        "parameters": {"type": "object", "properties": {"x": {}}},
        "strict": True,
    }
    assert checked_schema(given, name="a") == given


def test_references_are_inlined() -> None:
    point = {"type": "object", "properties": {"x": {"type": "integer"}}}
    parameters = {
        "type": "object",
        "properties": {"at": {"$ref": "#/$defs/Point"}},
        "$defs": {"Point": point},
        "required": ["at"],
    }
    found = checked_schema({"parameters": parameters}, name="a")["parameters"]
    assert found["properties"]["at"]["properties"] == point["properties"] and "$ref" not in str(found)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"name": ""}, "json_schema.name: must be letters"),
        ({"name": "1a"}, "json_schema.name: must be letters"),
        ({"name": "a b"}, "json_schema.name: must be letters"),
        ({"name": "a\n"}, "json_schema.name: must be letters"),
        ({"name": "é"}, "json_schema.name: must be letters"),
        ({"name": ["a"]}, "json_schema.name: must be letters"),
        ({"name": "a" * 49}, "longer than 48"),
        ({"parameters": "x"}, "json_schema.parameters: must be"),
        ({"parameters": {"type": "string"}}, "json_schema.parameters: must be"),
        ({"parameters": {"type": "object", "properties": []}}, "properties must be an object"),
        ({"parameters": {"type": "object", "required": "x"}}, "required a list"),
        ({"description": 5}, "json_schema.description: "),
        ({"parameters": {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}}}, "itself"),
    ],
)
def test_a_schema_that_cannot_be_is_refused(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        checked_schema(schema, name="a")


def test_the_longest_name_is_taken() -> None:
    assert checked_schema({"name": "a-_" * 16}, name=None)["name"] == "a-_" * 16


@pytest.mark.parametrize("host", ["api.x.test", "*.x.test", "x.test:8443", "[::1]:80", "127.0.0.1", "bücher.test"])
def test_hosts_are_names_with_or_without_a_port(host: str) -> None:
    assert ToolLimits(network=(host,)).network == (host,)


@pytest.mark.parametrize(
    "host", ["", "http://x.test", "x.test/y", "a b", "x.test:", "u@x.test", "x?y", "*", "x:123456"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValidationError):
        ToolLimits(network=(host,))


@pytest.mark.parametrize("limit", [{"timeout": -1}, {"timeout": float("inf")}, {"memory": "64"}, {"cpus": 1}])
def test_limits_have_ranges_and_known_names(limit: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ToolLimits.model_validate(limit)
