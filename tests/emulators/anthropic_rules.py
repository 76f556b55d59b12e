"""What Anthropic's service refuses of a request, each rule with where it is documented.

Sources: the API reference of `POST /v1/messages` (ref), and the vendor's pages on thinking, preserved thinking, tool
use, vision, prompt caching, structured outputs, API versions and errors, as they stood in November 2026.
"""

import hashlib
import json
import re
from typing import Any

Body = dict[str, Any]

# Rejected thinking types by model (thinking troubleshooting, and each model's "what's new").
_ALWAYS = ("enabled", "disabled", "between_tools")
REFUSED_THINKING = {
    "claude-fable-5-2": _ALWAYS,
    "claude-fable-5-1": _ALWAYS,
    "claude-fable-5": _ALWAYS,
    "claude-opus-5-5": _ALWAYS,
    "claude-sonnet-5-5": ("enabled", "disabled"),
    "claude-haiku-5-5": ("enabled", "between_tools"),
    "claude-opus-5": ("enabled", "between_tools"),
    "claude-sonnet-5": ("enabled", "between_tools"),
    "claude-opus-4-8": ("enabled", "between_tools"),
    "claude-opus-4-7": ("enabled", "between_tools"),
    "claude-opus-4-6": ("between_tools",),
    "claude-sonnet-4-6": ("between_tools",),
    "claude-opus-4-5": ("adaptive", "between_tools"),
    "claude-sonnet-4-5": ("adaptive", "between_tools"),
    "claude-haiku-4-5": ("adaptive", "between_tools"),
}
# On by default (the same page).
THINKS_BY_DEFAULT = tuple(REFUSED_THINKING)[:8]
# Forced tool use "is not supported" (what's new in each).
NO_FORCED_CALL = ("claude-fable-5-2", "claude-fable-5-1", "claude-opus-5-5", "claude-sonnet-5-5")
# Their thinking blocks are bound to the conversation (preserved thinking).
BOUND = (*NO_FORCED_CALL, "claude-haiku-5-5")
# Models that still take sampling settings, under the older API version and without thinking.
SAMPLED = ("claude-opus-4-6", "claude-sonnet-4-6", "claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5")
MOST_OUTPUT = {"claude-opus-4-5": 64_000, "claude-sonnet-4-5": 64_000, "claude-haiku-4-5": 64_000} | {
    "claude-novella-7": 256_000
}
# Effort (the page's list of models).
_NO_EFFORT = ("claude-sonnet-4-5", "claude-haiku-4-5")
_NO_XHIGH = ("claude-opus-4-6", "claude-sonnet-4-6", "claude-opus-4-5")

_FIELDS = {
    "model", "messages", "max_tokens", "stream", "system", "tools", "tool_choice", "thinking", "output_config",
    "metadata", "stop_sequences", "cache_control", "service_tier",
}  # fmt: skip
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MEDIA_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_UNSUPPORTED_KEYWORDS = {"minimum", "maximum", "minLength", "maxLength", "pattern", "oneOf", "maxItems"}
_BINDING_BETA = "thinking-binding-controls-2026-08-01"


class Refused(Exception):
    """A 400 `invalid_request_error`; the text is the service's prose."""


def check(body: Body, headers: dict[str, str], thoughts: dict[str, "Thought"]) -> None:
    """Raises Refused. `thoughts` are the proofs the service has given, by signature."""
    model = re.sub(r"-\d{8}$", "", body.get("model", ""))
    _fields(body, headers, model)
    _tools(body, model)
    _thinking(body, headers, model)
    _cache(body)
    _transcript(body, model)
    _proofs(body, thoughts)
    _in_loop(body)


class Thought:
    """A thought the service gave away: its text, and what stood before it."""

    def __init__(self, body: Body, text: str) -> None:
        self.text, self.model = text, body["model"]
        self.before = prefix(body, len(body["messages"]))


def prefix(body: Body, until: int) -> str:
    """What a thinking block is bound to: system prompt, tools and messages before it, marks and thoughts aside."""
    messages = [
        [message["role"], [block for block in blocks(message) if not block["type"].endswith("thinking")]]
        for message in body["messages"][:until]
    ]
    told = json.dumps([body.get("system"), body.get("tools"), messages], sort_keys=True)
    return hashlib.sha256(re.sub(r'"cache_control": {[^}]*}(, )?', "", told).encode()).hexdigest()


