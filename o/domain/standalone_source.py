"""One function of a file as a source of its own: with the imports, constants and classes of the file that it uses."""

import ast
import builtins
import symtable
from collections.abc import Iterator
from copy import copy

from o.domain.bad_source import BadSource
from o.domain.source_tree import FunctionNode, nodes, parse

_KNOWN = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__", "client"}


def standalone(file: str, function: str, *, line: int, name: str, without: str) -> str:
    """The source of a tool, taken out of the file that defines it; its function stands last.

    Args:
        file: the text of the whole file.
        function: the name it has in the file.
        line: where its definition begins, decorators included; 1 is the first line.
        name: the name of the tool, which the function is given.
        without: the module whose names are for this file only (the one of the decorator): what comes from there stays
            behind.

    Raises:
        BadSource: it uses a name that the file does not define at its top level, or one of `without`.
    """
    return _File(file, without).alone(function, line, name)


class _File:
    """A file, and which of its statements bind which names, or alter what they stand for."""

    def __init__(self, text: str, without: str) -> None:
        self._text = text
        self._without = without
        self._statements = parse(text).body
        self._bound: dict[str, list[ast.stmt]] = {}
        for statement in self._statements:
            for name in dict.fromkeys([*_names(statement), *_altered(statement)]):
                self._bound.setdefault(name, []).append(statement)
        self._left_behind = {
            name for name, places in self._bound.items() if any(_is_from(place, without) for place in places)
        }

    def alone(self, function: str, line: int, name: str) -> str:
        wanted = self._definition(function, line)
        taken: set[int] = set()
        missing: dict[str, None] = {}
        waiting: list[ast.stmt] = [wanted]
        while waiting:
            bare = self._undecorated(waiting.pop())
            # A string in an annotation may be a name, or one of the texts of a Literal.
            for used in [*_used(bare), *(each for each in _quoted(bare) if each in self._bound)]:
                if used in self._left_behind:
                    raise BadSource(
                        f"tool '{name}' uses '{used}' of {self._without}, which is not there when it runs: "
                        "pass what it needs as an argument"
                    )
                if used not in self._bound and used not in _KNOWN:
                    missing[used] = None
                for place in self._bound.get(used, ()):
                    if place is not wanted and id(place) not in taken:
                        taken.add(id(place))
                        waiting.append(place)
        if missing:
            raise BadSource(
                f"tool '{name}' uses {', '.join(map(repr, missing))}, which its file does not define at the top level: "
                "import or define it inside the function, or at the top of the file"
            )
        parts = [self._written(each) for each in self._statements if id(each) in taken or _is_future(each)]
        if function != name and function in _used(self._undecorated(wanted)):
            # It calls itself by the name it has in the file.
            parts.append(f"def {function}(*args, **more):\n    return {name}(*args, **more)")
        parts.append(self._renamed(wanted, name))
        return "\n\n".join(part.rstrip() for part in parts) + "\n"

    def _definition(self, function: str, line: int) -> FunctionNode:
        for each in self._statements:
            if not isinstance(each, FunctionNode) or each.name != function:
                continue
            if line in {each.lineno, *(decorator.lineno for decorator in each.decorator_list)}:
                return each
        raise BadSource(f"tool '{function}': define it at the top level of its file, not inside a function or class")

    def _undecorated(self, statement: ast.stmt) -> ast.stmt:
        """The statement without the decorators that stay behind."""
        if not isinstance(statement, FunctionNode):
            return statement
        bare = copy(statement)
        bare.decorator_list = [each for each in statement.decorator_list if not self._stays(_root(each))]
        return bare

    def _stays(self, name: str | None) -> bool:
        # Where all is imported from there, whatever the file does not define itself is from there.
        unknown = name not in self._bound and name not in _KNOWN
        return name in self._left_behind or ("*" in self._left_behind and unknown)

    def _written(self, statement: ast.stmt) -> str:
        """The statement as it stands in the file, comments within it too, without the decorators that stay behind."""
        segment = ast.get_source_segment(self._text, statement) or ast.unparse(statement)
        bare = self._undecorated(statement)
        decorators = bare.decorator_list if isinstance(bare, FunctionNode | ast.ClassDef) else []
        return "".join(f"@{ast.get_source_segment(self._text, each)}\n" for each in decorators) + segment

    def _renamed(self, function: FunctionNode, name: str) -> str:
        text = self._written(function)
        if function.name == name:
            return text
        kind = "async def" if isinstance(function, ast.AsyncFunctionDef) else "def"
        head, found, rest = text.partition(f"{kind} {function.name}")
        if not found:
            raise BadSource(f"tool '{name}': write its definition as `{kind} {function.name}(…)`")
        return f"{head}{kind} {name}{rest}"


def _names(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, FunctionNode | ast.ClassDef):
        yield statement.name
        return
    for node in nodes(statement):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.split(".")[0]
        elif isinstance(node, FunctionNode | ast.ClassDef):
            yield node.name


def _altered(statement: ast.stmt) -> Iterator[str]:
    """The names whose values a statement changes: `x[…] = …`, `x.y = …`, `x.append(…)`."""
    if isinstance(statement, FunctionNode | ast.ClassDef) or _is_script(statement):
        return
    for node in nodes(statement):
        target: ast.expr | None = None
        if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            target = node.value
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = node.value.func
            target = called.value if isinstance(called, ast.Attribute) else None
        if target is not None and (name := _root(target)) is not None:
            yield name


def _root(expression: ast.expr) -> str | None:
    """The name that an expression begins with."""
    node = expression.func if isinstance(expression, ast.Call) else expression
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _is_from(statement: ast.stmt, origin: str) -> bool:
    if isinstance(statement, ast.Import):
        return any(alias.name == origin for alias in statement.names)
    if isinstance(statement, ast.ImportFrom):
        package, _, name = origin.rpartition(".")
        whole = statement.module == package and any(alias.name == name for alias in statement.names)
        return statement.module == origin or whole
    return False


def _is_script(statement: ast.stmt) -> bool:
    """Whether it is what a file does when it is run: `if __name__ == …`."""
    tested = nodes(statement.test) if isinstance(statement, ast.If) else ()
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in tested)


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _used(statement: ast.stmt) -> list[str]:
    """The names of the file, or of Python, that a statement uses, in functions too; not those it binds itself."""
    table = symtable.symtable(ast.unparse(statement), "tool", "exec")
    found: dict[str, None] = {}
    for symbol in table.get_symbols():
        if symbol.is_referenced() and not symbol.is_assigned() and not symbol.is_imported():
            found[symbol.get_name()] = None
    waiting = list(table.get_children())
    while waiting:
        inner = waiting.pop()
        waiting += inner.get_children()
        for symbol in inner.get_symbols():
            if symbol.is_global() and symbol.is_referenced():
                found[symbol.get_name()] = None
    own = set(_names(statement)) if not isinstance(statement, FunctionNode | ast.ClassDef) else set()
    return [name for name in found if name not in own]


def _quoted(statement: ast.stmt) -> Iterator[str]:
    """Names in annotations that are written as strings."""
    for node in nodes(statement):
        annotation = getattr(node, "annotation", None)
        if not isinstance(annotation, ast.expr):
            continue
        for part in nodes(annotation):
            if not isinstance(part, ast.Constant) or not isinstance(part.value, str):
                continue
            try:
                written = ast.parse(part.value, mode="eval")
            except SyntaxError:  # not every string in an annotation is a type
                continue
            yield from (each.id for each in nodes(written) if isinstance(each, ast.Name))
