"""Run the one call of this process: the tool's code, from its arguments to the document about how it ended."""

import importlib
import inspect
import linecache
import os
import sys
import traceback
import types
from typing import Any

from o.sandbox.inside import client, values
from o.sandbox.inside.agent_state import AgentState, after
from o.sandbox.inside.confine import spare_memory

_FILE = "<tool>"
_LONGEST_MESSAGE = 1000
_LONGEST_TRACEBACK = 20  # frames


def run(call: dict[str, Any]) -> dict[str, Any]:
    """Run it and say how it ended, in the words of `o.sandbox.base.CodeResult`. Raises nothing."""
    source: str = call["source"]
    roots = sorted({f"{path}/" for path in sys.path if path}, key=len, reverse=True)
    given: dict[str, Any] | None = call.get("agent_state")
    state = None if given is None else AgentState(given)
    linecache.cache[_FILE] = (len(source), None, source.splitlines(keepends=True), _FILE)
    document: dict[str, Any]
    try:
        document = {"outcome": "returned", "value": values.plain(_value(call, source, state))}
    except values.Unreturnable as reason:
        document = {"outcome": "bad_result", "error": str(reason)}
    except BaseException as error:  # the tool may raise anything, SystemExit and KeyboardInterrupt included
        spare_memory()
        document = {"outcome": "raised", "error": _in_words(error, roots)}
    if given is not None and state is not None:
        document["agent_state"] = _after(given, state)
    return document


def _value(call: dict[str, Any], source: str, state: AgentState | None) -> Any:
    name = call.get("function")
    module = types.ModuleType("__main__" if name is None else "tool")
    sys.modules[module.__name__] = module
    module.__dict__["__file__"] = _FILE
    module.__dict__.update(client.of(source, os.environ))
    exec(compile(source, _FILE, "exec"), module.__dict__)  # noqa: S102 - running it is what all of this is for
    if name is None:
        return None
    function = getattr(module, name, None)
    if not callable(function):
        raise NameError(f"the source has no function {name!r}")
    named = values.arguments(function, call.get("arguments") or {})
    if state is not None and "agent_state" in inspect.signature(function).parameters:
        named["agent_state"] = state
    returned = function(**named)
    if not inspect.isawaitable(returned):
        return returned
    # Loading it costs a process more than everything else here together, and few tools are asynchronous.
    return importlib.import_module("asyncio").run(_awaited(returned))


async def _awaited(value: Any) -> Any:
    return await value


def _after(given: dict[str, Any], state: AgentState) -> dict[str, Any]:
    try:
        return after(given, state)
    except Exception:  # the tool broke the object itself
        return given


def _in_words(error: BaseException, roots: list[str]) -> str:
    """`Type: message`; the traceback goes to stderr, from the tool's own first frame on.

    Where libraries lie on this machine concerns nobody: of their paths both show what follows the `roots`.
    """
    try:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename != _FILE:
            frames = frames.tb_next
        for line in traceback.format_exception(type(error), error, frames, limit=-_LONGEST_TRACEBACK):
            sys.stderr.write(_without(roots, line))
        message = _without(roots, str(error)[:_LONGEST_MESSAGE])
    except BaseException:  # its own __str__ may raise, or memory may still be short
        message = ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _without(roots: list[str], text: str) -> str:
    for root in roots:
        text = text.replace(root, "")
    return text


def flush() -> None:
    """Let out what the tool printed; it may have closed or replaced the streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            os.write(2, b"")
