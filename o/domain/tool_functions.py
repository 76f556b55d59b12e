"""Which function of a source is the tool, and what it says of itself, for tools whose arguments are described apart."""

import ast
from dataclasses import dataclass

from o.domain.bad_source import BadSource
from o.domain.docstrings import read
from o.domain.source_tree import FunctionNode, nodes, parse, statements


@dataclass(frozen=True, slots=True)
class FunctionHead:
    """A function's name and what its docstring says of it, empty where it has none."""

    name: str
    description: str


def function_of(source: str, name: str | None = None) -> FunctionHead:
    """The function of this name, or the last one: of those of the module, or, where it has none, of the inner ones.

    Raises:
        BadSource: the source is no Python, or has no such function.
    """
    module = parse(source)
    outer = [node for node in statements(module) if isinstance(node, FunctionNode)]
    found = [node for node in outer or nodes(module) if isinstance(node, FunctionNode) and name in (None, node.name)]
    if not found:
        what = "no function" if name is None else f"no function named '{name[:100]}'"
        raise BadSource(f"source_code: defines {what}; write the tool as `def {(name or 'name')[:100]}(…):`")
    last = found[-1]
    names = [each.arg for each in (*last.args.args, *last.args.kwonlyargs)]
    return FunctionHead(last.name, read(ast.get_docstring(last) or "", names).text)
