"""What the emulated models of OpenAI's wire say: sane ones by default, and every oddity of a server by a name."""

import json
from typing import Any

Body = dict[str, Any]

USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def deltas(body: Body) -> list[Body]:
    """The reply to a request, in pieces."""
    tools = [tool["function"]["name"] for tool in body.get("tools") or ()]
    if (odd := _oddities(tools or ["one"]).get(body["model"])) is not None:
        return odd
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        return _split_call(choice["function"]["name"])
    if choice in ("required", "any"):
        return _split_call(tools[0])
    text = "You said: " + _said(body)
    if form := body.get("response_format"):
        text = json.dumps(_formed(form.get("json_schema", {}).get("schema", {}), text))
    middle = min(len(text) - 1, len("You said: "))
    return [{"role": "assistant", "content": ""}, {"content": text[:middle]}, {"content": text[middle:]}]


def odd_models() -> list[str]:
    """The names of the models that do not answer as a sane one."""
    return list(_oddities(["one"]))


def call(index: int | None, call_id: str | None, name: str, arguments: object) -> Body:
    """A tool call; without an index or an id where they are None."""
    function = {"name": name, "arguments": arguments}
    told: Body = {"index": index, "id": call_id, "type": "function", "function": function}
    return {name: value for name, value in told.items() if value is not None}


def whole(body: Body) -> Body:
    """The reply in one piece."""
    content, calls = "", []
    for delta in deltas(body):
        content += delta.get("content") or ""
        calls += delta.get("tool_calls", [])
    if any("id" not in each for each in calls):  # they came in pieces
        text = "".join(each["function"]["arguments"] for each in calls)
        calls = [call(None, "call_1", calls[0]["function"]["name"], text)]
    message: Body = {"role": "assistant", "content": content or None, "tool_calls": calls or None}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": USAGE}


def _said(body: Body) -> str:
    content = next((each["content"] for each in reversed(body["messages"]) if each["role"] == "user"), "")
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _formed(schema: Body, text: str) -> Body:
    """What fits a schema: a call where it is one, else the text."""
    schema = schema.get("oneOf", [schema])[0]
    if tool := schema.get("properties", {}).get("tool"):
        return {"tool": tool["const"], "arguments": {"text": "x"}}
    return {"answer": text}


def _split_call(name: str) -> list[Body]:
    return [
        {"tool_calls": [call(0, "call_1", name, "")]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"text": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"x"}'}}]},
    ]


def _oddities(tools: list[str]) -> dict[str, list[Body]]:
    """Replies by the model that gives them."""
    first, last = tools[0], tools[-1]
    pieces = [call(0, "a", "one", '{"x": '), call(0, "a", "one", "1}"), call(0, "b", "two", "{}")]
    return {
        "silent": [{"role": "assistant", "content": ""}],
        "empty": [],
        "thinker": [{"reasoning_content": "hm "}, {"reasoning_content": "yes"}, {"content": "Done."}],
        "odd-types": [{"content": 5, "tool_calls": "none"}, {"content": "fine", "reasoning_content": {}}],
        "duplicate-ids": [
            {"tool_calls": [call(0, "same", "one", "{}")]},
            {"tool_calls": [call(1, "same", "two", "{}")]},
        ],
        "bad-arguments": [{"tool_calls": [call(0, "a", "one", '{"x": ')]}],
        "parallel": [
            {"tool_calls": [call(0, "a", first, '{"text": "x"}')]},
            {"tool_calls": [call(1, "b", last, '{"text": '), {"index": 1, "function": {"arguments": '"y"}'}}]},
        ],
        # older vLLM, Gemini: every call is number 0, or has no number
        "all-zero": [{"tool_calls": [call(0, "a", "one", "{}")]}, {"tool_calls": [call(0, "b", "two", "{}")]}],
        "all-zero-no-ids": [{"tool_calls": [call(0, None, "one", "{}")]}, {"tool_calls": [call(0, None, "two", "{}")]}],
        "no-index": [
            {"tool_calls": [call(None, "a", "one", '{"x": ')]},
            {"tool_calls": [{"function": {"arguments": "1}"}}]},
            {"tool_calls": [call(None, "b", "two", "{}")]},
        ],
        # proxies that repeat id and name with every piece
        "repeated-names": [{"tool_calls": [each]} for each in pieces],
        "whole-calls": [{"tool_calls": [call(0, "a", "one", "{}"), call(1, "b", "two", "{}")]}],
        "object-arguments": [{"tool_calls": [call(0, "a", "one", {"x": 1})]}],
        "nulls": [
            {"role": None, "content": None, "tool_calls": None, "reasoning": None, "function_call": None},
            {"content": "fine", "tool_calls": [], "refusal": None},
        ],
        "function-call": [
            {"function_call": {"name": "one", "arguments": '{"x":'}},
            {"function_call": {"arguments": "1}"}},
        ],
        # vLLM since 0.12, Groq, Cerebras, OpenRouter
        "reasoning": [{"reasoning": "hm"}, {"content": "Done."}],
        "both-reasonings": [{"reasoning": "hm", "reasoning_content": "hm"}, {"content": "Done."}],
        "tagged": [{"content": "<thi"}, {"content": "nk>hm</think>\n\nDone."}],
        # Mistral: https://docs.mistral.ai/capabilities/reasoning
        "parts": [
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
            {"content": [{"type": "text", "text": "Do"}]},
            {"content": "ne."},
        ],
        # OpenRouter: https://openrouter.ai/docs/guides/best-practices/reasoning-tokens
        "details": [
            {"reasoning": "h", "reasoning_details": [{"type": "reasoning.text", "text": "h", "index": 0, "id": "r"}]},
            {"reasoning": "m", "reasoning_details": [{"type": "reasoning.text", "text": "m", "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.text", "signature": "sig", "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "xyz", "index": 1}]},
            {"tool_calls": [call(0, "a", first, '{"text": "x"}')]},
        ],
        "details-alone": [
            {"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]},
            {"content": "Done."},
        ],
        # Gemini: https://ai.google.dev/gemini-api/docs/thought-signatures
        "signed": [
            {
                "tool_calls": [
                    call(0, "a", first, '{"text": "x"}') | {"extra_content": {"google": {"thought_signature": "sig"}}},
                    call(1, "b", last, '{"text": "y"}'),
                ]
            }
        ],
    }
