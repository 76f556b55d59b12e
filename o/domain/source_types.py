"""Type annotations as JSON schemas, read from the tree."""

import ast
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from o.domain.bad_source import BadSource
from o.domain.json import JsonObject
from o.domain.source_fields import FieldNotes, constrained, notes_of
from o.domain.source_tree import UNREADABLE, Scope, parse_annotation

_DEEPEST = 30
_MOST_PARTS = 5_000

_PLAIN: dict[str, JsonObject] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "None": {"type": "null"},
    "types.NoneType": {"type": "null"},
    "dict": {"type": "object"},
    "list": {"type": "array", "items": {}},
    "tuple": {"type": "array", "items": {}},
    "set": {"type": "array", "items": {}, "uniqueItems": True},
    "Any": {},
    "object": {},
    "datetime.datetime": {"type": "string", "format": "date-time"},
    "datetime.date": {"type": "string", "format": "date"},
    "datetime.time": {"type": "string", "format": "time"},
    "uuid.UUID": {"type": "string", "format": "uuid"},
    "decimal.Decimal": {"type": "string"},
    "pathlib.Path": {"type": "string", "format": "path"},
    "pydantic.PositiveInt": {"type": "integer", "exclusiveMinimum": 0},
    "pydantic.NonNegativeInt": {"type": "integer", "minimum": 0},
    "pydantic.PositiveFloat": {"type": "number", "exclusiveMinimum": 0},
    "pydantic.NonNegativeFloat": {"type": "number", "minimum": 0},
    "pydantic.EmailStr": {"type": "string", "format": "email"},
    "pydantic.HttpUrl": {"type": "string", "format": "uri"},
    "pydantic.AnyUrl": {"type": "string", "format": "uri"},
    "pydantic.AnyHttpUrl": {"type": "string", "format": "uri"},
}
_SAME = {
    **dict.fromkeys(("List", "Sequence", "MutableSequence", "Iterable", "Collection"), "list"),
    **dict.fromkeys(("Set", "FrozenSet", "frozenset", "AbstractSet", "MutableSet"), "set"),
    **dict.fromkeys(("Dict", "Mapping", "MutableMapping"), "dict"),
    "Tuple": "tuple",
    "NoneType": "None",
    "AnyStr": "str",
    "LiteralString": "str",
}
_WRAPPERS = frozenset({"Final", "Required", "NotRequired", "ReadOnly"})


@dataclass(frozen=True, slots=True)
class TypeSchema:
    """What an annotation says.

    Attributes:
        schema: of its values other than None.
        nullable: whether None is one of them, beside others.
        notes: what `Annotated` adds.
    """

    schema: JsonObject
    nullable: bool = False
    notes: FieldNotes = field(default_factory=FieldNotes)

    @property
    def whole(self) -> JsonObject:
        """The schema of all its values."""
        if not self.nullable or not self.schema:
            return self.schema
        return {"anyOf": [*_alternatives(self.schema), {"type": "null"}]}


ClassReader = Callable[["TypeReader", ast.ClassDef, str], JsonObject]


