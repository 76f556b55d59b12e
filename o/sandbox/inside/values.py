"""From what a tool returns to plain JSON, and from JSON to the models that its parameters ask for."""

import contextlib
import dataclasses
import enum
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

_DEEPEST = 64
_INTEGERS = range(-(2**63), 2**64)
# Modules whose types are written as text in JSON.
_CONVERTED = frozenset({"datetime", "decimal", "pathlib", "uuid"})


class Unreturnable(Exception):
    """The value cannot be written as JSON; says why."""


def plain(value: Any, depth: int = 0) -> Any:
    """The value as dict, list, str, int, float, bool or None; what is none of them becomes its `str`.

    Raises:
        Unreturnable: it is nested too deeply, or contains itself.
        Exception: whatever its own `__str__` or dump raises.
    """
    if depth > _DEEPEST:
        raise Unreturnable(f"the value is nested deeper than {_DEEPEST} levels")
    if value is None or type(value) in (bool, str, float):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, int):
        return int(value) if value in _INTEGERS else str(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {_key(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name), depth + 1) for each in dataclasses.fields(value)}
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return plain(value.model_dump(mode="json"), depth + 1)
    return str(value)


def arguments(function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the annotations ask for them: models, dataclasses, enums, sets, dates; JSON's own types stay.

    A parameter that may be None and has no default is None where it is not given: models need not give it.

    Raises:
        pydantic.ValidationError, ValueError: an argument is none of what its annotation names.
    """
    hints = _hints(function)
    ready = {name: _built(hints[name], value) if name in hints else value for name, value in given.items()}
    for name, parameter in inspect.signature(function).parameters.items():
        absent = name not in given and parameter.default is parameter.empty
        if absent and type(None) in typing.get_args(hints.get(name)):
            ready[name] = None
    return ready


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of the parameters, each read by itself: one that names what is not there spoils no other."""
    inner = inspect.unwrap(function)
    found: dict[str, Any] = {}
    for name, annotation in getattr(inner, "__annotations__", {}).items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        with contextlib.suppress(NameError, TypeError, AttributeError, SyntaxError):
            found |= typing.get_type_hints(holder, getattr(inner, "__globals__", {}), include_extras=True)
    return found


def _built(hint: Any, value: Any) -> Any:
    if not _asks_for_more(hint):
        return value
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(value)
    # Only now: it takes longer to load than most tools take to run. A tool may bring another module of this name.
    import pydantic  # noqa: PLC0415

    adapter = getattr(pydantic, "TypeAdapter", None)
    return value if adapter is None else adapter(hint).validate_python(value)


def _key(key: Any) -> str:
    return key if type(key) is str else str(plain(key))


def _asks_for_more(hint: Any) -> bool:
    """Whether an annotation names what JSON has no type for."""
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return False
    if typing.get_origin(hint) in (set, frozenset, tuple):
        return True
    if not isinstance(hint, type) or inner:
        return any(_asks_for_more(each) for each in inner)
    if dataclasses.is_dataclass(hint) or hint.__module__ in _CONVERTED:
        return True
    pydantic = sys.modules.get("pydantic")
    model = getattr(pydantic, "BaseModel", ())
    return issubclass(hint, (enum.Enum, set, frozenset, tuple, model) if model else (enum.Enum, set, frozenset, tuple))
