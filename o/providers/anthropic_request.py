"""The body of a request to Anthropic's Messages API: how the model is to think, call, answer, and what to cache."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from o.domain.json import JsonObject
from o.domain.model import ModelRequest, Sampling, ToolSpec
from o.providers.anthropic_messages import begins_with_thought, system_blocks, wire_messages, wire_name
from o.providers.anthropic_models import Claude
from o.providers.schema_tools import in_plain_words, offered

# The SDK's, since API version 2026-10-21 takes no sampling settings at all; the one before, for models that still do.
_SAMPLING_VERSION = {"anthropic-version": "2023-06-01"}
_BINDING_BETA = "thinking-binding-controls-2026-08-01"
_INTERLEAVED_BETA = "interleaved-thinking-2025-05-14"

# Tokens of thinking where a model wants to be told how many; the vendor names only the least, the others are ours.
_LEAST_BUDGET = 1_024
_BUDGETS = {"minimal": _LEAST_BUDGET, "low": 4_096, "medium": 8_192, "high": 16_384, "xhigh": 32_768}
_ANSWER = 1_024  # tokens of a reply that are kept for what comes after the thoughts
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh"}

# The service's limits of one request: strict tools, and properties of theirs that may be left out.
_MOST_STRICT, _MOST_OPTIONAL = 20, 24


@dataclass(frozen=True, slots=True)
class Body:
    """A request as it is sent.

    Attributes:
        thoughts: whether thoughts go back with it.
    """

    fields: JsonObject
    headers: dict[str, str]
    thoughts: bool


def build(
    request: ModelRequest,
    model: Claude,
    *,
    signer: str,
    fit: Callable[[JsonObject], JsonObject] | None = None,
    thoughts: bool = True,
) -> Body:
    """The body of a request that was adapted to the model's profile.

    Args:
        signer: whose thoughts the server has proofs for.
        fit: makes a JSON schema one the service can hold a reply to; raises ValueError where it cannot, which for the
            reply's own form the caller has seen to. Needed only where `needs_fit` says so.
        thoughts: whether earlier thoughts may go back.
    """
    most = request.sampling.max_tokens or model.profile.max_output_tokens
    if model.own:
        most = min(most, model.profile.max_output_tokens)
    messages = request.messages if request.tools else in_plain_words(request.messages)  # calls ask for their tools
    turns = wire_messages(messages, signer=signer if thoughts else None)
    thinking = _thinking(request, model, most, may=begins_with_thought(turns))
    replayed = any(block["type"].endswith("thinking") for turn in turns for block in turn["content"])
    if replayed and not thinking.on:
        turns, replayed = wire_messages(messages, signer=None), False
    if _demanded(request) and not model.forced:
        turns[-1]["content"].append({"type": "text", "text": _demand(request)})
    body: JsonObject = {"model": request.model, "max_tokens": most, "messages": turns, "stream": True}
    if system := system_blocks(messages):
        body["system"] = system
    if request.tools:
        body["tools"] = _tools(request, fit)
        body["tool_choice"] = _tool_choice(request, model)
    if thinking.field:
        body["thinking"] = thinking.field
    output: JsonObject = {"effort": thinking.effort} if thinking.effort else {}
    if request.response_format and fit:
        schema = request.response_format["json_schema"]["schema"]
        output |= {"format": {"type": "json_schema", "schema": fit(schema)}}
    if output:
        body["output_config"] = output
    settings = {} if thinking.on else _sampling(request.sampling, model)
    if model.own:
        _mark(body)
    headers = dict(_SAMPLING_VERSION) if settings and model.own else {}
    if thinking.betas:
        headers["anthropic-beta"] = ",".join(thinking.betas)
    return Body(body | settings, headers, replayed)


def needs_fit(request: ModelRequest) -> bool:
    """Whether a schema of the request must be one the service can hold a reply to."""
    return bool(request.response_format) or (request.strict and bool(request.tools))


def fits(request: ModelRequest, fit: Callable[[JsonObject], JsonObject]) -> bool:
    """Whether the service can hold the reply to the form that is asked for; it knows none but schemas."""
    if request.response_format is None:
        return True
    try:
        fit(request.response_format["json_schema"]["schema"])
    except (KeyError, ValueError):
        return False
    return True


def call_is_owed(request: ModelRequest, model: Claude) -> bool:
    """Whether a call was demanded in words alone, so that the model may have failed to make one."""
    return _demanded(request) and not model.forced


@dataclass(frozen=True, slots=True)
class _Thinking:
    on: bool = False
    field: JsonObject | None = None
    effort: str | None = None
    betas: tuple[str, ...] = ()


def _thinking(request: ModelRequest, model: Claude, most: int, *, may: bool) -> _Thinking:
    sampling = request.sampling
    if model.thinks == "adaptive":
        return _adaptive(sampling, model)
    if model.thinks is None or not _wanted(sampling) or not may or _demanded(request):
        # Thinking by budget goes with no demanded call, and cannot begin in the middle of a turn.
        return _Thinking()
    budget = sampling.reasoning_tokens or _BUDGETS.get(sampling.reasoning_effort or "", _BUDGETS["medium"])
    budget = min(max(budget, _LEAST_BUDGET), most - _ANSWER)
    if budget < _LEAST_BUDGET:
        return _Thinking()
    betas = (_INTERLEAVED_BETA,) if request.tools and model.own else ()
    return _Thinking(True, {"type": "enabled", "budget_tokens": budget}, betas=betas)


def _adaptive(sampling: Sampling, model: Claude) -> _Thinking:
    wanted = _wanted(sampling)
    on = model.by_default if wanted is None else wanted
    effort = _effort(sampling.reasoning_effort, model)
    if not on and model.off is None:
        on, effort = True, "low" if "low" in model.efforts else None  # as little as it can
    if not on:
        # Neither word that stops it goes with the greatest efforts.
        effort = "high" if effort == "xhigh" else effort
        return _Thinking(False, {"type": model.off} if model.by_default else None, effort)
    field: JsonObject = {"type": "adaptive"}
    if wanted:
        field["display"] = "summarized"  # newer models show nothing of their thoughts otherwise
    if model.bound:
        # The system prompt of an agent changes whenever its memory does. Its thoughts until then are refused by
        # newer models, and the request with them, unless they may be dropped.
        field["block_binding"] = {"prefix_mismatch_behavior": "drop_block"}
    needed = len(field) > 1 or not model.by_default
    return _Thinking(True, field if needed else None, effort, (_BINDING_BETA,) if model.bound else ())


def _wanted(sampling: Sampling) -> bool | None:
    """Whether it shall think; None leaves it to the vendor."""
    if sampling.reasoning is False or sampling.reasoning_effort == "none":
        return False
    asked = sampling.reasoning or sampling.reasoning_effort or sampling.reasoning_tokens
    return True if asked else None


def _effort(asked: str | None, model: Claude) -> str | None:
    effort = _EFFORTS.get(asked or "")
    if effort == "xhigh" and effort not in model.efforts:
        effort = "high"
    return effort if effort in model.efforts else None


def _sampling(sampling: Sampling, model: Claude) -> JsonObject:
    settings: JsonObject = {}
    if sampling.temperature is not None:
        settings["temperature"] = min(sampling.temperature, 1.0) if model.own else sampling.temperature
    if sampling.top_p is not None and not (model.own and settings):  # the service takes one of them
        settings["top_p"] = sampling.top_p
    return settings


def _demanded(request: ModelRequest) -> bool:
    return bool(request.tools) and request.tool_choice.mode in ("required", "named")


def _demand(request: ModelRequest) -> str:
    which = ", ".join(f"`{wire_name(tool.name)}`" for tool in offered(request))
    words = f"Call the tool {which}" if request.tool_choice.mode == "named" else f"Call one of the tools {which}"
    return f"<system>\n{words} now: only a call is an answer.\n</system>"


def _tool_choice(request: ModelRequest, model: Claude) -> JsonObject:
    mode = request.tool_choice.mode
    if mode == "none":
        return {"type": "none"}
    choice: JsonObject = {"type": "auto"}
    if mode == "required" and model.forced:
        choice = {"type": "any"}
    elif mode == "named" and model.forced:
        choice = {"type": "tool", "name": wire_name(request.tool_choice.name or "")}
    return choice if request.parallel_tool_calls else choice | {"disable_parallel_tool_use": True}


def _tools(request: ModelRequest, fit: Callable[[JsonObject], JsonObject] | None) -> list[JsonObject]:
    schemas = [tool.parameters or {"type": "object", "properties": {}} for tool in request.tools]
    closed = [request.strict and fit is not None and _closed(schema) for schema in schemas]
    optional = sum(_optional(schema) for schema, strict in zip(schemas, closed, strict=True) if strict)
    many = sum(closed) > _MOST_STRICT or optional > _MOST_OPTIONAL
    return [
        _tool(tool, schema, fit if strict and not many else None)
        for tool, schema, strict in zip(request.tools, schemas, closed, strict=True)
    ]


def _tool(tool: ToolSpec, schema: JsonObject, fit: Callable[[JsonObject], JsonObject] | None) -> JsonObject:
    sent: JsonObject = {"name": wire_name(tool.name), "input_schema": schema}
    if tool.description.strip():
        sent["description"] = tool.description
    if fit is not None:
        try:
            sent |= {"input_schema": fit(schema), "strict": True}
        except ValueError:
            return sent  # a schema that nothing can be held to: the model still sees it
    return sent


def _closed(schema: Any) -> bool:
    """Whether every object in a schema is listed whole: only then does strictness take nothing from it."""
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        return False
    return all(_closed(value) for value in schema.values())


def _optional(schema: Any) -> int:
    if isinstance(schema, list):
        return sum(map(_optional, schema))
    if not isinstance(schema, dict):
        return 0
    own = schema.get("properties")
    free = len(set(own) - set(schema.get("required", ()))) if isinstance(own, dict) else 0
    return free + sum(map(_optional, schema.values()))


def _mark(body: JsonObject) -> None:
    """Marks what the service shall keep in its prompt cache, at the four places it allows.

    A prompt is tools, system prompt, messages, in this order, and is kept up to each mark. After the tools: they stay
    when the agent's memory, which is in its system prompt, changes. After the system prompt: it is shared by the
    conversations of an agent. After the last two turns of the user: the next step of this turn begins with all that
    this one sent, and the service looks back no more than 20 blocks from a mark for what it has kept.
    """
    places = [body.get("tools", []), body.get("system", [])]
    places += [turn["content"] for turn in body["messages"] if turn["role"] == "user"][-2:]
    for blocks in places:
        if blocks:
            blocks[-1]["cache_control"] = {"type": "ephemeral"}
