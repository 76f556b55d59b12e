"""The turn as a state machine."""

from datetime import UTC, datetime

import pytest

from o.domain import loop
from o.domain.agent import Agent, AgentType, Tool
from o.domain.json import JsonObject
from o.domain.messages import TextPart, ToolCall
from o.domain.model import FinishReason, ModelReply, Sampling, ToolSpec, Usage
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
