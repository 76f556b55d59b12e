"""Rules as sentences: the value each gives, and that the solver does what the sentence says."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from o.domain.json import JsonObject
from o.domain.rule_words import When, name_of, preset_arguments, starting_with, tools_named, using, when
from o.domain.tool_rules import TOOL_RULES, ToolRule
from o.domain.tool_solver import PastCall, allowance
from o.errors import InvalidArgument

_RULE: TypeAdapter[ToolRule] = TypeAdapter(ToolRule)


class Named:
    tool_name = "named"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (starting_with("a"), {"type": "run_first", "tool_name": "a"}),
        (starting_with(using("a", n=1)), {"type": "run_first", "tool_name": "a", "args": {"n": 1}}),
        (when("a").ends(), {"type": "exit_loop", "tool_name": "a"}),
        (when("a").continues(), {"type": "continue_loop", "tool_name": "a"}),
        (when("a").then("b", Named()), {"type": "constrain_child_tools", "tool_name": "a", "children": ("b", "named")}),
        (
            when(Named()).then(using("b", n=1), "c"),
            {
                "type": "constrain_child_tools",
                "tool_name": "named",
                "children": ("b", "c"),
                "child_arg_nodes": ({"name": "b", "args": {"n": 1}},),
            },
        ),
        (when("a").unlocks("b", "c"), {"type": "parent_last_tool", "tool_name": "a", "children": ("b", "c")}),
        (
            when("a").returns({"yes": "b", True: "c", 5: Named()}, otherwise="d"),
            {
                "type": "conditional",
                "tool_name": "a",
                "child_output_mapping": {"yes": "b", "True": "c", "5": "named"},
                "default_child": "d",
                "require_output_mapping": False,
            },
        ),
        (
            when("a").returns({"yes": "b"}, strict=True),
            {
                "type": "conditional",
                "tool_name": "a",
                "child_output_mapping": {"yes": "b"},
                "require_output_mapping": True,
            },
        ),
        (when("a").at_most(3), {"type": "max_count_per_step", "tool_name": "a", "max_count_limit": 3}),
        (when("a").required(), {"type": "required_before_exit", "tool_name": "a"}),
        (when("a").asks(), {"type": "requires_approval", "tool_name": "a"}),
    ],
)
def test_all_nine_rules(rule: ToolRule, expected: JsonObject) -> None:
    assert rule.model_dump(exclude_none=True) == expected
    assert TOOL_RULES.validate_python([rule.model_dump(mode="json")]) == (rule,)
    assert set(tools_named(rule)) == {
        expected["tool_name"],
        *expected.get("children", ()),
        *expected.get("child_output_mapping", {}).values(),
        *([expected["default_child"]] if "default_child" in expected else []),
    }


@pytest.mark.parametrize(
    ("returned", "allowed"), [("yes", {"b"}), ("True", {"c"}), ("true", {"c"}), ("5", {"d"}), ("no", {"e"})]
)
def test_what_was_returned_decides_as_it_was_written(returned: str, allowed: set[str]) -> None:
    rule = when("a").returns({"yes": "b", True: "c", 5: "d"}, otherwise="e")
    found = allowance((rule,), ["a", "b", "c", "d", "e"], [PastCall("a", returned)])
    assert set(found.tools) == allowed


def _any(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    ("sentence", "complaint"),
    [
        (lambda: when(_any(len)), "<built-in function len> is no tool"),
        (lambda: when(""), "is no tool"),
        (lambda: when("a").then(), "name the tools that may come next"),
        (lambda: when("a").then(_any(3)), "3 is no tool"),
        (lambda: when("a").unlocks(), "name the tools that it unlocks"),
        (lambda: when("a").returns({}), "at least one value"),
        (lambda: when("a").returns({"x": "b"}, otherwise="c", strict=True), "no room for `otherwise`"),
        (lambda: when("a").returns({("x",): "b"}), "no text, number or boolean"),
        (lambda: when("a").at_most(0), "must be 1 or more"),
    ],
)
def test_sentences_that_make_no_sense(sentence: object, complaint: str) -> None:
    assert callable(sentence)
    with pytest.raises(InvalidArgument, match=complaint):
        sentence()


def test_arguments_that_are_set() -> None:
    assert preset_arguments(starting_with(using("a", n=1))) == {"a": {"n": 1}}
    assert preset_arguments(when("a").then(using("b", m=2), "c")) == {"b": {"m": 2}}
    assert preset_arguments(when("a").ends()) == {}
    assert name_of(using(Named(), n=1)) == "named"
    assert isinstance(when("a"), When)
