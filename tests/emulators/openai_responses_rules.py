"""What OpenAI's Responses API refuses of a request, as its documents and users say."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.emulators.openai_rules import _BLIND, _O_SERIES, _THINKS, _efforts

Body = dict[str, Any]
# The thoughts the service gave away, by their encrypted content: whose they are, and their ids.
Sealed = dict[str, tuple[str, str]]

# Those of https://developers.openai.com/api/reference/resources/responses/methods/create that the adapter may use.
_FIELDS = frozenset(
    {"model", "input", "stream", "store", "truncation", "include", "tools", "tool_choice", "parallel_tool_calls"}
    | {"max_output_tokens", "temperature", "top_p", "reasoning", "text", "prompt_cache_key"}
)
_CONTENT = {"user": ("input_text", "input_image"), "assistant": ("output_text",), "system": ("input_text",)}


@dataclass(frozen=True)
class Refused:
    """A 400, with the code and the parameter it names."""

    reason: str
    code: str | None = None
    param: str = "input"


def refusal(body: Body, sealed: Sealed) -> Refused | None:
    """Why the service refuses a request; None if it does not."""
    for rule in (_verified, _unknown, _settings, _tools, _transcript):
        for refused in rule(body):
            return refused
    return next(_thoughts(body, sealed), None)


def _verified(body: Body) -> Iterator[Refused]:
    """https://help.openai.com/en/articles/10910291-api-organization-verification"""
    if "unverified" in body["model"]:
        if "summary" in body.get("reasoning", {}):
            yield Refused("Your organization must be verified", "unsupported_value", "reasoning.summary")
        if body["stream"]:
            yield Refused("Your organization must be verified", "unsupported_value", "stream")


def _unknown(body: Body) -> Iterator[Refused]:
    if unknown := set(body) - _FIELDS:
        yield Refused(f"Unknown parameter: {sorted(unknown)}", "unknown_parameter", "seed")


def _settings(body: Body) -> Iterator[Refused]:
    model, text, reasoning = body["model"], body.get("text", {}), body.get("reasoning", {})
    if body.get("max_output_tokens", 16) < 16:
        yield Refused("Expected a value >= 16", "integer_below_min_value", "max_output_tokens")
    form = text.get("format", {"type": "text"})
    if form["type"] == "json_object" and "json" not in str(body["input"]).lower():
        yield Refused("Response input messages must contain the word 'json' in some form")
    if form["type"] == "json_schema" and not {"name", "schema"} <= set(form):
        yield Refused("Missing required parameter: 'text.format.name'")
    if not _THINKS.match(model):
        return  # what other models refuse is for the chat wire, on which they are asked
    if {"temperature", "top_p"} & set(body):
        yield Refused("Unsupported parameter: 'temperature'", param="temperature")
    if _O_SERIES.match(model) and ("parallel_tool_calls" in body or "verbosity" in text):
        yield Refused("Unsupported parameter: 'parallel_tool_calls'")
    named = "medium high xhigh" if "-pro" in model else "low medium high xhigh" if "codex" in model else _efforts(model)
    if (effort := reasoning.get("effort")) is not None and effort not in named:
        yield Refused(f"Unsupported value: '{effort}'", "unsupported_value", "reasoning.effort")


def _tools(body: Body) -> Iterator[Refused]:
    """https://developers.openai.com/api/docs/guides/function-calling#strict-mode"""
    names = [tool["name"] for tool in body.get("tools", ())]
    for tool in body.get("tools", ()):
        schema = tool["parameters"]
        closed = schema.get("additionalProperties") is False
        # Where nothing is said, the service makes the schema strict itself, and optional arguments required.
        if tool.get("strict", True) and not (closed and set(schema["required"]) == set(schema["properties"])):
            yield Refused(f"Invalid schema for function '{tool['name']}'", "invalid_function_parameters", "tools")
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, dict) and choice.get("name") not in names:
        yield Refused("Tool choice not found in 'tools' parameter.", param="tool_choice")
    if choice == "required" and not names:
        yield Refused("Tool choice 'required' must be specified with 'tools' parameter.", param="tool_choice")


