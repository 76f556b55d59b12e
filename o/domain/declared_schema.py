"""What a model is told of a tool: name, description and parameters, checked where people give them themselves."""

import re

from o.domain.json import JsonObject
from o.domain.schema_words import has_choices
from o.domain.tool_source import from_args_schema
from o.errors import InvalidArgument

MAX_NAME = 48
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def checked_name(name: object) -> str:
    """A tool's name: what every vendor takes. Raises InvalidArgument."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgument("json_schema.name: must be letters, digits, _ and -, and begin with a letter or _")
    if len(name) > MAX_NAME:
        raise InvalidArgument(
            f"json_schema.name: '{name[:MAX_NAME]}…' is longer than {MAX_NAME} characters; shorten it"
        )
    return name


def checked_schema(given: JsonObject, *, name: str | None) -> JsonObject:
    """A schema somebody wrote, complete; `name` is its name where it says none.

    Parameters that refer to definitions get them inlined, and choices at their top folded: not every vendor follows
    the one and takes the other.

    Raises:
        InvalidArgument: it has no usable name, or its parameters are no schema of an object, refer in circles, or
            say what vendors of models refuse.
    """
    parameters = {"type": "object", "properties": {}} if given.get("parameters") is None else given["parameters"]
    description = "" if given.get("description") is None else given["description"]
    if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
        raise InvalidArgument("json_schema.parameters: must be a JSON schema of type object, with properties")
    if not isinstance(parameters.get("properties", {}), dict) or not isinstance(parameters.get("required", []), list):
        raise InvalidArgument("json_schema.parameters: properties must be an object, and required a list of names")
    if not isinstance(description, str):
        raise InvalidArgument("json_schema.description: must be a text")
    usable = from_args_schema(parameters)
    if _refers(parameters) or has_choices(parameters):
        parameters = usable
    return {
        **given,
        "name": checked_name(given.get("name", name)),
        "description": description,
        "parameters": parameters,
    }


def _refers(node: object) -> bool:
    if isinstance(node, dict):
        return "$ref" in node or any(map(_refers, node.values()))
    return isinstance(node, list) and any(map(_refers, node))
