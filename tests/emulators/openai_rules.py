"""What OpenAI's own service, and those that speak its wire, refuse of a request, as their documents and users say."""

import re
from collections.abc import Iterator
from typing import Any

Body = dict[str, Any]

# Those of https://developers.openai.com/api/reference/resources/chat that the adapter may use.
_FIELDS = frozenset(
    {"model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "response_format"}
    | {"max_tokens", "max_completion_tokens", "temperature", "top_p", "frequency_penalty", "seed"}
    | {"reasoning_effort", "verbosity"}
)
_MESSAGE_FIELDS = frozenset(("role", "content", "name", "tool_calls", "tool_call_id", "refusal"))
_O_SERIES = re.compile(r"o[134](-|$)")
_THINKS = re.compile(r"o[134](-|$)|gpt-[5-9]")
_TOOLS_ONLY_THOUGHTLESS = re.compile(r"gpt-5\.[4-9]|gpt-[6-9]")
_ALWAYS_THINKS = re.compile(r"gpt-6\.[1-9]|gpt-6-astra")
_BLIND = re.compile(r"gpt-3\.5|gpt-4$|gpt-4-0|o3-mini")


def refusal(body: Body, flavour: str) -> str | None:
    """Why the service refuses a request; None if it does not."""
    rules = {"openai": _openai, "mistral": _mistral, "gemini": _gemini, "deepseek": _deepseek, "groq": _groq}
    rules["lmstudio"] = _lmstudio
    for rule in (_transcript, rules.get(flavour, _nothing)):
        for reason in rule(body):
            return reason
    return None


def _nothing(body: Body) -> Iterator[str]:
    yield from ()


def _transcript(body: Body) -> Iterator[str]:
    """What all of them refuse. https://developers.openai.com/api/docs/guides/function-calling"""
    if not body["messages"]:
        yield "messages is empty"
    waiting: list[str] = []
    for at, message in enumerate(body["messages"]):
        role, calls = message["role"], message.get("tool_calls")
        if role == "tool":
            if message["tool_call_id"] not in waiting:
                yield f"messages[{at}]: a return must follow the call it answers"
                return
            waiting.remove(message["tool_call_id"])
            if not isinstance(message["content"], str):
                yield f"messages[{at}]: a return is a text"
            continue
        if waiting:
            yield f"messages[{at}]: the calls {waiting} were not answered"
        if role not in ("system", "user", "assistant"):
            yield f"messages[{at}]: there is no role {role}"
        if calls is not None:
            waiting = [call["id"] for call in calls]
            yield from _calls(calls)
        elif message["content"] is None:
            yield f"messages[{at}]: content may be null only beside calls"
        if isinstance(message["content"], list) and (role != "user" or not message["content"]):
            yield f"messages[{at}]: parts are for users, and at least one"
        if "name" in message and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", message["name"]):
            yield f"messages[{at}]: no such name"
    if waiting:
        yield f"the calls {waiting} were not answered"
    yield from _tools(body)


def _calls(calls: list[Body]) -> Iterator[str]:
    ids = [call["id"] for call in calls]
    if not ids or len(set(ids)) != len(ids):
        yield "tool_calls must have ids of their own"
    if any(len(each) > 40 for each in ids):  # "string too long. Expected a string with maximum length 40"
        yield "the id of a call is too long"
    if any(not isinstance(call["function"]["arguments"], str) for call in calls):
        yield "arguments are a text"


def _tools(body: Body) -> Iterator[str]:
    if "tools" not in body:
        if "tool_choice" in body or "parallel_tool_calls" in body:
            yield "only allowed when tools are specified"
        return
    names = [tool["function"]["name"] for tool in body["tools"]]
    if not names:
        yield "tools is empty"
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        yield "tool_choice names no tool"


def _unspoken_json(body: Body) -> Iterator[str]:
    if body.get("response_format") == {"type": "json_object"} and "json" not in str(body["messages"]).lower():
        yield "'messages' must contain the word 'json' in some form"


def _unknown(body: Body, *more: str, without: tuple[str, ...] = ()) -> Iterator[str]:
    if unknown := set(body) - (_FIELDS | set(more)) | set(body) & set(without):
        yield f"unknown fields {sorted(unknown)}"
    for message in body["messages"]:
        if unknown := set(message) - _MESSAGE_FIELDS:
            yield f"unknown fields {sorted(unknown)} in a message"


def _openai(body: Body) -> Iterator[str]:
    model = body["model"]
    yield from _unknown(body)
    yield from _unspoken_json(body)
    yield from _strict_tools(body)
    if "image_url" in str(body["messages"]) and _BLIND.match(model):
        yield "the model does not see"
    if not _THINKS.match(model):
        if "reasoning_effort" in body or "verbosity" in body:
            yield "unsupported: reasoning_effort, verbosity"
        return
    if sampling := {"max_tokens", "temperature", "top_p", "frequency_penalty"} & set(body):
        yield f"unsupported: {sampling}"
    if _O_SERIES.match(model) and {"parallel_tool_calls", "verbosity"} & set(body):
        yield "unsupported: parallel_tool_calls, verbosity"
    effort = body.get("reasoning_effort")
    if effort is not None and effort not in _efforts(model):
        yield f"unsupported effort {effort}"
    if "tools" in body and _TOOLS_ONLY_THOUGHTLESS.match(model) and effort != "none":
        yield "Function tools with reasoning_effort are not supported"


def _strict_tools(body: Body) -> Iterator[str]:
    """https://developers.openai.com/api/docs/guides/function-calling#strict-mode"""
    for tool in body.get("tools", ()):
        schema = tool["function"]["parameters"]
        closed = schema.get("additionalProperties") is False
        if tool["function"].get("strict") and not (closed and set(schema["required"]) == set(schema["properties"])):
            yield f"Invalid schema for function '{tool['function']['name']}'"


def _efforts(model: str) -> str:
    if _O_SERIES.match(model):
        return "low medium high"
    if _ALWAYS_THINKS.match(model):
        return "low medium high xhigh max"
    if re.match(r"gpt-5(-|$)", model):
        return "minimal low medium high"
    if model.startswith("gpt-5.1"):
        return "none low medium high"
    return "none low medium high xhigh" + (" max" if re.match(r"gpt-5\.6|gpt-[6-9]", model) else "")


def _mistral(body: Body) -> Iterator[str]:
    """https://docs.mistral.ai/api: extra_forbidden, code 3280 (ids), code 3230 (order of roles)"""
    yield from _unknown(body, "random_seed", without=("stream_options", "seed", "max_completion_tokens", "verbosity"))
    before = ""
    for message in body["messages"]:
        if "name" in message:
            yield "extra_forbidden: name"
        if before == "tool" and message["role"] == "user":
            yield "Unexpected role 'user' after role 'tool'"
        before = message["role"]
        ids = [call["id"] for call in message.get("tool_calls", ())]
        if any(re.fullmatch("[A-Za-z0-9]{9}", each) is None for each in ids):
            yield "Tool call id must be a-z, A-Z, 0-9, with a length of 9"
        if before == "assistant" and not message["content"] and not ids:
            yield "Assistant message must have either content or tool_calls"


def _gemini(body: Body) -> Iterator[str]:
    """https://ai.google.dev/gemini-api/docs/thought-signatures: the first call of every step must be signed."""
    for reason in _unknown(body, without=("seed", "frequency_penalty", "parallel_tool_calls", "verbosity")):
        yield f"Invalid JSON payload received. Unknown name: {reason}"
    for message in body["messages"]:
        if calls := message.get("tool_calls"):
            signed = [
                call for call in calls if call.get("extra_content", {}).get("google", {}).get("thought_signature")
            ]
            if signed != calls[:1]:
                yield "Function call is missing a thought_signature"


def _deepseek(body: Body) -> Iterator[str]:
    """https://api-docs.deepseek.com/guides/thinking_mode"""
    yield from _unspoken_json(body)
    if body.get("response_format", {}).get("type") == "json_schema":
        yield "This response_format type is unavailable now"
    if body.get("thinking") == {"type": "disabled"}:
        return
    if any("reasoning_content" not in message for message in body["messages"] if message.get("tool_calls")):
        yield "The reasoning_content in the thinking mode must be passed back to the API."
    if body.get("tool_choice", "auto") not in ("auto", "none"):
        yield "Thinking mode does not support this tool_choice"


def _lmstudio(body: Body) -> Iterator[str]:
    if isinstance(body.get("tool_choice"), dict):
        yield "Invalid tool_choice type: 'object'. Supported string values: none, auto, required"
    if body.get("response_format", {"type": "text"})["type"] not in ("json_schema", "text"):
        yield "'response_format.type' must be 'json_schema' or 'text'"


def _groq(body: Body) -> Iterator[str]:
    """https://console.groq.com/docs/structured-outputs and /docs/reasoning"""
    yield from _unspoken_json(body)
    for message in body["messages"]:
        if unknown := set(message) - _MESSAGE_FIELDS - {"reasoning"}:
            yield f"property '{unknown.pop()}' is unsupported"
    if unknown := set(body) - _FIELDS - {"reasoning_format"}:
        yield f"property '{unknown.pop()}' is unsupported"
    if "response_format" in body and (body["stream"] or "tools" in body):
        yield "response_format supports neither streaming nor tools"
    model, effort = body["model"], body.get("reasoning_effort")
    if "gpt-oss" in model and "reasoning_format" in body:
        yield "reasoning_format is not supported with this model"
    taken = {"gpt-oss": "low medium high", "qwen3-32b": "none default", "qwen3.8": "none default low medium high"}
    if effort is not None and effort not in next((words for name, words in taken.items() if name in model), ""):
        yield "reasoning_effort must be one of another kind"
