"""JSON schemas from outside (pydantic's, an MCP server's) as parameters that every vendor of models understands."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from o.domain.bad_source import BadSource
from o.domain.json import JsonObject
from o.domain.schema_words import check_word, modern, without_choices

MAX_SCHEMA = 262_144  # characters of JSON, about
_DEEPEST = 40
_DROPPED = frozenset(
    {"$anchor", "$comment", "$defs", "$id", "$ref", "$schema", "$vocabulary", "definitions", "discriminator"}
    | {"id", "title"}
)
_ONE = frozenset(
    {"additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"}
    | {"unevaluatedItems", "unevaluatedProperties"}
)
_SEVERAL = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED = frozenset({"dependentSchemas", "patternProperties", "properties"})
# What every vendor takes as the name of an argument.
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_UNKNOWN_REFERENCES = frozenset({"$dynamicRef", "$recursiveRef"})


def from_args_schema(schema: JsonObject) -> JsonObject:
    """The parameters of a tool whose arguments this schema describes: references inlined, titles left out.

    Raises:
        BadSource: it is no schema of an object, refers to itself or elsewhere, or is too large or too deep.
    """
    checked(schema)
    found = _Inliner(schema).schema(schema, "schema")
    if found.get("type", "object") != "object":
        raise BadSource('the schema of the arguments must be of type "object"')
    flat = without_choices(found)
    properties = flat["properties"]
    for name in properties:
        if not _NAME.fullmatch(name):
            raise BadSource(
                f"schema.properties: an argument is called '{name[:100]}', which not every model can be told: "
                "use letters, digits, '_', '.' and '-', 64 at most"
            )
    required = [name for name in flat["required"] if name in properties]
    result = {**flat, "type": "object", "properties": properties, "required": required}
    checked(result)
    return result


def checked(document: object) -> None:
    """Refuse JSON that could not be stored, sent or shown to a model.

    Raises:
        BadSource: too large, too deep, no JSON, or with characters that no database takes.
    """
    left = MAX_SCHEMA
    waiting: list[tuple[object, int]] = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        left -= 2
        if isinstance(value, str):
            _check_text(value)
            left -= len(value)
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise BadSource("the schema contains a number that is no JSON (NaN or infinity)")
            left -= 8
        elif isinstance(value, int):  # bool too
            if abs(value) >= 2**63:
                raise BadSource("the schema contains a whole number of more than 64 bits")
            left -= 8
        elif isinstance(value, dict):
            for name, inner in value.items():
                if not isinstance(name, str):
                    raise BadSource("the schema is no JSON: the keys of its objects must be strings")
                waiting += [(name, depth), (inner, depth + 1)]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in value]
        elif value is not None:
            raise BadSource("the schema is no JSON")
        if depth > _DEEPEST:
            raise BadSource(f"the schema is nested more than {_DEEPEST} levels deep")
        if left < 0:
            raise BadSource(f"the schema is too large: more than {MAX_SCHEMA} characters with what it refers to")


def _check_text(text: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise BadSource("the schema contains a NUL character or half of a character pair in a text")


class _Inliner:
    """Puts what a schema refers to in the place of the reference."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._open: list[str] = []
        self._depth = 0
        self._left = MAX_SCHEMA // 4

    def schema(self, node: object, where: str) -> JsonObject:
        """One schema, inlined. `where` is its path for messages."""
        if isinstance(node, bool):
            return {} if node else {"not": {}}
        if not isinstance(node, dict):
            raise BadSource(f"{where}: must be a schema (an object), not {type(node).__name__}")
        with self._deeper(where):
            node = modern(node)
            found = {name: self._keyword(name, value, where) for name, value in node.items() if name not in _DROPPED}
            if _UNKNOWN_REFERENCES & node.keys():
                raise BadSource(f"{where}: dynamic references cannot be followed: use $ref")
            if "$ref" in node:
                found = {**self._referred(node["$ref"], where), **found}
            return _merged(found, where)

    @contextmanager
    def _deeper(self, where: str) -> Iterator[None]:
        self._depth += 1
        self._left -= 1
        try:
            if self._depth > _DEEPEST:
                raise BadSource(f"{where}: nested more than {_DEEPEST} levels deep")
            if self._left < 0:
                raise BadSource("the schema is too large with what it refers to")
            yield
        finally:
            self._depth -= 1

    def _keyword(self, name: str, value: object, where: str) -> object:
        here = f"{where}.{name}"
        if name in _NAMED:
            if not isinstance(value, dict):
                raise BadSource(f"{here}: must be an object of schemas")
            return {key: self.schema(inner, f"{here}.{key}"[:200]) for key, inner in value.items()}
        if name in _SEVERAL:
            if not isinstance(value, list) or (not value and name != "prefixItems"):
                raise BadSource(f"{here}: must be a list of schemas")
            return [self.schema(inner, f"{here}[{index}]") for index, inner in enumerate(value)]
        if name == "additionalProperties" and isinstance(value, bool):
            return value
        if name in _ONE:
            return self.schema(value, here)
        check_word(name, value, here)
        return value

    def _referred(self, reference: object, where: str) -> JsonObject:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise BadSource(f"{where}: $ref may only refer to a place in the same schema, as #/$defs/Name")
        if reference in self._open:
            raise BadSource(
                f"{where}: the schema refers to itself at {reference[:100]}, which not every model can be shown"
            )
        target: object = self._root
        for part in reference[1:].split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or key not in target:
                raise BadSource(f"{where}: there is no {reference[:100]} in this schema")
            target = target[key]
        self._open.append(reference)
        try:
            return self.schema(target, reference[:100])
        finally:
            self._open.pop()


def _merged(schema: JsonObject, where: str) -> JsonObject:
    """A schema with its `allOf` folded in, where that is plain: pydantic writes one to say more about a reference."""
    parts = schema.get("allOf")
    if parts is None:
        return schema
    rest = {name: value for name, value in schema.items() if name != "allOf"}
    together: JsonObject = {}
    for part in [*parts, rest]:
        for name, value in part.items():
            if name == "properties" and name in together:
                together[name] = {**together[name], **value}
            elif name == "required" and name in together:
                together[name] = list(dict.fromkeys([*together[name], *value]))
            elif name in together and together[name] != value and name != "description":
                return schema
            else:
                together[name] = value
    return together
