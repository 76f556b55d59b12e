"""The arguments of a tool call while they are still being written: the text that can be read of them so far."""

import json
import re

from o.domain.model import storable_text

SAY_ARGUMENT = "message"
HEARTBEAT = "request_heartbeat"
THOUGHT = "thinking"

_SAY_START = re.compile(r'\s*\{\s*(?:"' + HEARTBEAT + r'"\s*:\s*(?:true|false)\s*,\s*)?"' + SAY_ARGUMENT + r'"\s*:\s*"')
_THOUGHT_START = re.compile(r'\s*\{\s*"' + THOUGHT + r'"\s*:\s*"')
_THOUGHT_OPENING = f'{{"{THOUGHT}":"'
_TEXT = re.compile(r'(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
# The first half of a surrogate pair, whose second half may still come.
_HALF_PAIR = re.compile(r"(?<!\\)(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}$")
_AFTER_THOUGHT = re.compile(r'"\s*(,\s*|(?=\}))')


def said_so_far(arguments: str) -> str | None:
    """What the beginning of a `send_message` call's arguments says already; None before the text begins."""
    start = _SAY_START.match(arguments)
    return None if start is None else _text_at(arguments, start.end())[0]


def split_thought(arguments: str) -> tuple[str, str]:
    """The thought that the beginning of a call's arguments opens with, and the arguments without it.

    Both only grow as more is written. While it cannot be told yet whether there is a thought, both are empty; while it
    is being written, the arguments are. A thought that is not the first argument stays where it is.
    """
    start = _THOUGHT_START.match(arguments)
    if start is None:
        opening = re.sub(r"\s", "", arguments[: len(_THOUGHT_OPENING) * 4])
        return "", "" if _THOUGHT_OPENING.startswith(opening) else arguments
    thought, end = _text_at(arguments, start.end())
    after = _AFTER_THOUGHT.match(arguments, end)
    return thought, "{" + arguments[after.end() :].lstrip() if after else ""


def _text_at(arguments: str, at: int) -> tuple[str, int]:
    """The JSON string whose text begins at `at`, as far as it was written, and where that ends."""
    found = _TEXT.match(arguments, at)
    raw = found.group() if found else ""
    end = at + len(raw)
    if (half := _HALF_PAIR.search(raw)) and arguments[end : end + 1] != '"':
        raw = raw[: half.end() - 6]
    text: str = json.loads(f'"{raw}"', strict=False)
    return storable_text(text), end
