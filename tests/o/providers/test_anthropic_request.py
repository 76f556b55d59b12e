"""How Anthropic's models are asked: to think, to call, and what of the prompt is to be kept in its cache."""

from dataclasses import replace
from typing import Any

import pytest

from o.domain.json import JsonObject
from o.domain.messages import ReasoningPart, ToolCall, ToolReturn
from o.domain.model import Sampling, ToolChoice
from o.domain.price import Price
from o.providers.anthropic_models import Claude, known_model, next_page, read_models, unknown_model
from o.providers.anthropic_request import Body, build
from tests.emulators.requests import NOTE, message, request

DROP = {"block_binding": {"prefix_mismatch_behavior": "drop_block"}}
SHOWN = {"display": "summarized"}
THOUGHT = message("assistant", (ReasoningPart("hm", "proof", "anthropic"),), calls=(ToolCall("a", "take_note", "{}"),))
BACK = message("tool", returns=(ToolReturn("a", "done"),))


def _model(name: str) -> Claude:
    return known_model(name) or unknown_model(name)


def _body(name: str, sampling: Sampling, *said: Any, choice: ToolChoice | None = None) -> Body:
    asked = request(name, *(said or ("hi",)), tools=(NOTE,), sampling=sampling, choice=choice)
    return build(asked, _model(name), signer="anthropic")


@pytest.mark.parametrize(
    ("name", "sampling", "thinking", "effort"),
    [
        ("claude-fable-5-2", Sampling(), {"type": "adaptive", **DROP}, None),
        ("claude-fable-5-2", Sampling(reasoning=True), {"type": "adaptive", **SHOWN, **DROP}, None),
        ("claude-fable-5-2", Sampling(reasoning=False), {"type": "adaptive", **DROP}, "low"),
        ("claude-fable-5", Sampling(), None, None),
        ("claude-sonnet-5-5", Sampling(reasoning_effort="none"), {"type": "between_tools"}, None),
        ("claude-haiku-5-5", Sampling(reasoning=False, reasoning_effort="xhigh"), {"type": "disabled"}, "high"),
        ("claude-haiku-5-5", Sampling(), {"type": "adaptive", **DROP}, None),
        ("claude-opus-5", Sampling(), None, None),
        ("claude-opus-5", Sampling(reasoning_effort="xhigh"), {"type": "adaptive", **SHOWN}, "xhigh"),
        ("claude-opus-5", Sampling(reasoning=False), {"type": "disabled"}, None),
        ("claude-opus-4-8", Sampling(), None, None),
        ("claude-opus-4-8", Sampling(reasoning=False), None, None),
        ("claude-opus-4-8", Sampling(reasoning_tokens=5_000), {"type": "adaptive", **SHOWN}, None),
        ("claude-sonnet-4-6", Sampling(reasoning_effort="xhigh"), {"type": "adaptive", **SHOWN}, "high"),
        ("claude-sonnet-4-6", Sampling(reasoning_effort="minimal"), {"type": "adaptive", **SHOWN}, "low"),
        ("claude-haiku-4-5", Sampling(), None, None),
        ("claude-haiku-4-5", Sampling(reasoning=True), {"type": "enabled", "budget_tokens": 8_192}, None),
        ("claude-haiku-4-5", Sampling(reasoning_effort="low"), {"type": "enabled", "budget_tokens": 4_096}, None),
        ("claude-haiku-4-5", Sampling(reasoning_tokens=9), {"type": "enabled", "budget_tokens": 1_024}, None),
        (
            "claude-haiku-4-5",
            Sampling(reasoning=True, max_tokens=3_000),
            {"type": "enabled", "budget_tokens": 1_976},
            None,
        ),
        ("claude-haiku-4-5", Sampling(reasoning=True, max_tokens=2_000), None, None),
        ("claude-novella-9", Sampling(), {"type": "adaptive", **DROP}, None),
        ("qwen3", Sampling(reasoning=True), None, None),
    ],
)
def test_how_a_model_is_asked_to_think(
    name: str, sampling: Sampling, thinking: JsonObject | None, effort: str | None
) -> None:
    body = _body(name, sampling)
    assert body.fields.get("thinking") == thinking
    assert body.fields.get("output_config", {}).get("effort") == effort
    betas = body.headers.get("anthropic-beta", "")
    assert ("thinking-binding-controls-2026-08-01" in betas) is ("block_binding" in (thinking or {}))
    assert ("interleaved-thinking-2025-05-14" in betas) is ((thinking or {}).get("type") == "enabled")


