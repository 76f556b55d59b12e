"""Tool calls as models write them: the arguments as an object, the name as one of the tools; repaired where there is
one way to read them.

Strict JSON is taken as it is. What is not is repaired when nothing that was written gets lost and nothing is made up;
everything else is left to the model, as an error that it can read.
"""

import ast
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import NoReturn

import json_repair

from o.domain.json import JsonObject
from o.domain.messages import ToolCall

# The library looks ahead for every quote and bracket, so its work grows with their number times the length. Measured
# on hostile texts of many kinds: at this product it takes 0.4 s at worst, a call as models write it takes 0.1 ms.
_MOST_WORK = 2_000_000
_LONGEST = 65_536  # characters
_WRAPPED = 2  # times an object may be wrapped into a JSON string

_MARK = re.compile(r"""["'“”`{}\[\](),:/#\\]""")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
# Numbers, words, brackets, and signs that JSON has no use for: what a repair must leave as it was.
_TOKEN = re.compile(r"""\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[^\W\d_]+|_|[^\w\s"'`“”‘’(),:;\\]""")
# What stands bare for a value JSON does not have, and literals that were cut off: the library makes strings of them.
_NO_VALUE = re.compile(
    r"[:\[,]\s*(?:[-+]?(?:NaN|Infinity)|undefined|nil|nul?|tru?|fals?)\s*(?:[,\]}]|$)", re.IGNORECASE
)
# A string that was cut off before its first character, or is the empty end of a list: the library loses it.
_BARE_END = re.compile(r"""(?:[\[{,:]\s*["']|[\[,]\s*(?:""|''))\s*$""")
# The library is confused by escapes and strips strings of the line breaks they end with: meanwhile characters of the
# private use area stand for them.
_BLANKS = "nrtbf"
_ESCAPED = "\"\\/'" + _BLANKS
_PRIVATE = 0xE000
_STAND_IN = re.compile("[\ue000-\ue07f]")
_NAMESPACE = re.compile(r"^(?:functions?|tools?|default_api)[.:/]", re.IGNORECASE)
_KINDS = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse_constant)


def parse(text: str) -> object:
    """The value of a JSON text; line breaks within strings pass, NaN and infinities do not, for no vendor takes them.

    Raises:
        ValueError: not JSON, or nested too deeply.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def canonical(arguments: JsonObject) -> str:
    """Arguments as the JSON text that is stored: without half surrogate pairs, which Postgres cannot hold."""
    return json.dumps(arguments, ensure_ascii=False).encode("utf-8", "replace").decode()


def parse_arguments(call: ToolCall) -> JsonObject:
    """The arguments of a call as an object; nothing is repaired.

    Raises:
        ValueError: not JSON, or not an object; the text says which, for the model to read.
    """
    try:
        value = parse(call.arguments)
    except ValueError as error:
        raise ValueError(f"the arguments of {call.name} are not valid JSON: {error}") from None
    if not isinstance(value, dict):
        kind = _KINDS.get(type(value), "a number")
        raise ValueError(f"the arguments of {call.name} must be a JSON object, not {kind}")
    return value


def repaired_call(call: ToolCall, parameters: JsonObject, *, cut_off: bool = False) -> ToolCall:
    """The call with arguments that are a JSON object: as they came if they are one, else repaired.

    Repaired are code fences and prose around one object, single, typographic and missing quotes, trailing commas,
    Python's True, False and None, an object within a JSON string, and a missing end.

    Args:
        parameters: the tool's JSON schema. A repaired object that lacks a required argument, or has one the schema
            does not name, was read wrongly. Arguments that came as an object are not looked at: tools do that.
        cut_off: the reply ended at its token limit. Then a missing end is missing content, such as half a file to
            write, and nothing is repaired.

    Raises:
        ValueError: no object, or more than one way to read it; the text is for the model.
    """
    try:
        parse_arguments(call)
    except ValueError as error:
        problem = str(error)
    else:
        return call
    expected = f"Call {call.name} again with one JSON object and nothing else."
    if cut_off:
        raise ValueError(f"{problem}; the reply reached its token limit. {expected} Write less in one call.")
    try:
        arguments = unwrapped(call.arguments)
    except ValueError:
        raise ValueError(f"{problem}. {expected}") from None
    if wrong := misfit(arguments, parameters):
        raise ValueError(f"{problem}; as far as they can be read, {wrong}. {expected}")
    return replace(call, arguments=canonical(arguments))


def misfit(arguments: JsonObject, parameters: JsonObject) -> str | None:
    """What shows that repaired arguments were read wrongly: a required one is missing, or one is unknown.

    Where the schema does not say whether others may come, they may not: a misread text makes them.
    """
    properties, required = parameters.get("properties"), parameters.get("required")
    missing = [name for name in required if name not in arguments] if isinstance(required, list) else []
    if missing:
        return f"required arguments are missing: {', '.join(map(str, missing))}"
    if not isinstance(properties, dict) or parameters.get("additionalProperties") or "patternProperties" in parameters:
        return None
    unknown = [name for name in arguments if name not in properties]
    return f"the tool has no arguments named: {', '.join(unknown)}" if unknown else None


def unwrapped(text: str) -> JsonObject:
    """The one object in a text, which may be wrapped into a JSON string, a code fence or prose, or be broken.

    Raises:
        ValueError: there is none, there are several, or it can be read in more than one way.
    """
    for _ in range(_WRAPPED + 1):
        try:
            value = parse(text)
        except ValueError:
            break
        if isinstance(value, dict):
            return value
        if not isinstance(value, str):
            raise ValueError("no object")
        text = value
    if not text.strip():
        return {}
    start = text.find("{")
    before = text[: max(start, 0)].strip()
    quote = before if before in ("'", '"') else ""
    if start < 0 or (not quote and any(mark in before for mark in '"[]}')):
        raise ValueError("no object, or something else before it")
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        value = mended(text[start:].rstrip("` \t\r\n").removesuffix(quote))
    else:
        after = text[end:].lstrip("`}])\"' \t\r\n")
        if after.startswith((",", ":")) or any(mark in after for mark in '{["'):
            raise ValueError("more than one object, or an object that goes on after its end")
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def mended(text: str) -> JsonObject | list[object]:
    """The value of a broken JSON text that begins with a bracket.

    The library guesses; a guess counts only if it holds every word, number, bracket and sign of the text in their
    order, and more only in brackets closed at the end: two values of one name, rests after the end, comments and
    words it has no place for show that way.

    Raises:
        ValueError: it cannot be read, can be read in more than one way, or is too long to try.
    """
    if len(text) > _LONGEST or len(text) * len(_MARK.findall(text)) > _MOST_WORK:
        raise ValueError("too long to repair")
    if _NO_VALUE.search(text) or _BARE_END.search(text) or _STAND_IN.search(text):
        raise ValueError("a value that JSON cannot tell")
    escapes = {match.group(1)[0] for match in _ESCAPE.finditer(text)}
    if not escapes <= {*_ESCAPED, "u"} and escapes & {*_BLANKS}:
        raise ValueError("backslashes of which some may be meant as such, as in C:\\temp\\x")
    value = _restored(_guessed(_ESCAPE.sub(_guarded, text)))
    if not isinstance(value, dict | list):
        raise ValueError("no object")
    written, read = _tokens(_ESCAPE.sub(_unescaped, text)), _tokens(" ".join(_leaves(value)))
    if read[: len(written)] != written or not set(read[len(written) :]) <= {"}", "]"}:
        raise ValueError("something was lost or made up")
    return value


def _guessed(text: str) -> object:
    """The value of a Python literal, which needs no guess, or else the library's guess."""
    try:
        literal: object = ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return json_repair.loads(text, skip_json_loads=True, strict=True)
    return literal


