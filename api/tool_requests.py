"""Runs of tools by hand, as they are asked for and as they are answered."""

from collections.abc import Sequence
from datetime import datetime

from api.responses import timestamp
from api.schemas.tools import NpmRequirement, PipRequirement, RunSource
from o.domain.declared_schema import checked_schema
from o.domain.json import JsonObject
from o.domain.messages import ToolReturn
from o.domain.tool_functions import function_of
from o.domain.tool_run import ToolRunRequest
from o.domain.tool_source import from_args_schema
from o.errors import InvalidArgument
from o.store.tool_requests import packages

# What the contract calls a message and a call that there are not.
_NONE = "null"


def run_of_source(body: RunSource) -> ToolRunRequest:
    """A run of code that came with the request.

    Raises:
        InvalidArgument: the source has no such function, or a schema is none.
    """
    name, parameters = body.name, None
    if body.json_schema is not None:
        schema = checked_schema(body.json_schema, name=name or "unnamed")
        name, parameters = name or body.json_schema.get("name"), schema["parameters"]
    if body.args_json_schema is not None:
        parameters = from_args_schema(body.args_json_schema)
    if body.source_type == "python":
        name = function_of(body.source_code, name).name
    elif name is None:
        raise InvalidArgument("name: say which function of the TypeScript source to call, or give its json_schema")
    return ToolRunRequest(
        source=body.source_code,
        source_type=body.source_type,
        function=name,
        parameters=parameters,
        arguments=body.args,
        environment=body.env_vars,
        requirements=packages(_dumped(body.pip_requirements), "=="),
        packages=packages(_dumped(body.npm_requirements), "@"),
        limits=body.sandbox,
    )


def print_run(returned: ToolReturn, at: datetime) -> JsonObject:
    """A return as a message of no conversation."""
    own = {
        "tool_return": returned.content,
        "status": returned.status,
        "tool_call_id": _NONE,
        "stdout": list(returned.stdout),
        "stderr": list(returned.stderr),
    }
    return {
        "id": _NONE,
        "date": timestamp(at.replace(microsecond=0)),
        "name": returned.name,
        "message_type": "tool_return_message",
        **own,
        "is_err": True if returned.status == "error" else None,
        "tool_returns": [{"type": "tool", **own}],
        "otid": None,
        "sender_id": None,
        "step_id": None,
        "run_id": None,
        "seq_id": None,
    }


def print_execution(returned: ToolReturn) -> JsonObject:
    """A return as the result of an agent's tool; an error's words are on stderr, where its traceback is too."""
    failed = returned.status == "error"
    stderr = [*returned.stderr, returned.content] if failed else [*returned.stderr]
    return {
        "status": returned.status,
        "func_return": None if failed else returned.content,
        "stdout": list(returned.stdout),
        "stderr": stderr,
        "agent_state": None,
        "sandbox_config_fingerprint": None,
    }


def _dumped(given: Sequence[PipRequirement | NpmRequirement] | None) -> list[JsonObject]:
    return [each.model_dump() for each in given or ()]
