"""What the words of JSON schema may say: vendors hold schemas against draft 2020-12 and refuse a whole request for one.

Schemas of older drafts are brought up to it where that is plain.
"""

from o.domain.bad_source import BadSource
from o.domain.json import JsonObject

TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_NUMBERS = frozenset({"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"})
_COUNTS = frozenset(
    {"maxContains", "maxItems", "maxLength", "maxProperties", "minContains", "minItems", "minLength", "minProperties"}
)
_TEXTS = frozenset({"contentEncoding", "contentMediaType", "description", "format", "pattern"})
_FLAGS = frozenset({"deprecated", "readOnly", "uniqueItems", "writeOnly"})
# Choices that vendors refuse at the top of a tool's parameters, though within them they take them.
_CHOICES = ("allOf", "anyOf", "oneOf")
_CONDITIONS = frozenset({"const", "else", "enum", "if", "not", "then"})


def check_word(name: str, value: object, here: str) -> None:
    """Refuse what a keyword cannot say. `here` is its path for messages.

    Raises:
        BadSource: says what it must be.
    """
    texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
    if name == "type":
        said = value if isinstance(value, list) else [value]
        if not said or not all(each in TYPES for each in said):
            raise BadSource(f"{here}: must be the name of a type ({', '.join(TYPES)}), or a list of names")
    elif name == "required" and not texts:
        raise BadSource(f"{here}: must be a list of names")
    elif name == "enum" and not (isinstance(value, list) and value):
        raise BadSource(f"{here}: must be a list, and not an empty one")
    elif name in _TEXTS and not isinstance(value, str):
        raise BadSource(f"{here}: must be a text")
    elif name in _FLAGS and not isinstance(value, bool):
        raise BadSource(f"{here}: must be true or false")
    elif name in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise BadSource(f"{here}: must be a number")
    elif name in _COUNTS and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise BadSource(f"{here}: must be a whole number from 0")


def modern(schema: JsonObject) -> JsonObject:
    """A schema of an older draft in the words of today: draft 4's bounds that are flags, draft 7's lists of items."""
    found = dict(schema)
    for flag, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(found.get(flag), bool):
            excluded = found.pop(flag)
            if excluded and bound in found:
                found[flag] = found.pop(bound)
    if isinstance(found.get("items"), list):
        places, further = found.pop("items"), found.pop("additionalItems", {})
        found |= {"prefixItems": places, "items": further} if places else {"items": further}
    found.pop("additionalItems", None)  # says nothing where items is no list
    return found


def without_choices(schema: JsonObject) -> JsonObject:
    """The schema of an object with the choices at its top folded into it: what any of them has may be given, what all
    of them demand must be. It takes more than it did; whoever carries the call out still refuses the rest."""
    found = {name: value for name, value in schema.items() if name not in _CHOICES and name not in _CONDITIONS}
    properties = dict(found.get("properties", {}))
    required = list(found.get("required", []))
    for choice in _CHOICES:
        parts = [without_choices(part) for part in schema.get(choice, ())]
        for part in parts:
            properties = {**part["properties"], **properties}
        demands = [set(part["required"]) for part in parts]
        if demands:
            required += sorted(set.union(*demands) if choice == "allOf" else set.intersection(*demands))
    for condition in ("then", "else"):
        if condition in schema:
            properties = {**without_choices(schema[condition])["properties"], **properties}
    return {**found, "properties": properties, "required": list(dict.fromkeys(required))}


def has_choices(schema: JsonObject) -> bool:
    """Whether a schema has at its top what vendors refuse there."""
    return any(name in schema for name in (*_CHOICES, *_CONDITIONS))