def _restored(value: object) -> object:
    """The value with what stands in for escapes put back. Raises ValueError where it is no JSON."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (TypeError, RecursionError):
        raise ValueError("a value that JSON cannot tell") from None
    return parse(_STAND_IN.sub(_unguarded, text))


def _unguarded(match: re.Match[str]) -> str:
    sign = chr(ord(match.group()) - _PRIVATE)
    return sign if sign == "'" else f"\\{sign}"


def _guarded(match: re.Match[str]) -> str:
    escape = match.group(1)
    if len(escape) > 1:
        return char if (char := chr(int(escape[1:], 16))).isalnum() else match.group()
    return chr(_PRIVATE + ord(escape)) if escape in _ESCAPED else chr(_PRIVATE + ord("\\")) + escape


def tool_name(written: str, tools: Collection[str]) -> str | None:
    """The one tool that is meant by a name as a model wrote it; None where none or several could be.

    Case, hyphens, underscores, quotes, a pair of parentheses and a vendor's namespace (`functions.`) do not count.
    """
    if written in tools:
        return written
    key = _name_key(written)
    meant = [tool for tool in tools if _name_key(tool) == key] if key else []
    return meant[0] if len(meant) == 1 else None


def _name_key(name: str) -> str:
    bare = _NAMESPACE.sub("", name.strip("\"'` \t\r\n").removesuffix("()"))
    return re.sub(r"[-_\s]", "", bare).casefold()


def _tokens(text: str) -> list[str]:
    return [_token(match.group()) for match in _TOKEN.finditer(text)]


def _token(text: str) -> str:
    if text[0].isdecimal() and not re.match(r"0\d", text):  # 01234 is a code; as a number it would lose its zero
        return str(float(text))
    return {"none": "null"}.get(text.lower(), text.lower())


def _unescaped(match: re.Match[str]) -> str:
    escape = match.group(1)
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    return " " if escape in _BLANKS else f" {escape}"


def _leaves(value: object) -> Iterator[str]:
    match value:
        case dict():
            yield "{"
            for name, each in value.items():
                yield name
                yield from _leaves(each)
            yield "}"
        case list():
            yield "["
            for each in value:
                yield from _leaves(each)
            yield "]"
        case bool() | None:
            yield json.dumps(value)
        case _:
            yield str(value)
