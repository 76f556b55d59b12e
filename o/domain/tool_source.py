"""What a model is told of a Python tool, derived from its source without running it (letta-v1 contract, section 10)."""

import ast
import re
from dataclasses import dataclass

from o.domain.bad_source import BadSource
from o.domain.docstrings import read as read_docstring
from o.domain.json import JsonObject
from o.domain.source_classes import object_schema, property_schema, read_class
from o.domain.source_fields import MISSING, FieldNotes
from o.domain.source_tree import FunctionNode, Scope, nodes, parse, statements
from o.domain.source_types import TypeReader
from o.domain.tool_client import uses_client
from o.domain.tool_schemas import checked, from_args_schema

__all__ = ["LONGEST_NAME", "BadSource", "DerivedTool", "derive", "from_args_schema"]

LONGEST_NAME = 48
# What O passes itself; a model is not asked for it.
_GIVEN = frozenset({"self", "agent_state"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class DerivedTool:
    """A tool as its source describes it.

    Attributes:
        name: of the tool, which is the function's.
        parameters: JSON schema of its arguments, without references.
        takes_agent_state: whether the function has the argument `agent_state`, which O fills in.
        uses_client: whether the source uses a global `client` that it does not make itself.
        optional: parameters that may be left out although the function has no default for them: they take None.
    """

    name: str
    description: str
    parameters: JsonObject
    function: str
    is_async: bool
    takes_agent_state: bool
    uses_client: bool
    optional: tuple[str, ...] = ()


def derive(source: str, *, name: str | None = None) -> DerivedTool:
    """Describe the tool of a source: its last function, or the one called `name`.

    Raises:
        BadSource: says which function and parameter, and what to write.
    """
    module = parse(source)
    function = _function(module, name)
    where = f"function '{function.name[:60]}'"
    if not _NAME.fullmatch(function.name):
        raise BadSource(f"{where}: the name of a tool has ASCII letters, digits and underscores only")
    if len(function.name) > LONGEST_NAME:
        raise BadSource(f"{where}: the name has {len(function.name)} characters, the limit is {LONGEST_NAME}")
    parameters = _parameters(function, where)
    said = read_docstring(ast.get_docstring(function) or "", [each.arg for each, _ in parameters])
    if not said.text:
        raise BadSource(f"{where} has no docstring: begin its body with one that says what the tool does")
    reader = TypeReader(Scope.of(module), read_class)
    properties: dict[str, JsonObject] = {}
    required: list[str] = []
    optional: list[str] = []
    for parameter, default in parameters:
        if parameter.arg in _GIVEN:
            continue
        schema, needed = _parameter(reader, parameter, default, said.parameters.get(parameter.arg), where)
        properties[parameter.arg] = schema
        if needed:
            required.append(parameter.arg)
        elif default is None:
            optional.append(parameter.arg)
    schema = object_schema(properties, required)
    checked({"description": said.text, "parameters": schema})
    try:
        from_args_schema(schema)
    except BadSource as error:  # a bound that is none, say
        raise BadSource(f"{where}: {error.message}") from None
    return DerivedTool(
        function.name,
        said.text,
        schema,
        function.name,
        isinstance(function, ast.AsyncFunctionDef),
        any(each.arg == "agent_state" for each, _ in parameters),
        uses_client(module),
        tuple(optional),
    )


def _function(module: ast.Module, name: str | None) -> FunctionNode:
    """The function called `name`, else the last one: of the module, or, where it has none, an inner one."""
    outer = [each for each in statements(module) if isinstance(each, FunctionNode)]
    functions = outer or [each for each in nodes(module) if isinstance(each, FunctionNode)]
    if not functions:
        raise BadSource("the source defines no function: write the tool as `def name(…):`")
    if name is None:
        return functions[-1]
    named = [each for each in functions if each.name == name]
    if not named:
        known = ", ".join(dict.fromkeys(each.name[:60] for each in functions[-20:]))
        raise BadSource(f"the source defines no function '{name[:60]}' (it defines: {known})")
    return named[-1]


def _parameters(function: FunctionNode, where: str) -> list[tuple[ast.arg, ast.expr | None]]:
    """The parameters with their defaults, in order."""
    takes = function.args
    if takes.vararg or takes.kwarg:
        star = f"**{takes.kwarg.arg}" if takes.kwarg else f"*{takes.vararg.arg if takes.vararg else ''}"
        raise BadSource(f"{where}: '{star[:60]}' cannot be described to a model: name each parameter")
    if takes.posonlyargs:
        raise BadSource(
            f"{where}: its arguments are passed by name: remove the '/' after '{takes.posonlyargs[-1].arg[:60]}'"
        )
    missing: list[ast.expr | None] = [None] * (len(takes.args) - len(takes.defaults))
    return [
        *zip(takes.args, [*missing, *takes.defaults], strict=True),
        *zip(takes.kwonlyargs, takes.kw_defaults, strict=True),
    ]


def _parameter(
    reader: TypeReader, parameter: ast.arg, default: ast.expr | None, description: str | None, where: str
) -> tuple[JsonObject, bool]:
    """The schema of a parameter, and whether it must be given."""
    name = parameter.arg
    place = f"{where}, parameter '{name[:60]}'"
    if not _NAME.fullmatch(name):
        raise BadSource(f"{place}: the name has ASCII letters, digits and underscores only")
    if parameter.annotation is None:
        raise BadSource(f"{place} has no type: annotate it, as in `{name}: str`")
    found = reader.read(parameter.annotation, place)
    said = description or found.notes.description
    if said is None:
        raise BadSource(f"{place} is not described: add `{name}: …` under `Args:` in the docstring")
    value = MISSING if default is None else reader.scope.value(default)
    needed = default is None and not found.nullable
    # A default inside Annotated is not what calling the function would use.
    notes = FieldNotes(said, value, found.notes.constraints)
    return property_schema(found, notes, required=needed), needed
