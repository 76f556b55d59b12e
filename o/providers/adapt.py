"""A request in what one model can take: what it cannot see, call or be held to is put into words."""

import json
from dataclasses import replace

from o.domain.json import JsonObject
from o.domain.messages import ImagePart, Message, Part, Role, TextPart, ToolReturn
from o.domain.model import ModelRequest, Sampling, ToolChoice
from o.providers.base import Profile
from o.providers.schema_tools import call_schema, demand, describe, in_plain_words, offered

NO_IMAGE = "[an image, which this model cannot see]"


def adapted(request: ModelRequest, profile: Profile) -> ModelRequest:
    """The request for a model of this profile. Adapters translate the outcome and ask nothing more of the profile.

    A model without tools of its own gets them in words; the caller reads its reply with a `ReplyReader` of the tools
    that `offered` names.
    """
    if not profile.images:
        request = replace(request, messages=tuple(map(_unseen, request.messages)))
    if profile.tools == "schema":
        request = _with_schema_tools(request)
    if not profile.parallel_tool_calls:
        request = replace(request, parallel_tool_calls=False)
    return _held_to_form(replace(request, sampling=_known_settings(request.sampling, profile)), profile)


def add_words(messages: tuple[Message, ...], role: Role, text: str) -> tuple[Message, ...]:
    """The transcript with a text added to the last message of a role, or at the end where there is none."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == role:
            longer = replace(messages[index], content=(*messages[index].content, TextPart(text)))
            return (*messages[:index], longer, *messages[index + 1 :])
    return (*messages, replace(messages[-1], role=role, content=(TextPart(text),)))


def form_of(response_format: JsonObject | None) -> str:
    """`text`, `json_object` or `json_schema`."""
    return str((response_format or {}).get("type", "text"))


def _known_settings(sampling: Sampling, profile: Profile) -> Sampling:
    if not profile.sampling:
        sampling = replace(sampling, temperature=None, top_p=None, frequency_penalty=None)
    if not profile.reasoning:
        sampling = replace(sampling, reasoning=None, reasoning_effort=None, reasoning_tokens=None)
    return sampling


def _with_schema_tools(request: ModelRequest) -> ModelRequest:
    tools, demanded = offered(request), request.tool_choice.mode in ("required", "named")
    messages = in_plain_words(request.messages)
    form = request.response_format
    if demanded and tools:
        said = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
        messages = add_words(messages, "user", demand(tools, said))
        form = {"type": "json_schema", "json_schema": {"name": "tool_call", "schema": call_schema(tools)}}
    elif tools:
        messages = add_words(messages, "system", describe(tools))
    return replace(request, messages=messages, tools=(), tool_choice=ToolChoice(), response_format=form)


def _held_to_form(request: ModelRequest, profile: Profile) -> ModelRequest:
    """The request with a form the model can be held to, and told in words what it cannot be held to."""
    wanted = form_of(request.response_format)
    if wanted == "text":
        return replace(request, response_format=None)
    if wanted == profile.structured or profile.structured == "json_schema":
        return request
    schema = (request.response_format or {}).get("json_schema", {}).get("schema")
    words = "Answer with one JSON object and nothing else."
    if schema is not None:
        words += f" It must fit this JSON schema: {json.dumps(schema, ensure_ascii=False)}"
    messages = add_words(request.messages, "system", words)
    held = {"type": "json_object"} if profile.structured == "json_object" else None
    return replace(request, messages=messages, response_format=held)


def _unseen(message: Message) -> Message:
    """The message with a text in the place of every image."""
    content: tuple[Part, ...] = tuple(
        TextPart(NO_IMAGE) if isinstance(part, ImagePart) else part for part in message.content
    )
    return replace(message, content=content, tool_returns=tuple(map(_unseen_return, message.tool_returns)))


def _unseen_return(returned: ToolReturn) -> ToolReturn:
    if not returned.images:
        return returned
    return replace(returned, images=(), content="\n".join([returned.content, *[NO_IMAGE] * len(returned.images)]))
