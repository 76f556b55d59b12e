"""The turn as a state machine."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from o.domain import loop
from o.domain.agent import Agent, AgentType, Tool
from o.domain.call_check import misfit
from o.domain.json import JsonObject
from o.domain.messages import TextPart, ToolCall
from o.domain.model import FinishReason, ModelReply, Sampling, ToolSpec, Usage
from o.domain.tool_policy import POLICIES
from o.domain.tool_rules import TOOL_RULES
from o.domain.tool_solver import PastCall

SCHEMA: JsonObject = {"type": "object", "properties": {"text": {"type": "string"}}}


def tool(name: str, *, parallel: bool = False) -> Tool:
    return Tool(f"tool-{name}", name, "custom", ToolSpec(name, "", SCHEMA), "pure", 1000, parallel)


def agent(
    *rules: JsonObject, tools: tuple[Tool, ...] = (tool("a"), tool("b")), kind: AgentType = "letta_v1_agent"
) -> Agent:
    return Agent(
        id="agent-1",
        org_id="org-1",
        name="n",
        agent_type=kind,
        system="",
        model="scripted/echo",
        context_window=1000,
        sampling=Sampling(),
        strict=False,
        parallel_tool_calls=True,
        response_format=None,
        rules=TOOL_RULES.validate_python(rules),
        tools=tools,
        blocks=(),
        timezone="UTC",
        message_buffer_autoclear=False,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def reply(*calls: str, text: str = "", finish: FinishReason = "stop", arguments: str = "{}") -> ModelReply:
    parts = (TextPart(text),) if text else ()
    made = tuple(ToolCall(f"call_{index}", name, arguments) for index, name in enumerate(calls))
    return ModelReply(parts, made, finish, Usage())


def plan(said: ModelReply, who: Agent, history: tuple[PastCall, ...] = (), client: tuple[str, ...] = ()) -> loop.Plan:
    specs = [ToolSpec(name, "", SCHEMA) for name in client]
    _, _, allowed = loop.offer(who, specs, history)
    return loop.plan(said, who, allowed, history, specs)


@pytest.mark.parametrize(
    ("said", "stop"),
    [
        (reply(text="hi"), "end_turn"),
        (reply(), "end_turn"),
        (reply(text="cut", finish="length"), "max_tokens_exceeded"),
    ],
)
def test_a_reply_without_calls_ends_the_turn(said: ModelReply, stop: str) -> None:
    assert plan(said, agent()).stop == stop


def test_calls_run_one_by_one_unless_their_tools_may_share() -> None:
    who = agent(tools=(tool("a", parallel=True), tool("b")))
    planned = plan(reply("a", "a", "b", "a"), who)
    assert planned.batches == (("call_0", "call_1"), ("call_2",), ("call_3",))
    assert planned.stop is None


def test_a_rule_keeps_only_the_first_call() -> None:
    planned = plan(reply("a", "b"), agent({"type": "continue_loop", "tool_name": "a"}))
    assert [call.name for call in planned.calls] == ["a"]


def test_unknown_and_forbidden_tools_and_bad_arguments_are_refused_for_the_model() -> None:
    assert "valid tools include: [a, b]" in plan(reply("zebra"), agent()).refused[0].content
    forced = agent({"type": "run_first", "tool_name": "a"})
    assert plan(reply("b"), forced).refused[0].content.startswith("[ToolConstraintError] Cannot call b")
    assert "not valid JSON" in plan(reply("a", arguments="{oops"), agent()).refused[0].content
    assert "must be a JSON object" in plan(reply("a", arguments="[1]"), agent()).refused[0].content
    assert plan(reply("zebra"), agent()).batches == ()


def test_prefilled_arguments_override_the_models() -> None:
    who = agent({"type": "run_first", "tool_name": "a", "args": {"text": "set"}})
    assert plan(reply("a", arguments='{"text": "mine"}'), who).calls[0].arguments == '{"text": "set"}'


@pytest.mark.parametrize("args", [{"nothing": 1}, {"text": 5}])
def test_prefilled_arguments_that_do_not_fit_end_the_turn(args: JsonObject) -> None:
    planned = plan(reply("a"), agent({"type": "run_first", "tool_name": "a", "args": args}))
    assert planned.stop == "invalid_tool_call"
    assert planned.refused[0].status == "error"


def test_an_approval_holds_back_the_calls_beside_it() -> None:
    who = agent({"type": "requires_approval", "tool_name": "a"})
    planned = plan(reply("b", "a"), who)
    assert (planned.stop, planned.pending, planned.batches) == ("requires_approval", ("call_1",), (("call_0",),))


def test_client_tools_wait_for_the_client() -> None:
    planned = plan(reply("mine"), agent(), client=("mine",))
    assert (planned.stop, planned.pending) == ("requires_approval", ("call_0",))


def verdict(planned: loop.Plan, who: Agent, history: tuple[PastCall, ...] = (), left: int = 5) -> loop.Verdict:
    return loop.after_tools(planned, who, history, left)


def test_after_tools() -> None:
    plain, leaving = agent(), agent({"type": "exit_loop", "tool_name": "a"})
    assert verdict(plan(reply("a"), plain), plain) == loop.Verdict(None)
    assert verdict(plan(reply("a"), plain), plain, left=0) == loop.Verdict("max_steps")
    assert verdict(plan(reply("a"), leaving), leaving) == loop.Verdict("tool_rule")


def test_a_refused_exit_does_not_end_the_turn() -> None:
    who = agent({"type": "exit_loop", "tool_name": "a"})
    assert verdict(plan(reply("a", arguments="{oops"), who), who).stop is None


def test_required_tools_keep_the_turn_open_with_a_reminder() -> None:
    who = agent({"type": "required_before_exit", "tool_name": "b"})
    planned = plan(reply(text="done"), who)
    assert planned.stop is None and planned.reminder is not None and "b" in planned.reminder
    assert verdict(planned, who).reminder == planned.reminder
    assert verdict(planned, who, left=0).stop == "max_steps"
    assert plan(reply(text="done"), who, history=(PastCall("b"),)).stop == "end_turn"


def test_types_that_speak_by_tool_must_call_one() -> None:
    _, choice, _ = loop.offer(agent(kind="memgpt_v2_agent"), (), ())
    assert choice.mode == "required"
    _, choice, _ = loop.offer(agent(), (), ())
    assert choice.mode == "auto"
    _, choice, _ = loop.offer(agent({"type": "run_first", "tool_name": "b"}), (), ())
    assert (choice.mode, choice.name) == ("named", "b")


def test_a_call_is_read_as_it_was_meant() -> None:
    (call,) = plan(reply("functions.A", arguments="{'text': 'mine',}"), agent()).calls
    assert (call.name, call.arguments) == ("a", '{"text": "mine"}')
    held = plan(reply("A()"), agent({"type": "requires_approval", "tool_name": "a"}))
    assert held.pending == ("call_0",) and not held.batches
    rules: JsonObject = {"type": "run_first", "tool_name": "a"}
    assert "Cannot call b" in plan(reply("b"), agent(rules, tools=(tool("a"), tool("b")))).refused[0].content
    assert "Cannot call A_" in plan(reply("A_"), agent(rules, tools=(tool("a"), tool("A_")))).refused[0].content


def test_a_call_cut_off_at_the_token_limit_is_not_completed() -> None:
    cut = reply("a", arguments='{"text": "mi', finish="length")
    assert "token limit" in plan(cut, agent()).refused[0].content
    assert plan(reply("a", arguments='{"text": "mi'), agent()).calls[0].arguments == '{"text": "mi"}'


def test_one_tool_left_is_named_unless_the_client_brings_more() -> None:
    who = agent({"type": "run_first", "tool_name": "b"})
    mine = ToolSpec("mine", "", SCHEMA)
    tools, choice, _ = loop.offer(who, [mine], ())
    assert ([spec.name for spec in tools], choice.mode) == (["b", "mine"], "required")
    _, choice, _ = loop.offer(who, [ToolSpec("b", "the client's", SCHEMA)], ())
    assert (choice.mode, choice.name) == ("named", "b")


def test_a_client_tool_overrides_the_servers_of_the_same_name() -> None:
    tools, _, _ = loop.offer(agent(), [ToolSpec("a", "the client's", SCHEMA)], ())
    assert [(spec.name, spec.description) for spec in tools] == [("b", ""), ("a", "the client's")]
    assert plan(reply("a"), agent(), client=("a",)).pending == ("call_0",)


def policed(*documents: JsonObject, rules: tuple[JsonObject, ...] = ()) -> Agent:
    policies = POLICIES.validate_python([{"id": f"policy-{n}", **each} for n, each in enumerate(documents)])
    return replace(agent(*rules), policies=policies)


def test_what_a_policy_denies_is_told_to_the_model_and_the_turn_goes_on() -> None:
    who = policed({"action": "deny", "tool_name": "a", "reason": "It costs money."})
    planned = plan(reply("a", "b"), who)
    assert planned.batches == (("call_1",),) and planned.stop is None
    assert "policy denies" in planned.refused[0].content and "It costs money." in planned.refused[0].content
    assert verdict(planned, who).stop is None
    assert plan(reply("a"), who, client=("a",)).refused, "a client's tool too"


def test_what_a_policy_asks_about_waits_and_says_how_long() -> None:
    who = policed(
        {"action": "ask", "tool_name": "a", "timeout_seconds": 60, "on_timeout": "approve"},
        {"action": "ask", "tool_name": "b", "arguments": {"text": "x*"}, "timeout_seconds": 30, "on_timeout": "cancel"},
    )
    planned = plan(reply("a", "b"), who)
    assert (planned.pending, planned.wait_seconds, planned.on_timeout) == (("call_0",), 60, "approve")
    assert (planned.batches, planned.stop) == ((("call_1",),), "requires_approval")
    both = plan(reply("a", "b", arguments='{"text": "xy"}'), who)
    assert (len(both.pending), both.wait_seconds, both.on_timeout) == (2, 30, "cancel")
    beside = plan(reply("a", "mine"), who, client=("mine",))
    assert (len(beside.pending), beside.wait_seconds, beside.on_timeout) == (2, 60, "deny")


def test_an_allowing_policy_takes_away_no_rule() -> None:
    rule: JsonObject = {"type": "requires_approval", "tool_name": "a"}
    assert plan(reply("a"), policed({"action": "allow", "tool_name": "a"}, rules=(rule,))).pending == ("call_0",)


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ({"type": "integer"}, True, False),
        ({"type": "integer"}, 2.0, True),
        ({"type": "number"}, 1, True),
        ({"type": ["string", "null"]}, None, True),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 5, False),
        ({"anyOf": [{"type": "string"}, {"$ref": "#/x"}]}, 5, True),
        ({}, 5, True),
    ],
)
def test_preset_arguments_are_held_against_the_schema(kind: JsonObject, value: object, fits: bool) -> None:
    schema: JsonObject = {"type": "object", "properties": {"it": kind}}
    assert (misfit({"it": value}, schema) is None) == fits