def blocks(message: Body) -> list[Body]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def thinks(body: Body) -> bool:
    kind = (body.get("thinking") or {}).get("type")
    return kind in ("enabled", "adaptive") if kind else body["model"] in (*THINKS_BY_DEFAULT, "thinker")


def _refuse_if(wrong: object, prose: str) -> None:
    if wrong:
        raise Refused(prose)


def _fields(body: Body, headers: dict[str, str], model: str) -> None:
    version = headers.get("anthropic-version", "")
    _refuse_if(not version, "anthropic-version: header is required")  # API versions
    sampling = {"temperature", "top_p", "top_k"} & set(body)
    # API versions: 2026-10-21 removed all three. Servers of other vendors' models know nothing of versions.
    known = version == "2023-06-01" or not model.startswith("claude-")
    unknown = set(body) - _FIELDS - (sampling if known else set())
    _refuse_if(unknown, f"{', '.join(sorted(unknown))}: Extra inputs are not permitted")
    if sampling and model.startswith("claude-"):
        _refuse_if(model not in SAMPLED, "`temperature` is deprecated for this model.")
        _refuse_if(len(sampling) > 1, "`temperature` and `top_p` cannot both be specified for this model.")
        _refuse_if(thinks(body), "`temperature` may only be set to 1 when thinking is enabled.")  # thinking
        _refuse_if(not 0 <= body.get("temperature", 1) <= 1, "temperature: range: 0..1")  # ref of the older version
    most = body.get("max_tokens", 0)
    _refuse_if(most < 1, "max_tokens: Field required")  # ref
    if model.startswith("claude-"):
        _refuse_if(most > MOST_OUTPUT.get(model, 128_000), f"max_tokens: {most} is more than this model can write")


def _tools(body: Body, model: str) -> None:
    tools = body.get("tools", [])
    names = [tool.get("name", "") for tool in tools]
    _refuse_if(len(set(names)) != len(names), "tools: Tool names must be unique.")  # ref
    for tool in tools:
        # ref: ^[a-zA-Z0-9_-]{1,64}$
        _refuse_if(not _TOOL_NAME.fullmatch(tool.get("name", "")), "tools.0.name: String should match pattern")
        _refuse_if(tool.get("input_schema", {}).get("type") != "object", "tools.0.input_schema.type: Field required")
        _refuse_if(tool.get("description") == "", "tools.0.description: at least 1 character")
        if tool.get("strict"):
            _schema(tool["input_schema"])
    _refuse_if(sum(bool(tool.get("strict")) for tool in tools) > 20, "Too many strict tools")  # structured outputs
    used = any(block["type"] == "tool_use" for message in body.get("messages", []) for block in blocks(message))
    _refuse_if(used and not tools, "Requests which include `tool_use` or `tool_result` blocks must define tools")
    choice = body.get("tool_choice")
    _refuse_if(choice and not tools, "tool_choice: may only be specified while providing `tools`.")  # ref
    if choice:
        kind = choice["type"]
        _refuse_if(kind not in ("auto", "any", "tool", "none"), "tool_choice: unknown type")
        _refuse_if(kind == "none" and len(choice) > 1, "tool_choice.none: Extra inputs are not permitted")  # ref
        _refuse_if(kind == "tool" and choice["name"] not in names, "Tool not found in provided tools")
        forced = kind in ("any", "tool")
        _refuse_if(
            forced and model in NO_FORCED_CALL, 'tool_choice: type "tool" and "any" are not supported for this model.'
        )
        enabled = (body.get("thinking") or {}).get("type") == "enabled"
        _refuse_if(forced and enabled, "Thinking may not be enabled when tool_choice forces tool use.")  # thinking
    form = (body.get("output_config") or {}).get("format")
    if form is not None:
        _refuse_if(form.get("type") != "json_schema", "output_config.format.type: Input should be 'json_schema'")
        _refuse_if(set(form) != {"type", "schema"}, "output_config.format: Extra inputs are not permitted")
        _schema(form["schema"])


