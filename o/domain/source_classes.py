"""Classes that a source defines, as JSON schemas: enums, pydantic models, dataclasses and TypedDicts."""

import ast
from dataclasses import dataclass, replace
from typing import Literal

from o.domain.bad_source import BadSource
from o.domain.docstrings import read as read_docstring
from o.domain.json import JsonObject
from o.domain.source_fields import MISSING, FieldNotes, constrained, notes_of
from o.domain.source_tree import UNREADABLE, Scope, assigned
from o.domain.source_types import TypeReader, TypeSchema, enumeration

_Kind = Literal["enum", "model", "typed_dict", "dataclass"]
_BASES: dict[str, _Kind] = {
    **dict.fromkeys(("enum.Enum", "enum.IntEnum", "enum.StrEnum", "Enum", "IntEnum", "StrEnum"), "enum"),
    **dict.fromkeys(("pydantic.BaseModel", "pydantic.main.BaseModel", "BaseModel"), "model"),
    "TypedDict": "typed_dict",
}
_MOST_BASES = 50
_DATACLASSES = frozenset({"dataclass", "dataclasses.dataclass", "pydantic.dataclasses.dataclass"})


def read_class(reader: TypeReader, definition: ast.ClassDef, where: str) -> JsonObject:
    """The schema of a class of the source.

    Raises:
        BadSource: JSON has no equal of its instances.
    """
    kind = _kind(definition, reader.scope)
    if kind == "enum":
        return _enum(reader, definition, where)
    if kind is None:
        raise BadSource(
            f"{where}: the class '{definition.name[:60]}' is no enum, dataclass, TypedDict or pydantic model, so no "
            "model can write one"
        )
    return _object(reader, definition, kind, where)


def object_schema(properties: dict[str, JsonObject], required: list[str]) -> JsonObject:
    """The schema of an object."""
    return {"type": "object", "properties": properties, "required": required}


def property_schema(found: TypeSchema, notes: FieldNotes, *, required: bool) -> JsonObject:
    """The schema of one property: its type, narrowed, described, with its default if that can be shown."""
    default = notes.default
    absent_is_none = not required and default in (None, MISSING)
    narrowed = replace(found, schema=constrained(found.schema, notes))
    schema = dict(narrowed.schema if absent_is_none else narrowed.whole)
    if notes.description:
        schema["description"] = notes.description
    if default is not None and default is not MISSING and default is not UNREADABLE:
        schema["default"] = default
    return schema


def _bases(definition: ast.ClassDef, scope: Scope) -> list[ast.ClassDef]:
    """The class and those of its bases that the source defines, the farthest first."""
    found: list[ast.ClassDef] = []
    waiting = [definition]
    while waiting and len(found) < _MOST_BASES:
        each = waiting.pop()
        if each in found:
            continue
        found.append(each)
        waiting += [
            scope.classes[base.id] for base in each.bases if isinstance(base, ast.Name) and base.id in scope.classes
        ]
    return found[::-1]


def _kind(definition: ast.ClassDef, scope: Scope) -> _Kind | None:
    for each in _bases(definition, scope):
        for base in each.bases:
            if found := _BASES.get(scope.qualified(base) or ""):
                return found
        for decorator in each.decorator_list:
            named = decorator.func if isinstance(decorator, ast.Call) else decorator
            if scope.qualified(named) in _DATACLASSES:
                return "dataclass"
    return None


def _enum(reader: TypeReader, definition: ast.ClassDef, where: str) -> JsonObject:
    scope = reader.scope
    values: list[object] = []
    largest = 0
    strings = any((scope.qualified(base) or "").endswith("StrEnum") for base in definition.bases)
    for name, node in assigned(definition.body):
        if name.startswith("_"):
            continue
        reader.spend(1, where)
        call = isinstance(node, ast.Call) and scope.qualified(node.func) in ("enum.auto", "auto")
        value = (name.lower() if strings else largest + 1) if call else scope.value(node)
        if value is UNREADABLE or isinstance(value, list | dict):
            raise BadSource(
                f"{where}: the value of '{definition.name[:60]}.{name[:60]}' is no plain string, number or boolean"
            )
        values.append(value)
        largest = max(largest, value) if type(value) is int else largest
    if not values:
        raise BadSource(f"{where}: the enum '{definition.name[:60]}' has no members")
    return enumeration(values)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    annotation: ast.expr
    value: ast.expr | None
    required: bool | None  # what TypedDict says; None elsewhere


def _object(reader: TypeReader, definition: ast.ClassDef, kind: _Kind, where: str) -> JsonObject:
    fields: dict[str, _Field] = {}
    descriptions: dict[str, str] = {}
    text = ""
    for base in _bases(definition, reader.scope):
        fields |= {each.name: each for each in _fields(base, kind, reader.scope)}
        said = read_docstring(ast.get_docstring(base) or "", fields.keys())
        descriptions |= said.parameters
        text = said.text
    properties: dict[str, JsonObject] = {}
    required: list[str] = []
    for each in fields.values():
        place = f"{where}: '{definition.name}.{each.name}'"[:300]
        found = reader.read(each.annotation, place)
        notes = FieldNotes(description=descriptions.get(each.name)).updated(found.notes)
        if each.value is not None:
            notes = notes.updated(_value_notes(each.value, reader.scope))
        needed = notes.default is MISSING if each.required is None else each.required
        name = notes.alias or each.name
        # A required value that may be None must be sent, as null.
        properties[name] = property_schema(found, notes, required=needed)
        if needed:
            required.append(name)
    schema = object_schema(properties, required)
    return {**schema, "description": text} if text else schema


def _value_notes(value: ast.expr, scope: Scope) -> FieldNotes:
    if isinstance(value, ast.Call):
        kind = (scope.qualified(value.func) or "").rsplit(".", 1)[-1]
        if kind in ("Field", "field"):
            return notes_of(value, scope)
    return FieldNotes(default=scope.value(value))


def _fields(definition: ast.ClassDef, kind: _Kind, scope: Scope) -> list[_Field]:
    total = not any(
        word.arg == "total" and isinstance(word.value, ast.Constant) and word.value.value is False
        for word in definition.keywords
    )
    found: list[_Field] = []
    for member in definition.body:
        if not isinstance(member, ast.AnnAssign) or not isinstance(member.target, ast.Name):
            continue
        name, annotation = member.target.id, member.annotation
        outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
        wrapper = (scope.qualified(outer) or "").rsplit(".", 1)[-1]
        if wrapper in ("ClassVar", "InitVar", "PrivateAttr") or name == "model_config":
            continue
        if kind == "model" and name.startswith("_"):
            continue
        required = {"Required": True, "NotRequired": False}.get(wrapper, total) if kind == "typed_dict" else None
        found.append(_Field(name, annotation, member.value, required))
    return found
