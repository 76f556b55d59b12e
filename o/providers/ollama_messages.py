"""Requests and replies in the words of Ollama's `/api/chat` (docs/openapi.yaml and api/types.go of ollama/ollama)."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from o.domain.json import JsonObject
from o.domain.messages import ImagePart, Message, ReasoningPart, TextPart, ToolCall, ToolReturn
from o.domain.model import (
    Finished,
    FinishReason,
    ModelEvent,
    ReasoningDelta,
    Sampling,
    TextDelta,
    ToolCallDelta,
    ToolSpec,
    Usage,
)
from o.errors import ContextOverflow, InvalidReply
from o.providers.sent_calls import sent_arguments

_URL_IMAGE = "[an image at a URL, which Ollama cannot fetch]"
_IMAGES_FOLLOW = "[the images it returned follow]"
_DEPTH = 12  # how deep a tool's schema is looked into; what refers to itself never ends


def wire_messages(messages: tuple[Message, ...], *, thinks: bool) -> list[JsonObject]:
    """The transcript; of a model that thinks, with the thoughts of the turn that is going on."""
    turn = max((index for index, message in enumerate(messages) if message.role == "user"), default=0)
    calls: dict[str, ToolCall] = {}
    entries: list[JsonObject] = []
    for index, message in enumerate(messages):
        match message.role:
            case "system":
                entries.append({"role": "system", "content": message.text})
            case "user" | "summary":
                entries.append(_user(message))
            case "assistant":
                calls = {call.id: call for call in message.tool_calls}
                entries.append(_assistant(message, with_thoughts=thinks and index > turn))
            case "tool":
                entries += _returns(message.tool_returns, calls)
            case "approval":  # what was asked and answered reaches a model as the calls and returns it came to
                pass
    return entries


def wire_tool(tool: ToolSpec) -> JsonObject:
    parameters = {"type": "object", "properties": {}} | _known(tool.parameters, tool.parameters, 0)
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def wire_form(response_format: JsonObject | None) -> JsonObject | str | None:
    """Ollama's `format`: a JSON schema, or the word for any JSON object."""
    if response_format is None:
        return None
    schema = response_format.get("json_schema", {}).get("schema")
    return schema if isinstance(schema, dict) else "json"


def wire_options(sampling: Sampling, window: int | None) -> JsonObject:
    """Ollama's `options`.

    Args:
        window: tokens of prompt and reply that the server shall hold; None leaves it to the server.
    """
    options = {
        "num_ctx": window,
        "num_predict": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": sampling.seed,
    }
    return {name: value for name, value in options.items() if value is not None}


class LineReader:
    """Turns the lines of one streamed reply into model events; checks every shape, for proxies differ.

    Args:
        window: the window that was asked for; None where the server chose it.
        new_id: makes the id of a call that has none.
    """

    def __init__(self, window: int | None, new_id: Callable[[], str]) -> None:
        self._window, self._new_id = window, new_id
        self._ids: list[str] = []
        self._done: str | None = None
        self._usage = Usage()

    def read(self, line: JsonObject) -> Iterator[ModelEvent]:
        """The events of one line."""
        message = line.get("message")
        if isinstance(message, dict):
            yield from self._message(message)
        if line.get("done") is True:
            self._done = str(line.get("done_reason") or "stop")
            # Since 0.3 the prompt's count has the cached tokens in it; before, they were missing. A reply's has the
            # thoughts in it, which are not counted apart.
            self._usage = Usage(
                prompt_tokens=_count(line, "prompt_eval_count"),
                completion_tokens=_count(line, "eval_count"),
                cached_input_tokens=_count(line, "prompt_eval_cached_count"),
            )

    def finish(self) -> Finished:
        """The last event.

        Raises:
            InvalidReply: the stream ended before the reply did, or the model was only loaded or unloaded.
            ContextOverflow: the server has cut the prompt without a word.
        """
        if self._done is None:
            raise InvalidReply("the provider's stream ended before its reply did")
        if self._done in ("load", "unload"):
            raise InvalidReply(f"the model was {self._done}ed instead of asked")
        # A prompt that fills the window to the brim is what a server before 0.12.6 leaves of a longer one: it does not
        # know that it shall not truncate. One that fits leaves room for a reply.
        if self._window is not None and self._usage.prompt_tokens >= self._window:
            raise ContextOverflow("the prompt was longer than the window, and the server has cut it")
        reason: FinishReason = "length" if self._done == "length" else "tool_calls" if self._ids else "stop"
        return Finished(reason, self._usage)

    def _message(self, message: dict[str, Any]) -> Iterator[ModelEvent]:
        if isinstance(thought := message.get("thinking"), str) and thought:
            yield ReasoningDelta(thought)
        if isinstance(text := message.get("content"), str) and text:
            yield TextDelta(text)
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict) and isinstance(name := function.get("name"), str) and name:
                yield ToolCallDelta(len(self._ids), self._id(call.get("id")), name, _written(function))

    def _id(self, given: object) -> str:
        """The id of the next call, unlike all before it. Servers before 0.12.10 give none."""
        new = given if isinstance(given, str) and given and given not in self._ids else self._new_id()
        self._ids.append(new)
        return new


