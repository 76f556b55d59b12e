"""Reads what a call wrote as its result. The bytes are hostile: they are parsed as data or rejected."""

import json
import math
import struct
from dataclasses import dataclass
from typing import Any

from o.domain.json import JsonObject

_LENGTH = struct.Struct("!I")
_DEEPEST = 80
_INTEGERS = range(-(2**63), 2**64)
_OUTCOMES = ("returned", "raised", "bad_result")
_LONGEST_ERROR = 1200  # characters


class BadResult(Exception):
    """The bytes are no result; says why, in our words."""


@dataclass(frozen=True)
class Document:
    """What the call says about itself; only its form is certain."""

    outcome: str
    value: Any
    error: str | None
    agent_state: JsonObject | None


def read(data: bytes) -> Document:
    """The one document in `data`.

    Raises:
        BadResult: no document, more than one, or one that cannot be taken for plain JSON.
    """
    if len(data) < _LENGTH.size:
        raise BadResult("the call ended without a result")
    body = data[_LENGTH.size :]
    if len(body) != _LENGTH.unpack_from(data)[0]:
        raise BadResult("the call wrote something else than one result")
    document = parse(body)
    if not isinstance(document, dict) or document.get("outcome") not in _OUTCOMES:
        raise BadResult("the result is not of the agreed form")
    error, state = document.get("error"), document.get("agent_state")
    if not isinstance(error, str | None) or not isinstance(state, dict | None):
        raise BadResult("the result is not of the agreed form")
    return Document(document["outcome"], document.get("value"), error and error[:_LONGEST_ERROR], state)


def parse(body: bytes) -> Any:
    """Strict JSON that Postgres and every later reader can hold. Raises BadResult."""
    try:
        document = json.loads(body.decode(), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise BadResult("the result is not UTF-8") from None
    except RecursionError:
        raise BadResult(f"the result is nested deeper than {_DEEPEST} levels") from None
    except ValueError as error:  # numbers with too many digits as well
        raise BadResult("the result is not JSON") from error
    return _clean(document, 0)


def _refuse(word: str) -> None:
    raise BadResult(f"the result contains {word}, which JSON has no number for")


def _clean(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise BadResult(f"the result is nested deeper than {_DEEPEST} levels")
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(key): _clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise BadResult("the result contains a number that is too large")
    if isinstance(value, int) and value not in _INTEGERS:
        raise BadResult("the result contains a whole number of more than 64 bits")
    return value


def _text(text: str) -> str:
    """The text without NUL and lone surrogates, which neither Postgres nor UTF-8 can hold."""
    if text.isascii():
        return text.replace("\0", "�")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "�")
