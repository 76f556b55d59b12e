"""A request in the words of OpenAI's chat completions, for one model of one server."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

from o.domain.json import JsonObject
from o.domain.model import ModelRequest, Sampling, ToolSpec
from o.providers.adapt import adapted, add_words, form_of
from o.providers.base import Profile
from o.providers.chat_messages import wire_messages
from o.providers.dialects import Dialect

_ANY_OBJECT: JsonObject = {"type": "json_schema", "json_schema": {"name": "object", "schema": {"type": "object"}}}

# What a tool's schema may not hold where `strict` is set:
# https://developers.openai.com/api/docs/guides/structured-outputs#supported-schemas
_NOT_STRICT = frozenset(
    {"allOf", "oneOf", "not", "if", "then", "else", "default", "patternProperties", "dependentRequired", "uniqueItems"}
)


def request_body(request: ModelRequest, profile: Profile, dialect: Dialect) -> JsonObject:
    """The body of the request."""
    if profile.tools == "native" and request.tools and request.response_format and not dialect.forms_with_tools:
        profile = replace(profile, structured="text")  # the form is asked for in words
    request = adapted(request, profile)
    form = request.response_format
    if form_of(form) == "json_object" and "json" not in "".join(each.text for each in request.messages).lower():
        # OpenAI, Groq and DeepSeek refuse the form where no message speaks of it.
        request = replace(request, messages=add_words(request.messages, "system", "Answer with one JSON object."))
    if form_of(form) == "json_object" and not dialect.object_form:
        form = _ANY_OBJECT
    streams = form is None or dialect.forms_stream
    sampling = request.sampling
    body: JsonObject = {"model": request.model, "messages": wire_messages(request.messages, dialect, request.model)}
    values = {
        "stream": streams,
        "stream_options": {"include_usage": True} if streams else None,
        **_tools(request, dialect),
        **_thinking(request, dialect),
        **dialect.always,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": sampling.seed,
        "verbosity": sampling.verbosity,
        "response_format": form,
    }
    for name, value in values.items():
        place = dialect.fields.get(name, name)
        if value is not None and place is not None:
            _put(body, place, value)
    return body


def is_strict(schema: object) -> bool:
    """Whether a schema may be marked `strict`: every object in it closed, and all of its properties required."""
    if not isinstance(schema, dict):
        return True
    if not _NOT_STRICT.isdisjoint(schema):
        return False
    properties = schema.get("properties", {})
    closed = schema.get("additionalProperties") is False and set(schema.get("required", ())) == set(properties)
    if (schema.get("type") == "object" or properties) and not closed:
        return False
    inner = [schema.get("items"), *schema.get("anyOf", ()), *schema.get("$defs", {}).values(), *properties.values()]
    return all(map(is_strict, inner))


def _tools(request: ModelRequest, dialect: Dialect) -> dict[str, Any]:
    tools, choice = request.tools, request.tool_choice
    if not tools:
        return {}
    word: str | JsonObject | None = None  # "auto" is what is meant where nothing is said
    match choice.mode:
        case "none":
            word = "none"
        case "required":
            word = dialect.required
        case "named" if dialect.named:
            word = {"type": "function", "function": {"name": choice.name}}
        case "named":
            tools, word = tuple(tool for tool in tools if tool.name == choice.name), dialect.required
    return {
        "tools": [_tool(tool, strict=request.strict and dialect.strict) for tool in tools],
        "tool_choice": word,
        "parallel_tool_calls": request.parallel_tool_calls,
    }


def _tool(tool: ToolSpec, *, strict: bool) -> JsonObject:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    function: JsonObject = {"name": tool.name, "description": tool.description, "parameters": parameters}
    if strict and is_strict(parameters):
        function["strict"] = True
    return {"type": "function", "function": function}


def _thinking(request: ModelRequest, dialect: Dialect) -> dict[str, Any]:
    """How hard to think, and whether at all."""
    wanted = _effort(request.sampling)
    held = request.tools and request.tool_choice.mode in ("required", "named")
    if (dialect.thoughtless == "tools" and request.tools) or (dialect.thoughtless == "demanded" and held):
        wanted = "none"
    if wanted is None:
        return {}
    fields = deepcopy(dialect.thinking.get(wanted != "none", {}))
    if wanted == "any":
        return fields or {"reasoning_effort": dialect.efforts.get("medium")}
    return fields | {"reasoning_effort": dialect.efforts.get(wanted)}


def _effort(sampling: Sampling) -> str | None:
    """The effort that is wanted: `none`, `any` where it is not said how much, or None where nothing is said."""
    if sampling.reasoning is False:
        return "none"
    return sampling.reasoning_effort or ("any" if sampling.reasoning else None)


def _put(body: JsonObject, place: str, value: object) -> None:
    *outer, last = place.split(".")
    for name in outer:
        body = body.setdefault(name, {})
    body[last] = value