def _user(message: Message) -> JsonObject:
    words = [
        _URL_IMAGE if isinstance(part, ImagePart) else part.text
        for part in message.content
        if isinstance(part, TextPart) or (isinstance(part, ImagePart) and not part.data)
    ]
    user: JsonObject = {"role": "user", "content": "\n\n".join(words)}
    if images := [part.data for part in message.content if isinstance(part, ImagePart) and part.data]:
        user["images"] = images
    return user


def _assistant(message: Message, *, with_thoughts: bool) -> JsonObject:
    assistant: JsonObject = {"role": "assistant", "content": message.text}
    thought = "".join(part.reasoning for part in message.content if isinstance(part, ReasoningPart))
    if with_thoughts and thought:
        assistant["thinking"] = thought
    if message.tool_calls:
        assistant["tool_calls"] = [
            {"id": call.id, "function": {"index": index, "name": call.name, "arguments": sent_arguments(call)}}
            for index, call in enumerate(message.tool_calls)
        ]
    return assistant


def _returns(returned: tuple[ToolReturn, ...], calls: Mapping[str, ToolCall]) -> Iterator[JsonObject]:
    """The returns in the order of their calls: most templates know no ids and tell them apart by their order."""
    order = list(calls)
    ordered = sorted(returned, key=lambda each: order.index(each.tool_call_id) if each.tool_call_id in calls else 0)
    for each in ordered:
        call = calls.get(each.tool_call_id)
        content = f"{each.content}\n{_IMAGES_FOLLOW}".strip() if each.images else each.content
        name = call.name if call else each.name or "tool"
        yield {"role": "tool", "content": content, "tool_name": name, "tool_call_id": each.tool_call_id}
    if shown := tuple(image for each in ordered for image in each.images):
        # No template shows images in a return, and no other message may stand between returns.
        pictures = [image.data for image in shown if image.data]
        words = "\n".join([_URL_IMAGE] * (len(shown) - len(pictures)))
        yield {"role": "user", "content": words} | ({"images": pictures} if pictures else {})


def _known(schema: object, root: JsonObject, depth: int) -> JsonObject:
    """A schema in what Ollama reads of one: it drops references and `oneOf`, and refuses a bare `true`."""
    if not isinstance(schema, dict) or depth > _DEPTH:
        return {}
    if isinstance(reference := schema.get("$ref"), str):
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        return _known({**_resolved(reference, root), **beside}, root, depth + 1)
    known = {name: value for name, value in schema.items() if name not in ("$defs", "definitions", "oneOf")}
    for name in ("oneOf", "anyOf"):
        if isinstance(options := schema.get(name), list):
            known["anyOf"] = [_known(option, root, depth + 1) for option in options]
    if isinstance(properties := schema.get("properties"), dict):
        known["properties"] = {name: _known(each, root, depth + 1) for name, each in properties.items()}
    if "items" in schema:
        known["items"] = _known(schema["items"], root, depth + 1)
    return known


def _resolved(reference: str, root: JsonObject) -> JsonObject:
    place: Any = root
    for step in reference.removeprefix("#/").split("/"):
        place = place.get(step) if isinstance(place, dict) else None
    return place if isinstance(place, dict) else {}


def _written(function: dict[str, Any]) -> str:
    """The arguments as text: they come as an object, from a few proxies as the text itself."""
    arguments = function.get("arguments")
    return arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)


def _count(line: JsonObject, name: str) -> int:
    value = line.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
