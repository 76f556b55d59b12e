"""What `Field(…)`, `field(…)` and the other notes of an annotation say about a value."""

import ast
from dataclasses import dataclass, field, replace

from o.domain.json import JsonObject
from o.domain.source_tree import UNREADABLE, Scope

_KEYWORDS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
    "multiple_of": "multipleOf",
    "pattern": "pattern",
    "regex": "pattern",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_items": "minItems",
    "max_items": "maxItems",
}
_LENGTHS = {
    "array": {"minLength": "minItems", "maxLength": "maxItems"},
    "object": {"minLength": "minProperties", "maxLength": "maxProperties"},
}
_APPLIES = {
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), ("integer", "number")
    ),
    **dict.fromkeys(("minLength", "maxLength", "pattern"), ("string",)),
    **dict.fromkeys(("minItems", "maxItems"), ("array",)),
    **dict.fromkeys(("minProperties", "maxProperties"), ("object",)),
}
# Notes of the annotated-types library whose arguments have no names.
_POSITIONAL = {
    "Gt": ("gt",),
    "Ge": ("ge",),
    "Lt": ("lt",),
    "Le": ("le",),
    "MultipleOf": ("multiple_of",),
    "MinLen": ("min_length",),
    "MaxLen": ("max_length",),
    "Len": ("min_length", "max_length"),
    "Interval": (),
}
_EMPTY = {"list": list, "dict": dict, "set": list, "tuple": list}


class Missing:
    """No default: the value is required."""


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class FieldNotes:
    """What is said about a field beside its type.

    Attributes:
        default: a JSON value, MISSING, or UNREADABLE for one that only running the source would give.
        constraints: keywords of JSON schema.
        alias: the name of the field in JSON, where it differs.
    """

    description: str | None = None
    default: object = MISSING
    constraints: JsonObject = field(default_factory=dict)
    alias: str | None = None

    def updated(self, other: "FieldNotes") -> "FieldNotes":
        """These notes with what the other ones say put over them."""
        return FieldNotes(
            other.description or self.description,
            self.default if other.default is MISSING else other.default,
            {**self.constraints, **other.constraints},
            other.alias or self.alias,
        )


def notes_of(node: ast.expr, scope: Scope) -> FieldNotes:
    """What one extra of `Annotated`, or the right side of a field, says; nothing if it is of an unknown kind."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return FieldNotes(description=node.value.strip() or None)
    if not isinstance(node, ast.Call):
        return FieldNotes()
    kind = (scope.qualified(node.func) or "").rsplit(".", 1)[-1]
    if kind == "Doc" and node.args:
        return notes_of(node.args[0], scope)
    if kind not in ("Field", "field", *_POSITIONAL):
        return FieldNotes()
    said = {word.arg: word.value for word in node.keywords if word.arg}
    if kind in _POSITIONAL:
        said |= dict(zip(_POSITIONAL[kind], node.args, strict=False))
    elif node.args:
        said["default"] = node.args[0]
    return _read(said, scope)


def constrained(schema: JsonObject, notes: FieldNotes) -> JsonObject:
    """A schema narrowed by what the notes say, as far as that is about values of its type."""
    kind = schema.get("type")
    found = dict(schema)
    for keyword, value in notes.constraints.items():
        keyword = _LENGTHS.get(str(kind), {}).get(keyword, keyword)
        if kind in _APPLIES[keyword]:
            found[keyword] = value
    return found


def _read(said: dict[str, ast.expr], scope: Scope) -> FieldNotes:
    notes = FieldNotes()
    description = scope.value(said["description"]) if "description" in said else None
    if isinstance(description, str):
        notes = replace(notes, description=description.strip() or None)
    for word in ("validation_alias", "alias"):
        alias = scope.value(said[word]) if word in said else None
        if isinstance(alias, str):
            notes = replace(notes, alias=alias)
            break
    values = {_KEYWORDS[word]: scope.value(node) for word, node in said.items() if word in _KEYWORDS}
    kept = {keyword: value for keyword, value in values.items() if _sensible(keyword, value)}
    return replace(notes, constraints=kept, default=_default(said, scope))


def _sensible(keyword: str, value: object) -> bool:
    return isinstance(value, str) if keyword == "pattern" else type(value) in (int, float)


def _default(said: dict[str, ast.expr], scope: Scope) -> object:
    if "default" in said:
        node = said["default"]
        return MISSING if isinstance(node, ast.Constant) and node.value is Ellipsis else scope.value(node)
    if "default_factory" not in said:
        return MISSING
    empty = _EMPTY.get(scope.qualified(said["default_factory"]) or "")
    return empty() if empty else UNREADABLE