def _transcript(body: Body) -> Iterator[Refused]:
    """https://developers.openai.com/api/docs/guides/function-calling, and the refusals as users quote them."""
    if not body["input"]:
        yield Refused("One of 'input' must be provided.")
    calls: list[str] = []
    waiting: list[str] = []
    for at, item in enumerate(body["input"]):
        match item["type"]:
            case "message":
                yield from _said(at, item, body["model"])
            case "function_call":
                if len(item["call_id"]) > 64 or not re.fullmatch("[!-~]+", item["call_id"]):
                    yield Refused(f"Invalid 'input[{at}].call_id': string too long.", "string_above_max_length")
                if not item.get("id", "fc").startswith("fc") or not isinstance(item["arguments"], str):
                    yield Refused(f"Invalid 'input[{at}].id'. Expected an ID that begins with 'fc'.")
                if item["call_id"] in calls:
                    yield Refused(f"Duplicate item found with id {item['call_id']}.")
                calls.append(item["call_id"])
                waiting.append(item["call_id"])
            case "function_call_output":
                if item["call_id"] not in waiting:
                    yield Refused(f"No tool call found for function call output with call_id {item['call_id']}.")
                    return
                waiting.remove(item["call_id"])
                parts = item["output"] if isinstance(item["output"], list) else []
                if any(part["type"] not in _CONTENT["user"] for part in parts):
                    yield Refused(f"Invalid value: 'input[{at}].output'.", "invalid_value")
            case "reasoning":
                continue
            case other:
                yield Refused(f"Invalid value: '{other}'.", "invalid_value")
    if waiting:
        yield Refused(f"No tool output found for function call {waiting[0]}.")


def _said(at: int, item: Body, model: str) -> Iterator[Refused]:
    if item["role"] not in _CONTENT:
        yield Refused(f"Invalid value: 'input[{at}].role'.", "invalid_value")
        return
    if unknown := set(item) - {"type", "role", "content", "phase"}:
        yield Refused(f"Unknown parameter: 'input[{at}].{unknown.pop()}'.", "unknown_parameter")
    parts = item["content"] if isinstance(item["content"], list) else [{"type": _CONTENT[item["role"]][0]}]
    for part in parts:
        if part["type"] not in _CONTENT[item["role"]]:
            yield Refused(f"Invalid value: '{part['type']}'.", "invalid_value")
        if part["type"] == "input_image" and (_BLIND.match(model) or not part["image_url"]):
            yield Refused(f"Invalid 'input[{at}]': image input is not supported with this model.")
    if not parts or ("phase" in item and item["role"] != "assistant"):
        yield Refused(f"Invalid value: 'input[{at}].content'.", "invalid_value")


def _thoughts(body: Body, sealed: Sealed) -> Iterator[Refused]:
    """https://developers.openai.com/api/docs/guides/reasoning, and the service's refusals as users quote them."""
    seen: set[str] = set()
    for at, item in enumerate(body["input"]):
        if item["type"] != "reasoning":
            continue
        name, after = item["id"], [each["type"] for each in body["input"][at + 1 :]]
        after = after[next((n for n, kind in enumerate(after) if kind != "reasoning"), len(after)) :]
        follows = body["input"][len(body["input"]) - len(after)] if after else {}
        if not isinstance(item.get("summary"), list):
            yield Refused(f"Missing required parameter: 'input[{at}].summary'")
        if name in seen:
            yield Refused(f"Duplicate item found with id {name}.")
        if sealed.get(item["encrypted_content"]) != (body["model"], name):
            yield Refused(f"The encrypted content for item {name} could not be verified.", "invalid_encrypted_content")
        if follows.get("type") != "function_call" and follows.get("role") != "assistant":
            yield Refused(f"Item '{name}' of type 'reasoning' was provided without its required following item.")
        seen.add(name)