class TypeReader:
    """Reads annotations of one source. Every refusal begins with `where`, which names the function and parameter.

    Args:
        read_class: gives the schema of a class that the source defines.
    """

    def __init__(self, scope: Scope, read_class: ClassReader) -> None:
        self.scope = scope
        self._read_class = read_class
        self._within: list[str] = []
        self._depth = 0
        self._spent = 0
        # Classes that were read, and how many parts each came to.
        self._known: dict[str, tuple[JsonObject, int]] = {}

    def read(self, node: ast.expr, where: str) -> TypeSchema:
        """What an annotation says.

        Raises:
            BadSource: it is no type that JSON has an equal of.
        """
        with self._deeper(where):
            if isinstance(node, ast.Constant):
                if node.value is None:
                    return TypeSchema({"type": "null"})
                if isinstance(node.value, str):
                    self.spend(len(node.value) // 20, where)
                    return self.read(parse_annotation(node.value, where), where)
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
                return self._union(_operands(node), where)
            if isinstance(node, ast.Subscript):
                return self._subscript(node, where)
            return self._name(node, where)

    @contextmanager
    def _deeper(self, where: str) -> Iterator[None]:
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                raise BadSource(f"{where}: the type is nested too deeply, or refers to itself")
            self.spend(1, where)
            yield
        finally:
            self._depth -= 1

    def spend(self, parts: int, where: str) -> None:
        """Count parts of the schema: a few lines of source can describe more than fits into any memory.

        Raises:
            BadSource: there are too many.
        """
        self._spent += parts
        if self._spent > _MOST_PARTS:
            raise BadSource(f"{where}: the types of this source come to more than {_MOST_PARTS} parts")

    def _name(self, node: ast.expr, where: str) -> TypeSchema:
        name = self.scope.qualified(node)
        if name is None:
            raise BadSource(f"{where}: '{_words(node)}' is no type")
        if isinstance(node, ast.Name) and node.id in self.scope.classes:
            return TypeSchema(self._class(self.scope.classes[node.id], where))
        if isinstance(node, ast.Name) and node.id in self.scope.values:
            return self._alias(self.scope.values[node.id], where)
        plain = _PLAIN.get(_SAME.get(name, name))
        if plain is None:
            raise BadSource(
                f"{where}: the type '{_words(node)}' is not known here: use str, int, float, bool, list, dict, "
                "Literal, Optional, or an enum, dataclass, TypedDict or pydantic model that the source itself defines"
            )
        return TypeSchema(dict(plain))

    def _alias(self, value: ast.expr, where: str) -> TypeSchema:
        if isinstance(value, ast.Call):
            if self.scope.qualified(value.func) == "NewType" and len(value.args) == 2:
                return self.read(value.args[1], where)
            raise BadSource(f"{where}: '{_words(value.func)}(…)' makes a type that only running the source would give")
        return self.read(value, where)

    def _class(self, definition: ast.ClassDef, where: str) -> JsonObject:
        if definition.name in self._within:
            raise BadSource(
                f"{where}: the type '{definition.name[:60]}' contains itself, which not every model can be shown: "
                "use dict for the inner one"
            )
        if definition.name in self._known:
            schema, cost = self._known[definition.name]
            self.spend(cost, where)
            return schema
        before = self._spent
        self._within.append(definition.name)
        try:
            schema = self._read_class(self, definition, where)
        finally:
            self._within.pop()
        self._known[definition.name] = schema, self._spent - before
        return schema

    def _subscript(self, node: ast.Subscript, where: str) -> TypeSchema:
        name = self.scope.qualified(node.value) or ""
        inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        kind = _SAME.get(name, name)
        if kind in _WRAPPERS:
            return self.read(node.slice, where)
        match kind:
            case "Optional":
                return replace(self.read(node.slice, where), nullable=True)
            case "Union":
                return self._union(inner, where)
            case "Annotated":
                return self._annotated(inner, where)
            case "Literal":
                return self._literal(inner, where)
            case "list" | "set" if len(inner) == 1:
                return TypeSchema({**_PLAIN[kind], "items": self.read(inner[0], where).whole})
            case "dict" if len(inner) == 2:
                return self._dict(inner[0], inner[1], where)
            case "tuple":
                return self._tuple(inner, where)
        raise BadSource(f"{where}: the type '{_words(node)}' cannot be written as a JSON schema")

    def _annotated(self, inner: list[ast.expr], where: str) -> TypeSchema:
        found = self.read(inner[0], where)
        for extra in inner[1:]:
            notes = notes_of(extra, self.scope)
            found = TypeSchema(constrained(found.schema, notes), found.nullable, found.notes.updated(notes))
        return found

    def _literal(self, inner: list[ast.expr], where: str) -> TypeSchema:
        self.spend(len(inner), where)
        values = [self.scope.value(each) for each in inner]
        if any(value is UNREADABLE or isinstance(value, list | dict) for value in values):
            raise BadSource(f"{where}: Literal takes plain strings, numbers and booleans")
        kept = [value for value in values if value is not None]
        return TypeSchema(enumeration(kept) if kept else {"type": "null"}, bool(kept) and None in values)

    def _dict(self, key: ast.expr, value: ast.expr, where: str) -> TypeSchema:
        keys = self.read(key, where).schema
        if keys.get("type") != "string" and keys:
            raise BadSource(f"{where}: the keys of a dict are strings in JSON: use dict[str, …]")
        values = self.read(value, where).whole
        schema: JsonObject = {"type": "object", "additionalProperties": values or True}
        if "enum" in keys:
            schema["propertyNames"] = {"enum": keys["enum"]}
        return TypeSchema(schema)

    def _tuple(self, inner: list[ast.expr], where: str) -> TypeSchema:
        if len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is Ellipsis:
            return TypeSchema({"type": "array", "items": self.read(inner[0], where).whole})
        places = [self.read(each, where).whole for each in inner]
        # prefixItems is what says it exactly; items is for the vendors that know no other word.
        schema = {"prefixItems": places} if len(_distinct(places)) > 1 else {}
        return TypeSchema(
            {"type": "array", **schema, "items": _either(places), "minItems": len(places), "maxItems": len(places)}
        )

    def _union(self, inner: list[ast.expr], where: str) -> TypeSchema:
        members = [self.read(each, where) for each in inner]
        schemas = [part for each in members for part in _alternatives(each.schema)]
        kept = [schema for schema in schemas if schema != {"type": "null"}]
        nullable = any(each.nullable for each in members) or len(kept) < len(schemas)
        if not kept:
            return TypeSchema({"type": "null"})
        notes = next((each.notes for each in members if each.notes.description), FieldNotes())
        return TypeSchema(_either(kept), nullable, notes)


def enumeration(values: list[object]) -> JsonObject:
    """The schema of one of these values."""
    names = {bool: "boolean", str: "string", int: "integer", float: "number"}
    types = list(dict.fromkeys(names[type(value)] for value in values if type(value) in names))
    return {"type": types[0], "enum": values} if len(types) == 1 else {"enum": values}


def _alternatives(schema: JsonObject) -> list[JsonObject]:
    return list(schema["anyOf"]) if schema.keys() == {"anyOf"} else [schema]


def _distinct(schemas: list[JsonObject]) -> list[JsonObject]:
    found: dict[str, JsonObject] = {}
    for schema in schemas:
        found.setdefault(json.dumps(schema, sort_keys=True), schema)
    return list(found.values())


def _operands(node: ast.expr) -> list[ast.expr]:
    """All operands of `A | B | C`."""
    found: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        found.append(node.right)
        node = node.left
    return [node, *reversed(found)]


def _either(schemas: list[JsonObject]) -> JsonObject:
    distinct = _distinct(schemas)
    if {} in distinct or not distinct:
        return {}
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _words(node: ast.expr) -> str:
    """The expression as it was written, shortened."""
    try:
        text = ast.unparse(node)
    except (RecursionError, ValueError):
        return "…"
    return text if len(text) <= 60 else f"{text[:59]}…"
