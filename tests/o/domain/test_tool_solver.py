"""The tool rules: what is allowed, what is forced, what ends the turn."""

import pytest

from o.domain.tool_rules import TOOL_RULES, ToolRule
from o.domain.tool_solver import PastCall, allowance, ends_turn, missing_before_exit, needs_approval

TOOLS = ["a", "b", "c"]


def rules(*documents: dict[str, object]) -> tuple[ToolRule, ...]:
    return TOOL_RULES.validate_python(documents)


def test_no_rule_allows_everything_and_forces_nothing() -> None:
    allowed = allowance((), TOOLS, ())
    assert (allowed.tools, allowed.forced, allowed.parallel) == (("a", "b", "c"), False, True)


def test_run_first_forces_the_first_call_and_only_that() -> None:
    first = rules({"type": "run_first", "tool_name": "b", "args": {"x": 1}})
    before, after = allowance(first, TOOLS, ()), allowance(first, TOOLS, [PastCall("b")])
    assert (before.tools, before.forced, before.prefilled) == (("b",), True, {"b": {"x": 1}})
    assert (after.tools, after.forced, after.prefilled) == (("a", "b", "c"), False, {})


@pytest.mark.parametrize(
    ("rule", "history", "tools", "forced"),
    [
        ({"type": "constrain_child_tools", "children": ["b"]}, ["a"], ("b",), True),
        ({"type": "constrain_child_tools", "children": ["b"]}, ["a", "c"], ("a", "b", "c"), False),
        ({"type": "parent_last_tool", "children": ["b"]}, [], ("a", "c"), False),
        ({"type": "parent_last_tool", "children": ["b"]}, ["a"], ("b",), True),
        ({"type": "max_count_per_step", "max_count_limit": 2}, ["a"], ("a", "b", "c"), False),
        ({"type": "max_count_per_step", "max_count_limit": 2}, ["a", "a"], ("b", "c"), False),
    ],
)
def test_rules_that_limit(rule: dict[str, object], history: list[str], tools: tuple[str, ...], forced: bool) -> None:
    allowed = allowance(rules({"tool_name": "a", **rule}), TOOLS, [PastCall(name) for name in history])
    assert (allowed.tools, allowed.forced) == (tools, forced)
    assert not allowed.parallel


@pytest.mark.parametrize(
    ("result", "expected"), [("yes", ("b",)), ("1.0", ("c",)), ("TRUE", ("a", "b", "c")), ("no", ("a", "b", "c"))]
)
def test_conditional_follows_the_result(result: str, expected: tuple[str, ...]) -> None:
    rule = rules({"type": "conditional", "tool_name": "a", "child_output_mapping": {"yes": "b", "1": "c"}})
    assert allowance(rule, TOOLS, [PastCall("a", result)]).tools == expected


def test_a_hostile_result_is_only_a_text() -> None:
    rule = rules({"type": "conditional", "tool_name": "a", "child_output_mapping": {"1": "b"}, "default_child": "c"})
    for result in ("[" * 100_000, "1" * 100_000, "1e99999999", "\u0661"):
        assert allowance(rule, TOOLS, [PastCall("a", result)]).tools == ("c",)


def test_contradictory_rules_fall_back_to_everything() -> None:
    both = rules(
        {"type": "constrain_child_tools", "tool_name": "a", "children": ["b"]},
        {"type": "max_count_per_step", "tool_name": "b", "max_count_limit": 1},
    )
    allowed = allowance(both, TOOLS, [PastCall("b"), PastCall("a")])
    assert (allowed.tools, allowed.forced) == (("a", "b", "c"), False)


def test_exits_requirements_and_approvals() -> None:
    some = rules(
        {"type": "exit_loop", "tool_name": "a"},
        {"type": "required_before_exit", "tool_name": "b"},
        {"type": "requires_approval", "tool_name": "c"},
    )
    assert [ends_turn(some, name) for name in TOOLS] == [True, False, False]
    assert [needs_approval(some, name) for name in TOOLS] == [False, False, True]
    assert missing_before_exit(some, TOOLS, ["a"]) == ["b"]
    assert missing_before_exit(some, ["a"], []) == []


def test_child_arguments_must_name_children() -> None:
    with pytest.raises(ValueError, match="not among the children"):
        rules(
            {"type": "constrain_child_tools", "tool_name": "a", "children": ["b"], "child_arg_nodes": [{"name": "c"}]}
        )