@pytest.mark.parametrize(
    ("name", "sampling", "choice", "replayed"),
    [
        ("claude-haiku-4-5", Sampling(reasoning=True), ToolChoice(), True),
        ("claude-haiku-4-5", Sampling(), ToolChoice(), False),
        ("claude-haiku-4-5", Sampling(reasoning=True), ToolChoice("required"), False),
        ("claude-sonnet-5-5", Sampling(), ToolChoice("required"), True),
        ("claude-sonnet-5-5", Sampling(reasoning=False), ToolChoice(), False),
        ("claude-opus-4-8", Sampling(), ToolChoice(), False),
        ("claude-opus-5", Sampling(), ToolChoice(), True),
    ],
)
def test_thoughts_go_back_to_a_model_that_thinks(
    name: str, sampling: Sampling, choice: ToolChoice, replayed: bool
) -> None:
    body = _body(name, sampling, message("user", "go"), THOUGHT, BACK, choice=choice)
    assert body.thoughts is replayed
    assert ("thinking" in [block["type"] for block in body.fields["messages"][1]["content"]]) is replayed


def test_thinking_by_budget_does_not_begin_in_the_middle_of_a_turn() -> None:
    call = replace(THOUGHT, content=())
    for said, thinks in (((THOUGHT, BACK), True), ((call, BACK), False), ((call, BACK, THOUGHT, BACK), False)):
        body = _body("claude-haiku-4-5", Sampling(reasoning=True), message("user", "go"), *said)
        assert ("thinking" in body.fields) is thinks
        assert body.thoughts is thinks


def test_a_call_is_demanded_where_that_is_possible_and_asked_for_in_words_elsewhere() -> None:
    for choice, field in (
        (ToolChoice("required"), {"type": "any"}),
        (ToolChoice("named", "take_note"), {"type": "tool", "name": "take_note"}),
    ):
        demanded = _body("claude-opus-5", Sampling(), choice=choice).fields
        assert demanded["tool_choice"] == field | {"disable_parallel_tool_use": True}
        asked = _body("claude-opus-5-5", Sampling(), choice=choice).fields
        assert asked["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
        assert "`take_note`" in asked["messages"][-1]["content"][-1]["text"]
    assert _body("claude-opus-5-5", Sampling(), choice=ToolChoice("none")).fields["tool_choice"] == {"type": "none"}
    side_by_side = request("claude-opus-5", "hi", tools=(NOTE,), parallel=True)
    body = build(side_by_side, _model("claude-opus-5"), signer="anthropic")
    assert body.fields["tool_choice"] == {"type": "auto"}


def test_calls_without_tools_are_told_in_words() -> None:
    asked = request("claude-opus-5", "go", THOUGHT, BACK)
    body = build(asked, _model("claude-opus-5"), signer="anthropic").fields
    assert not {"tools", "tool_choice"} & set(body)
    assert {block["type"] for turn in body["messages"] for block in turn["content"]} == {"text"}


def test_the_cache_is_marked_at_four_places_and_only_for_its_owner() -> None:
    said = ("one", message("assistant", "1"), "two", message("assistant", "2"), "three")
    fields = _body("claude-opus-5", Sampling(), *said).fields
    users = [turn["content"][-1] for turn in fields["messages"] if turn["role"] == "user"]
    marks = [fields["tools"][-1], fields["system"][-1], *users]
    assert ["cache_control" in block for block in marks] == [True, True, False, True, True]
    assert "cache_control" not in str(_body("qwen3", Sampling(), *said).fields)


def test_the_longest_reply_is_the_models_unless_a_shorter_one_is_asked_for() -> None:
    assert _body("claude-haiku-4-5", Sampling()).fields["max_tokens"] == 64_000
    assert _body("claude-haiku-4-5", Sampling(max_tokens=9)).fields["max_tokens"] == 9
    assert _body("claude-haiku-4-5", Sampling(max_tokens=70_000)).fields["max_tokens"] == 64_000
    assert _body("qwen3", Sampling(max_tokens=70_000)).fields["max_tokens"] == 70_000


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("anthropic/claude-opus-4.5", "claude-opus-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("claude-opus-4-1@20250805", "claude-opus-4"),
        ("Claude-Fable-5-1", "claude-fable-5-1"),
    ],
)
def test_a_model_is_known_however_it_is_dressed(name: str, like: str) -> None:
    assert known_model(name) == known_model(like) is not None


def test_profiles_are_within_bounds() -> None:
    assert known_model("claude-novella-9") is known_model("gpt-4o") is None
    for name in ("claude-opus-5-5", "claude-opus-5", "claude-sonnet-4-6", "claude-haiku-4-5", "claude-novella-9"):
        profile = _model(name).profile
        assert profile.tokenizer == "claude"
        assert profile.images
        assert profile.parallel_tool_calls
        assert 0 < profile.max_output_tokens < profile.context_window
    price = _model("claude-sonnet-4-5").profile.price
    assert isinstance(price, Price)
    assert price.cached_input is not None
    assert price.cache_write is not None
    assert price.cached_input < price.input < price.cache_write < price.output


def test_a_listing_of_another_server_and_of_none() -> None:
    llama = {"object": "list", "data": [{"id": "qwen3", "object": "model", "meta": {"n_ctx": 8_192}}, 5]}
    (qwen,) = read_models(llama).values()
    assert qwen.profile.context_window == 8_192
    assert not qwen.own
    assert next_page(llama) is None
    assert next_page({"data": [], "has_more": True, "last_id": "b"}) == "b"
