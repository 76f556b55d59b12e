"""Making and changing tools: what a model is told of them is read from their source, or checked where it is given."""

from api.deps import Caller
from api.schemas.tools import PutTool, UpdateTool
from api.source_reading import reading
from o.domain.declared_schema import checked_schema
from o.domain.json import JsonObject
from o.domain.tool_functions import function_of
from o.domain.tool_source import derive, from_args_schema
from o.errors import Conflict, InvalidArgument
from o.store.records import ToolRecord

# A tool of the organisation's own; all other types come from O or from a server.
CUSTOM = "custom"

# What may be changed of a tool that O or a server brings: how it is used, not what it is.
_USE = frozenset({"tags", "metadata_", "return_char_limit", "default_requires_approval", "enable_parallel_execution"})


async def put(caller: Caller, body: PutTool) -> ToolRecord:
    """Make a tool, or change the organisation's own tool of that name: its schema is made anew.

    Raises:
        InvalidArgument: no schema can be read from the source, or the given one does not fit it; the name is that of a
            tool that is none of the organisation's own.
    """
    schema = await reading(body.source_code, lambda: _declared(body))
    values = body.columns() | {
        "name": schema["name"],
        "tool_type": CUSTOM,
        "json_schema": schema,
        "args_json_schema": body.args_json_schema,
        "description": body.description or schema["description"],
        "created_by_id": caller.user_id,
        "last_updated_by_id": caller.user_id,
    }
    try:
        async with caller.transaction() as tx:
            return await tx.tools.put(values)
    except Conflict as error:
        raise InvalidArgument(f"name: {error.message}") from None


async def change(caller: Caller, tool_id: str, body: UpdateTool) -> ToolRecord:
    """Change a tool; what is null stays. Its schema changes when one is given, or one for its arguments.

    Raises:
        NotFound: no such tool.
        InvalidArgument: the schema does not fit the source, the new name is taken, or the tool is one that O or a
            server brings and stays what they say it is.
    """
    changes = body.columns()
    async with caller.transaction() as tx:
        before = await tx.tools.lock(tool_id)
        if before.tool_type != CUSTOM:
            _check_use(before, body.model_dump(exclude_none=True))
        schema = before.json_schema
        if body.json_schema is not None:
            schema = checked_schema(body.json_schema, name=before.name)
        if body.args_json_schema is not None:
            schema = {**schema, "parameters": from_args_schema(body.args_json_schema)}
        if body.source_code is not None and (body.source_type or before.source_type) == "python":
            source, name = body.source_code, schema["name"]
            await reading(source, lambda: function_of(source, name))
        if schema != before.json_schema:
            changes |= {"json_schema": schema, "name": schema["name"]}
        if not changes:
            return before
        try:
            return await tx.tools.update(tool_id, {**changes, "last_updated_by_id": caller.user_id})
        except Conflict as error:
            raise InvalidArgument(f"json_schema.name: {error.message}") from None


def _declared(body: PutTool) -> JsonObject:
    """The schema of a tool that is being made: given, or read from its source."""
    if body.json_schema is not None:
        name = body.json_schema.get("name")
        if body.source_type == "python":
            name = function_of(body.source_code, name if isinstance(name, str) else None).name
        schema = checked_schema(body.json_schema, name=name)
    elif body.source_type != "python":
        raise InvalidArgument("json_schema: a TypeScript tool needs one, with name, description and parameters")
    elif body.args_json_schema is not None:
        head = function_of(body.source_code)
        schema = checked_schema({"description": body.description or head.description}, name=head.name)
    else:
        derived = derive(body.source_code)
        schema = {"name": derived.name, "description": derived.description, "parameters": derived.parameters}
    if body.args_json_schema is not None:
        schema = {**schema, "parameters": from_args_schema(body.args_json_schema)}
    return schema


def _check_use(tool: ToolRecord, wanted: JsonObject) -> None:
    """Raises InvalidArgument where what a tool is would change, though O or a server says what it is."""
    if fixed := sorted(wanted.keys() - _USE):
        whose = "a base tool" if tool.tool_type.startswith("letta_") else "a tool of a server"
        changeable = ", ".join(sorted(_USE))
        raise InvalidArgument(f"{fixed[0]}: {tool.name} is {whose}, of which only these can be changed: {changeable}")
