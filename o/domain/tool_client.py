"""Whether a tool's source speaks to O itself: then, and only then, its call gets a key."""

import ast
from typing import Literal

from o.domain.bad_source import BadSource
from o.domain.source_tree import nodes, parse

_LIBRARY = "letta_client"
# The variable that a tool finds its key in, when it makes a client by itself.
_KEY = "LETTA_API_KEY"


def wants_client(source: str, language: Literal["python", "typescript"]) -> bool:
    """Whether the source uses the global `client` that O gives it, the client library, or the variable of the key.

    A source that cannot be parsed wants nothing: it cannot be run either.
    """
    if language != "python":
        return _KEY in source
    if "client" not in source and _KEY not in source:
        return False  # nearly always: then there is nothing to parse at each call
    try:
        module = parse(source)
    except BadSource:
        return False
    return uses_client(module) or any(map(_makes_its_own, nodes(module)))


def uses_client(module: ast.Module) -> bool:
    """Whether the module uses a name `client` that it does not define itself."""
    used = False
    for node in nodes(module):
        match node:
            case ast.Name(id="client", ctx=ast.Load()):
                used = True
            case ast.Name(id="client") | ast.arg(arg="client") | ast.alias(asname="client"):
                return False
            case ast.alias(name="client", asname=None):
                return False
            case ast.FunctionDef(name="client") | ast.AsyncFunctionDef(name="client") | ast.ClassDef(name="client"):
                return False
    return used


def _makes_its_own(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            return any(each.name.split(".")[0] == _LIBRARY for each in names)
        case ast.ImportFrom(module=str(module), level=0):
            return module.split(".")[0] == _LIBRARY
        case ast.Constant(value=str(text)):
            return text == _KEY
        case _:
            return False
