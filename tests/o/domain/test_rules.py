"""The solver of the tool rules against its slow and obvious second statement (`rules_in_words`)."""

import json
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from o.domain import loop
from o.domain.agent import AgentType
from o.domain.tool_rules import (
    ChildArguments,
    Conditional,
    ConstrainChildren,
    ContinueLoop,
    ExitLoop,
    MaxCount,
    ParentLast,
    RequiredBeforeExit,
    RequiresApproval,
    RunFirst,
    ToolRule,
)
from o.domain.tool_solver import PastCall, allowance
from tests.o.domain import rules_in_words as words
from tests.o.domain.test_loop import agent, reply, tool

NAMES = ["a", "b", "c", "d", "gone"]
ATTACHED = NAMES[:4]
RESULTS = ["", "yes", "Yes", "1", "1.0", "01", "-0", "0", "TRUE", "true", "False", "1e2", "100", "[[", "None", "nan"]

names = st.sampled_from(NAMES)
children = st.lists(names, max_size=3).map(tuple)
arguments = st.one_of(st.none(), st.dictionaries(st.just("text"), st.sampled_from(["x", "y"]), max_size=1))


@st.composite
def child_rules(draw: st.DrawFn) -> ConstrainChildren:
    among = draw(children)
    nodes = tuple(ChildArguments(name=name, args=draw(arguments)) for name in among)
    return ConstrainChildren(tool_name=draw(names), children=among, child_arg_nodes=nodes)


rules = st.lists(
    st.one_of(
        st.builds(RunFirst, tool_name=names, args=arguments),
        st.builds(ExitLoop, tool_name=names),
        st.builds(ContinueLoop, tool_name=names),
        child_rules(),
        st.builds(ParentLast, tool_name=names, children=children),
        st.builds(
            Conditional,
            tool_name=names,
            child_output_mapping=st.dictionaries(st.sampled_from(RESULTS), names, min_size=1, max_size=3),
            default_child=st.one_of(st.none(), names),
            require_output_mapping=st.booleans(),
        ),
        st.builds(MaxCount, tool_name=names, max_count_limit=st.integers(1, 2)),
        st.builds(RequiredBeforeExit, tool_name=names),
        st.builds(RequiresApproval, tool_name=names),
    ),
    max_size=5,
)
histories = st.lists(st.builds(PastCall, st.sampled_from(ATTACHED), st.sampled_from(RESULTS)), max_size=4)


@given(rules, histories)
@example([RunFirst(tool_name="gone")], [])
@example([Conditional(tool_name="a", child_output_mapping={"1": "b"})], [PastCall("a", "TRUE")])
def test_what_is_allowed_forced_and_preset(given_rules: list[ToolRule], history: list[PastCall]) -> None:
    solved = allowance(given_rules, ATTACHED, history)
    expected = [each for each in ATTACHED if words.may_be_called(each, given_rules, ATTACHED, history)]
    assert list(solved.tools) == expected
    assert solved.forced == words.must_call(given_rules, ATTACHED, history)
    assert solved.parallel == words.several_at_once(given_rules)
    for each in expected:
        preset = words.preset_arguments(each, given_rules, ATTACHED, history)
        assert (solved.prefilled.get(each) or {}) == preset


@given(rules, histories, st.sampled_from(NAMES))
def test_what_a_call_leads_to(given_rules: list[ToolRule], history: list[PastCall], called: str) -> None:
    who = agent(*(rule.model_dump() for rule in given_rules), tools=tuple(map(tool, ATTACHED)))
    _, choice, allowed = loop.offer(who, (), history)
    planned = loop.plan(reply(called), who, allowed, history)
    may = called in ATTACHED and words.may_be_called(called, given_rules, ATTACHED, history)
    assert bool(planned.refused) != may
    if not may:
        assert planned.refused[0].content.startswith(f"[ToolConstraintError] Cannot call {called}, valid tools include")
        assert (planned.stop, planned.batches, planned.pending) == (None, (), ())
    elif any(isinstance(rule, RequiresApproval) and rule.tool_name == called for rule in given_rules):
        assert (planned.stop, planned.pending) == ("requires_approval", ("call_0",))
    else:
        assert (planned.stop, planned.batches) == (None, (("call_0",),))
        preset = words.preset_arguments(called, given_rules, ATTACHED, history)
        assert json.loads(planned.calls[0].arguments) == preset
    if words.must_call(given_rules, ATTACHED, history):
        assert choice.mode == ("named" if len(allowed.tools) == 1 else "required")
    else:
        assert choice.mode == "auto"


@given(rules, histories, st.sampled_from(ATTACHED), st.integers(0, 2), st.sampled_from([None, True, False]))
def test_where_a_turn_ends(
    given_rules: list[ToolRule], history: list[PastCall], called: str, left: int, heartbeat: bool | None
) -> None:
    kind: AgentType = "letta_v1_agent" if heartbeat is None else "memgpt_agent"
    who = agent(*(rule.model_dump() for rule in given_rules), tools=tuple(map(tool, ATTACHED)), kind=kind)
    asked = {} if heartbeat is None else {"request_heartbeat": heartbeat}
    call = reply(called, arguments=json.dumps(asked)).tool_calls[0]
    after: Sequence[PastCall] = [*history, PastCall(called)]
    verdict = loop.after_tools(loop.Plan((call,), ((call.id,),)), who, after, left)
    expected = words.stop_after(called, given_rules, ATTACHED, after, steps_left=left, heartbeat=heartbeat)
    assert verdict.stop == expected
    if heartbeat is not None and expected is None:
        assert verdict.reminder
