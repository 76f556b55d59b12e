"""A tool's source as a tree: parsed but never run, with the names it defines and the values that can be read off it."""

import ast
import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from o.domain.bad_source import BadSource

MAX_SOURCE = 200_000  # bytes; reading one takes a fraction of a second, and memory by the hundred megabytes
_TYPING = ("typing.", "typing_extensions.", "collections.abc.", "builtins.")
_LARGEST_INTEGER = 2**63


class Unreadable:
    """A value that only running the source would give."""


UNREADABLE: Final = Unreadable()

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def parse(source: str) -> ast.Module:
    """The tree of a source.

    Raises:
        BadSource: too long, no Python, or nested too deeply; names the line.
    """
    try:
        size = len(source.encode())
    except UnicodeEncodeError:
        raise BadSource("the source contains lone surrogates: write them as escapes") from None
    if size > MAX_SOURCE:
        raise BadSource(f"the source has {size} bytes, the limit is {MAX_SOURCE}")
    if "\0" in source:
        raise BadSource("the source contains a NUL character: write it as an escape")
    with warnings.catch_warnings():
        # What Python warns of (an invalid escape) quotes the source, which belongs in no log.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except SyntaxError as error:
            raise BadSource(f"the source is no valid Python: line {error.lineno or 1}: {error.msg}") from None
        except (RecursionError, MemoryError):
            raise BadSource("the source is nested too deeply: split its longest expression") from None
        except (ValueError, OverflowError) as error:
            raise BadSource(f"the source is no valid Python: {error}") from None


def parse_annotation(text: str, where: str) -> ast.expr:
    """The tree of an annotation that is written as a string."""
    if len(text) > 10_000:
        raise BadSource(f"{where}: the annotation is too long")
    found = parse(f"({text}\n)").body
    if len(found) != 1 or not isinstance(found[0], ast.Expr):
        raise BadSource(f"{where}: the annotation is no type")
    return found[0].value


@dataclass(frozen=True, slots=True)
class Scope:
    """The names of a source.

    Attributes:
        imports: dotted origin by local name: `{"L": "typing.List"}`.
        classes: by name; of several the last.
        members: what each class assigns in its body.
        values: what the module assigns, by name; of several the last.
    """

    imports: dict[str, str] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    members: dict[str, dict[str, ast.expr]] = field(default_factory=dict)
    values: dict[str, ast.expr] = field(default_factory=dict)

    @classmethod
    def of(cls, module: ast.Module) -> "Scope":
        scope = cls()
        for node in nodes(module):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    local = alias.asname or alias.name.split(".")[0]
                    scope.imports[local] = alias.name if alias.asname else local
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    scope.imports[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            elif isinstance(node, ast.ClassDef):
                scope.classes[node.name] = node
                scope.members[node.name] = dict(assigned(node.body))
        scope.values.update(assigned(statements(module)))
        return scope

    def qualified(self, node: ast.expr) -> str | None:
        """The dotted origin of a name (`typing.List` of `t.List`), without the modules of typing; None if no name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        name = ".".join([self.imports.get(node.id, node.id), *reversed(parts)])
        for prefix in _TYPING:
            name = name.removeprefix(prefix)
        return name

    def value(self, node: ast.expr) -> object:
        """The JSON value that an expression stands for, or UNREADABLE. Names are followed once, to a literal."""
        if isinstance(node, ast.Name) and node.id in self.values:
            return literal(self.values[node.id])
        if isinstance(node, ast.Attribute):
            owner = node.value
            if node.attr == "value" and isinstance(owner, ast.Attribute):
                node, owner = owner, owner.value
            if isinstance(owner, ast.Name) and node.attr in (members := self.members.get(owner.id, {})):
                return literal(members[node.attr])
        return literal(node)


def assigned(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """The names that statements assign, one by one, and what they assign to them."""
    for statement in body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, value = statement.target, statement.value
        else:
            continue
        if isinstance(target, ast.Name):
            yield target.id, value


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes in the order of the source."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def statements(module: ast.Module) -> Iterator[ast.stmt]:
    """The statements of a module, also those inside its `if`, `try` and `with`: what they define are its names."""
    waiting = list(reversed(module.body))
    while waiting:
        statement = waiting.pop()
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            inner = [*statement.body]
            inner += getattr(statement, "orelse", [])
            inner += [each for handler in getattr(statement, "handlers", []) for each in handler.body]
            inner += getattr(statement, "finalbody", [])
            waiting.extend(reversed(inner))


def literal(node: ast.expr) -> object:
    """The JSON value of a literal (tuples and sets as lists), or UNREADABLE."""
    match node:
        case ast.Constant(value=bool() | str() | None):
            return node.value
        case ast.Constant(value=int() | float()):
            return _number(node.value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return UNREADABLE if isinstance(number, bool) else _number(-number)
        case ast.List() | ast.Tuple() | ast.Set():
            items = [literal(item) for item in node.elts]
            return UNREADABLE if UNREADABLE in items else items
        case ast.Dict():
            keys = [None if key is None else literal(key) for key in node.keys]
            values = [literal(value) for value in node.values]
            if UNREADABLE in values or not all(isinstance(key, str) for key in keys):
                return UNREADABLE
            return dict(zip(keys, values, strict=True))
        case _:
            return UNREADABLE


def _number(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return UNREADABLE
    if isinstance(value, int) and abs(value) >= _LARGEST_INTEGER:
        return UNREADABLE
    return value if isinstance(value, int | float) else UNREADABLE