def _schema(schema: Any) -> None:
    """Structured outputs, "JSON Schema limitations"."""
    if isinstance(schema, list):
        for each in schema:
            _schema(each)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        _refuse_if(schema.get("additionalProperties") is not False, "'additionalProperties' must be set to false")
    _refuse_if(_UNSUPPORTED_KEYWORDS & set(schema), "properties are not supported in structured outputs")
    for each in schema.values():
        _schema(each)


def _thinking(body: Body, headers: dict[str, str], model: str) -> None:
    thinking = body.get("thinking")
    effort = (body.get("output_config") or {}).get("effort")
    _refuse_if(effort not in (None, "low", "medium", "high", "xhigh", "max"), "output_config.effort: unknown")
    _refuse_if(effort and model in _NO_EFFORT, "This model does not support the effort parameter.")
    _refuse_if(effort == "xhigh" and model in _NO_XHIGH, "This model does not support effort level 'xhigh'.")
    if thinking is None:
        return
    kind = thinking["type"]
    _refuse_if(kind in REFUSED_THINKING.get(model, ()), f'"thinking.type.{kind}" is not supported for this model.')
    allowed = {
        "enabled": {"budget_tokens", "display", "block_binding"},
        "adaptive": {"display", "block_binding"},
    }.get(kind, set())  # what's new in Sonnet 5.5: between_tools takes no other field; thinking: nor does disabled
    _refuse_if(set(thinking) - allowed - {"type"}, f"thinking.{kind}: Extra inputs are not permitted")
    if kind == "enabled":
        budget = thinking.get("budget_tokens", 0)
        _refuse_if(budget < 1024, "thinking.enabled.budget_tokens: greater than or equal to 1024")  # ref
        _refuse_if(budget >= body["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`.")  # ref
    off = kind in ("disabled", "between_tools")
    _refuse_if(off and effort in ("xhigh", "max"), "thinking cannot be off at this effort")  # thinking
    betas = headers.get("anthropic-beta", "").split(",")
    bound = "block_binding" in thinking
    _refuse_if(bound and _BINDING_BETA not in betas, "thinking.block_binding: Extra inputs are not permitted")


def _cache(body: Body) -> None:
    held = [body.get("tools", []), body.get("system", []), *(message["content"] for message in body["messages"])]
    marked = [block for each in held if isinstance(each, list) for block in each if "cache_control" in block]
    # Prompt caching: up to 4 breakpoints; thinking blocks cannot be marked.
    _refuse_if(len(marked) > 4, "A maximum of 4 blocks with cache_control may be provided.")
    _refuse_if(any(block.get("type") == "thinking" for block in marked), "thinking.cache_control: not permitted")


def _transcript(body: Body, model: str) -> None:
    messages = body["messages"]
    _refuse_if(not messages, "messages: at least one message is required")
    for block in body.get("system", []):
        _refuse_if(not block["text"].strip(), "system: text content blocks must be non-empty")
    # Of the ref, and of the older models' pages: the first is the user's.
    _refuse_if(messages[0]["role"] != "user", 'messages: first message must use the "user" role')
    # Errors, "prefill not supported"; thinking: none with it either.
    _refuse_if(messages[-1]["role"] != "user", "This model does not support assistant message prefill.")
    seen: set[str] = set()
    for index, message in enumerate(messages):
        _refuse_if(message["role"] not in ("user", "assistant"), f"messages.{index}.role: unknown")
        _refuse_if(set(message) != {"role", "content"}, f"messages.{index}: Extra inputs are not permitted")
        _refuse_if(not message["content"], f"messages.{index}: all messages must have non-empty content")
        for block in blocks(message):
            _block(message["role"], block)
        calls = [block["id"] for block in blocks(message) if block["type"] == "tool_use"]
        _refuse_if(seen & set(calls) or len(set(calls)) != len(calls), "messages: `tool_use` ids must be unique")
        seen |= set(calls)
        following = blocks(messages[index + 1]) if index + 1 < len(messages) else []
        results = [block["tool_use_id"] for block in following if block["type"] == "tool_result"]
        # Tool use: every call is answered in the very next message, the results before anything else in it.
        _refuse_if(
            set(calls) - set(results), "`tool_use` ids were found without `tool_result` blocks immediately after"
        )
        _refuse_if(set(results) - set(calls), "unexpected `tool_use_id` found in `tool_result` blocks")
        _refuse_if(len(set(results)) != len(results), "each tool_use must have a single result")
        kinds = [block["type"] == "tool_result" for block in following]
        _refuse_if(kinds != sorted(kinds, reverse=True), "tool_result blocks must come first")
    first = [block for block in blocks(messages[0]) if block["type"] == "tool_result"]
    _refuse_if(first, "unexpected `tool_use_id` found in `tool_result` blocks")


def _block(role: str, block: Body) -> None:
    match block["type"]:
        case "text":
            _refuse_if(not block["text"].strip(), "messages: text content blocks must contain non-whitespace text")
        case "image":
            _refuse_if(role == "assistant", "image blocks are not permitted in assistant messages")
            _image(block["source"])
        case "tool_use":
            _refuse_if(role != "assistant", "`tool_use` blocks can only be in assistant messages")
            _refuse_if(not _ID.fullmatch(block["id"]), "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
            _refuse_if(not _TOOL_NAME.fullmatch(block["name"]), "tool_use.name: String should match pattern")
            _refuse_if(not isinstance(block["input"], dict), "tool_use.input: Input should be a valid dictionary")
        case "tool_result":
            _refuse_if(role != "user", "`tool_result` blocks can only be in user messages")
            content = block.get("content", [])
            for each in content if isinstance(content, list) else ():
                _block("user", each)
            texts = isinstance(content, str) or all(each["type"] == "text" for each in content)
            _refuse_if(block.get("is_error") and not texts, "all content must be type text if is_error is true")
        case "thinking" | "redacted_thinking":
            _refuse_if(role != "assistant", "thinking blocks can only be in assistant messages")
        case unknown:
            raise Refused(f"Input tag '{unknown}' found using 'type' does not match any of the expected tags")


def _image(source: Body) -> None:
    """Vision: four media types by value, else an HTTPS address."""
    if source["type"] == "base64":
        _refuse_if(source["media_type"] not in _MEDIA_TYPES, "source.media_type: unknown")
        _refuse_if(not source["data"], "image cannot be empty")
    else:
        _refuse_if(not source["url"].startswith("https://"), "Only HTTPS URLs are supported.")


def _proofs(body: Body, thoughts: dict[str, Thought]) -> None:
    """Thinking encryption: proofs are ours, and on unchanged text; preserved thinking: and on an unchanged prefix."""
    binding = (body.get("thinking") or {}).get("block_binding") or {}
    for index, message in enumerate(body["messages"]):
        for block in blocks(message):
            if block["type"] not in ("thinking", "redacted_thinking"):
                continue
            proof = block["signature"] if block["type"] == "thinking" else block["data"]
            thought = thoughts.get(proof)
            _refuse_if(thought is None, f"messages.{index}.content.0: Invalid `signature` in `thinking` block")
            assert thought is not None
            if block["type"] == "thinking":
                changed = thought.text and block["thinking"] != thought.text
                _refuse_if(changed, "`thinking` blocks in the latest assistant message cannot be modified")
            if thought.model in BOUND and body["model"] == thought.model:
                moved = (
                    thought.before != prefix(body, index) and binding.get("prefix_mismatch_behavior") != "drop_block"
                )
                _refuse_if(moved, "Invalid `signature`. The block is bound to a different conversation.")


def _in_loop(body: Body) -> None:
    """Thinking with tools, by budget: the assistant's part of the turn that goes on begins with a thought."""
    if (body.get("thinking") or {}).get("type") != "enabled":
        return
    messages = body["messages"]
    first = len(messages)
    while first >= 2 and any(block["type"] == "tool_result" for block in blocks(messages[first - 1])):
        first -= 2
    if first < len(messages):
        found = blocks(messages[first])[0]["type"]
        _refuse_if(
            not found.endswith("thinking"),
            f"messages.{first}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`.",
        )
