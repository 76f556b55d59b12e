"""JSON Patch (RFC 6902) for texts that are JSON."""

import json
from typing import NoReturn

import jsonpatch
import jsonpointer

from o.domain.blocks import EditRefused
from o.domain.json import JsonObject

_MOST_OPERATIONS = 200


def is_json_patch(patch: str) -> bool:
    """Whether a patch is meant to be one: no other form of patch begins with a bracket."""
    return patch.lstrip().startswith("[")


def apply_json_patch(value: str, patch: str, *, longest: int) -> str:
    """The text with all operations made in it, written as it was: on one line, or indented.

    Args:
        longest: characters that the text may have, also in between: copies of copies grow without bound.

    Raises:
        EditRefused: the text or the patch is no JSON, or an operation cannot be made.
    """
    operations = _parsed(patch, "the patch")
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise EditRefused("a JSON Patch is an array of objects with op, path and value.")
    if len(operations) > _MOST_OPERATIONS:
        raise EditRefused(f"the patch has {len(operations)} operations; {_MOST_OPERATIONS} are the most.")
    document = _parsed(value, "what the block says")
    for number, operation in enumerate(operations, 1):
        document = _made(document, operation, number)
        if operation.get("op") == "copy" and len(_written(document)) > longest:
            raise EditRefused(f"operation {number} of the patch makes the block longer than {longest} characters.")
    return _written(document, indent=2 if "\n" in value.strip() else None)


def _made(document: object, operation: JsonObject, number: int) -> object:
    try:
        made: object = jsonpatch.apply_patch(document, [operation], in_place=True)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, ValueError, RecursionError):
        # The library's words name its own types; the operation says more.
        shown = {name: operation[name] for name in ("op", "path", "from") if name in operation}
        raise EditRefused(
            f"operation {number} of the patch cannot be made: {json.dumps(shown, ensure_ascii=False)[:200]}."
        ) from None
    return made


def _parsed(text: str, name: str) -> object:
    try:
        parsed: object = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise EditRefused(f"{name} is nested too deeply.") from None
    except ValueError as error:
        raise EditRefused(f"{name} is not valid JSON: {error}.") from None
    return parsed


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object; of two members of one name the reader would drop one."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("two members of one object have the same name")
    return made


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _written(document: object, indent: int | None = None) -> str:
    try:
        return json.dumps(document, ensure_ascii=False, indent=indent, allow_nan=False)
    except (RecursionError, ValueError):
        raise EditRefused("the block would hold a number that JSON does not have, or be nested too deeply.") from None
