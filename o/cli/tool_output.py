"""Arguments of tools as people type them, and what tools return as people read it."""

import json
from typing import Any

from o.cli.output import say, warn
from o.errors import InvalidArgument


def value_of(text: str) -> Any:
    """The JSON value of a text, or the text itself if it is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def arguments_of(given: list[str]) -> dict[str, Any]:
    """Arguments as people type them: one JSON object, or any number of `name=value`; a value that is JSON is read so.

    Raises:
        InvalidArgument: an entry is neither.
    """
    found: dict[str, Any] = {}
    for entry in given:
        name, sign, value = entry.partition("=")
        if name.isidentifier() and sign:
            found[name] = value_of(value)
            continue
        whole = value_of(entry)
        if not isinstance(whole, dict):
            raise InvalidArgument(f"--args: {entry[:40]!r} is neither a JSON object nor name=value")
        found |= whole
    return found


def print_return(returned: dict[str, Any]) -> None:
    """Print what a tool returned, and what it wrote on the way, on the streams it wrote it to."""
    for line in returned["stdout"] or ():
        say(line.rstrip("\n"), "dim")
    for line in returned["stderr"] or ():
        warn(line.rstrip("\n"))
    if returned["status"] == "success":
        say(returned["tool_return"])
    elif returned["tool_return"]:
        warn(returned["tool_return"])
