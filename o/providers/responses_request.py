"""A request in the words of OpenAI's Responses API."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from o.domain.json import JsonObject
from o.domain.model import ModelRequest, Sampling, ToolSpec
from o.providers.adapt import adapted, add_words, form_of
from o.providers.base import Profile
from o.providers.chat_request import is_strict
from o.providers.dialects import Dialect
from o.providers.responses_input import wire_input

# What an organisation must be verified for with some models, by the names the service refuses it under. A reply does
# without: https://help.openai.com/en/articles/10910291-api-organization-verification
VERIFIED_ONLY = ("reasoning.summary", "stream")

_LEAST_OUTPUT = 16  # tokens: "integer_below_min_value"


@dataclass(frozen=True, slots=True)
class Body:
    """A request as it is sent.

    Attributes:
        thoughts: whether thoughts go back with it.
    """

    fields: JsonObject
    thoughts: bool


def build(
    request: ModelRequest,
    profile: Profile,
    dialect: Dialect,
    *,
    signer: str | None,
    without: Collection[str] = (),
) -> Body:
    """The body of a request. The wire has no seed and no penalties: they are not sent.

    Args:
        signer: whose thoughts go back; None sends none.
        without: what of `VERIFIED_ONLY` must not be asked for.
    """
    request = adapted(request, profile)
    form = request.response_format
    if form_of(form) == "json_object" and "json" not in "".join(each.text for each in request.messages).lower():
        # "Response input messages must contain the word 'json' in some form"
        request = replace(request, messages=add_words(request.messages, "system", "Answer with one JSON object."))
    phases = dialect.fields.get("phase", "phase") is not None
    items = wire_input(request.messages, model=request.model, signer=signer, phases=phases)
    sampling = request.sampling
    values = {
        **_tools(request, dialect),
        "reasoning": _reasoning(sampling, profile, dialect, summary="reasoning.summary" not in without),
        "text": _text(request, dialect),
        # Nothing is kept at the service, so thoughts come sealed; other models refuse the word.
        "include": ["reasoning.encrypted_content"] if profile.reasoning else None,
        "max_output_tokens": max(sampling.max_tokens, _LEAST_OUTPUT) if sampling.max_tokens else None,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        # https://developers.openai.com/api/docs/guides/prompt-caching: the same for requests that begin the same.
        "prompt_cache_key": next(
            (each.conversation_id for each in request.messages[::-1] if each.conversation_id), None
        ),
    }
    body: JsonObject = {"model": request.model, "input": items, "stream": "stream" not in without}
    # A window that is too small is for us to deal with, not for the service to forget the beginning.
    body |= {"store": False, "truncation": "disabled"}
    body |= {name: each for name, each in values.items() if each is not None and dialect.fields.get(name, name)}
    return Body(body, any(item["type"] == "reasoning" for item in items))


def _tools(request: ModelRequest, dialect: Dialect) -> dict[str, Any]:
    if not request.tools:
        return {}
    choice: str | JsonObject = request.tool_choice.mode
    if choice == "named":
        choice = {"type": "function", "name": request.tool_choice.name}
    return {
        "tools": [_tool(tool, strict=request.strict and dialect.strict) for tool in request.tools],
        "tool_choice": choice,
        "parallel_tool_calls": request.parallel_tool_calls,
    }


def _tool(tool: ToolSpec, *, strict: bool) -> JsonObject:
    """A tool; strict is always said, for on this wire a tool is by default made strict, its schema with it."""
    parameters = tool.parameters or {"type": "object", "properties": {}}
    described = {"type": "function", "name": tool.name, "description": tool.description, "parameters": parameters}
    return described | {"strict": strict and is_strict(parameters)}


def _reasoning(sampling: Sampling, profile: Profile, dialect: Dialect, *, summary: bool) -> JsonObject | None:
    """How hard to think, and that thoughts shall be shown, as far as they ever are."""
    wanted = "none" if sampling.reasoning is False else sampling.reasoning_effort
    if wanted is None and sampling.reasoning:
        wanted = "medium"
    effort = dialect.efforts.get(wanted) if wanted else None
    reasoning: JsonObject = {"effort": effort} if effort else {}
    if summary and profile.reasoning and effort != "none":
        reasoning["summary"] = "auto"
    return reasoning or None


def _text(request: ModelRequest, dialect: Dialect) -> JsonObject | None:
    text: JsonObject = {}
    if request.sampling.verbosity and dialect.fields.get("verbosity", "verbosity"):
        text["verbosity"] = request.sampling.verbosity
    if form := request.response_format:
        shape = {"name": "reply", "strict": False, **form.get("json_schema", {})}
        text["format"] = {"type": "json_schema", **shape} if form_of(form) == "json_schema" else form
    return text or None
