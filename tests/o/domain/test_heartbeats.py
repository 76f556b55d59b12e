"""Loop v2: what is added to calls, what a call leads to, and how the model sees its transcript."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from o.domain import loop
from o.domain.agent import AGENT_TYPES, Agent, AgentType
from o.domain.heartbeats import as_seen, heard, heartbeat, is_heartbeat, with_loop_arguments, without_loop_arguments
from o.domain.json import JsonObject
from o.domain.messages import Message, ReasoningPart, TextPart, ToolCall, ToolReturn
from o.domain.model import ToolSpec
from o.domain.tool_solver import PastCall
from tests.o.domain.test_loop import SCHEMA, agent, plan, reply

OLDER = [kind for kind in AGENT_TYPES if kind not in ("letta_v1_agent", "sleeptime_agent")]
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def thinker(*rules: JsonObject, kind: AgentType = "memgpt_agent") -> Agent:
    return replace(agent(*rules, kind=kind), thoughts_in_arguments=True)


def call(name: str = "a", **arguments: object) -> ToolCall:
    return ToolCall("call_0", name, json.dumps(arguments))


@pytest.mark.parametrize("kind", OLDER)
def test_every_older_type_must_call_a_tool_and_says_whether_it_goes_on(kind: AgentType) -> None:
    tools, choice, allowed = loop.offer(agent(kind=kind), (), ())
    assert choice.mode == "required" and not allowed.parallel
    for spec in tools:
        assert spec.parameters["properties"]["request_heartbeat"]["type"] == "boolean"
        assert spec.parameters["required"] == ["request_heartbeat"]
    assert plan(reply(text="hello"), agent(kind=kind)).stop == "no_tool_call"
    assert plan(reply(text="hel", finish="length"), agent(kind=kind)).stop == "max_tokens_exceeded"
    assert plan(reply(text="hello"), agent(kind=kind, tools=())).stop == "end_turn", "it has nothing to call"


def test_newer_types_are_shown_their_tools_as_they_are() -> None:
    tools, choice, _ = loop.offer(agent(), (), ())
    assert [spec.parameters for spec in tools] == [SCHEMA, SCHEMA] and choice.mode == "auto"


def test_thoughts_come_first_and_the_heartbeat_last() -> None:
    spec = with_loop_arguments(ToolSpec("a", "", {**SCHEMA, "required": ["text"]}), thinker())
    assert list(spec.parameters["properties"]) == ["thinking", "text", "request_heartbeat"]
    assert spec.parameters["required"] == ["thinking", "text", "request_heartbeat"]
    own = ToolSpec("a", "", {"type": "object", "properties": {"thinking": {}, "request_heartbeat": {}}})
    assert with_loop_arguments(own, thinker()).parameters["properties"] == own.parameters["properties"]


def test_client_tools_are_shown_as_the_client_has_them() -> None:
    mine = ToolSpec("mine", "", SCHEMA)
    assert loop.offer(thinker(), (mine,), ())[0][-1] == mine


def test_before_a_tool_runs_what_the_loop_added_is_taken_out() -> None:
    spec = ToolSpec("a", "", SCHEMA)
    full = call(thinking="t", text="x", request_heartbeat=True)
    assert without_loop_arguments(full, spec, thinker()).arguments == '{"text": "x"}'
    assert json.loads(without_loop_arguments(full, spec, agent()).arguments) == {"thinking": "t", "text": "x"}
    own = replace(spec, parameters={"type": "object", "properties": {"request_heartbeat": {}, "thinking": {}}})
    assert without_loop_arguments(full, own, thinker()) == full
    assert without_loop_arguments(ToolCall("c", "a", "oops"), spec, thinker()).arguments == "oops"


def test_a_newer_type_loses_a_heartbeat_nobody_asked_it_for() -> None:
    (kept,) = plan(reply("a", arguments='{"text": "x", "request_heartbeat": true}'), agent()).calls
    assert kept.arguments == '{"text": "x"}'
    (kept,) = plan(reply("a", arguments='{"request_heartbeat": true}'), agent(kind="memgpt_agent")).calls
    assert json.loads(kept.arguments) == {"request_heartbeat": True}


def test_a_thought_becomes_the_replys_text() -> None:
    said = reply("a", arguments='{"thinking": "I should.", "text": "x"}')
    read = heard(said, thinker())
    assert (read.content, read.tool_calls[0].arguments) == ((TextPart("I should."),), '{"text": "x"}')
    assert heard(said, agent(kind="memgpt_agent")) == said
    assert heard(said, replace(agent(), thoughts_in_arguments=True)) == said
    assert plan(said, thinker()).calls[0].arguments == '{"text": "x"}'


def test_broken_arguments_are_mended_with_and_without_a_heartbeat() -> None:
    (mended,) = plan(reply("a", arguments="{'text': 'x', 'request_heartbeat': True}"), agent(kind="memgpt_agent")).calls
    assert json.loads(mended.arguments) == {"text": "x", "request_heartbeat": True}
    assert not plan(reply("a", arguments="{'text': 'x',}"), agent(kind="memgpt_agent")).refused


def after(who: Agent, made: ToolCall, planned: loop.Plan | None = None, left: int = 5) -> loop.Verdict:
    return loop.after_tools(planned or loop.Plan((made,), ((made.id,),)), who, [PastCall(made.name)], left)


EXIT: JsonObject = {"type": "exit_loop", "tool_name": "a"}


@pytest.mark.parametrize(
    ("rules", "beat", "stop"),
    [
        ([], False, "end_turn"),
        ([], True, None),
        ([], "True", None),
        ([], "no", "end_turn"),
        ([EXIT], False, "end_turn"),
        ([EXIT], True, "tool_rule"),
        ([{"type": "continue_loop", "tool_name": "a"}], False, None),
        ([{"type": "constrain_child_tools", "tool_name": "a", "children": ["b"]}], False, None),
        ([{"type": "required_before_exit", "tool_name": "b"}], False, None),
        ([{"type": "required_before_exit", "tool_name": "a"}], False, "end_turn"),
        ([EXIT, {"type": "required_before_exit", "tool_name": "b"}], True, None),
    ],
)
def test_the_turn_goes_on_where_a_heartbeat_or_a_rule_asks(rules: list[JsonObject], beat: object, stop: str) -> None:
    who = agent(*rules, kind="memgpt_agent")
    verdict = after(who, call(request_heartbeat=beat))
    assert verdict.stop == stop
    assert (verdict.reminder is None) == (stop is not None)
    if stop is None:
        assert after(who, call(request_heartbeat=beat), left=0).stop == "max_steps"


def test_a_call_that_was_not_made_is_answered_with_another_step() -> None:
    who = agent(kind="memgpt_agent")
    planned = plan(reply("zebra"), who)
    assert after(who, planned.calls[0], planned).stop is None
    returned = loop.Plan((call(),), returned=("call_0",))
    assert after(who, call(), returned).reminder is not None


def test_the_model_sees_its_thoughts_in_calls_and_the_time_of_returns() -> None:
    said = Message(
        "message-1", "assistant", (ReasoningPart("deep"), TextPart("I should.")), AT, (call(text="x"),), step_id="s"
    )
    back = Message("message-2", "tool", (), AT, tool_returns=(ToolReturn("call_0", "no such file", "error", "a"),))
    seen = as_seen([said, back], thinker())
    assert seen[0].content == (ReasoningPart("deep"),)
    assert json.loads(seen[0].tool_calls[0].arguments) == {"thinking": "I should.", "text": "x"}
    assert json.loads(seen[1].tool_returns[0].content) == {
        "status": "Failed",
        "message": "no such file",
        "time": "2026-01-02 03:04:05 AM UTC+0000",
    }
    assert as_seen([said, back], agent()) == [said, back]
    assert as_seen([said], agent(kind="memgpt_agent")) == [said]


def test_a_heartbeat_is_known_by_its_text() -> None:
    text = heartbeat("Go on.", AT)
    assert json.loads(text) == {"type": "heartbeat", "reason": "Go on.", "time": "2026-01-02T03:04:05+00:00"}
    assert is_heartbeat(text) and not is_heartbeat("heartbeat")
