"""Policies about tool calls: whom they concern, which one decides, how arguments are read."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from o.domain.tool_policy import POLICIES, Condition, Decision, Policy, asks, decide, glob_matches


def policies(*documents: dict[str, Any]) -> tuple[Policy, ...]:
    return POLICIES.validate_python([{"id": f"policy-{n}", **each} for n, each in enumerate(documents)])


def action(*documents: dict[str, Any], tool: str = "rm", **arguments: Any) -> str:
    decision = decide(
        policies(*documents), agent_id="agent-1", agent_tags=["prod"], tool_name=tool, arguments=arguments
    )
    return decision.action


DENY, ASK, ALLOW = {"action": "deny"}, {"action": "ask"}, {"action": "allow"}


def test_where_no_policy_speaks_a_call_is_allowed() -> None:
    assert action() == "allow"
    assert action({**DENY, "tool_name": "mv"}, {**DENY, "agent_id": "agent-2"}, {**DENY, "tag": "test"}) == "allow"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (DENY, ALLOW, "deny"),
        (ASK, ALLOW, "ask"),
        (DENY, ASK, "deny"),
        (DENY, {**ALLOW, "tool_name": "rm"}, "allow"),
        (DENY, {**ALLOW, "tool_name": "r*"}, "allow"),
        ({**DENY, "tool_name": "rm"}, {**ALLOW, "tool_name": "r*"}, "deny"),
        (DENY, {**ALLOW, "tag": "prod"}, "allow"),
        ({**DENY, "tag": "prod"}, {**ALLOW, "agent_id": "agent-1"}, "allow"),
        (DENY, {**ALLOW, "arguments": {"path": "/tmp/*"}}, "allow"),
        # Narrower in one respect and wider in another: neither overrules the other, and the strictest decides.
        ({**DENY, "arguments": {"path": "/tmp/*"}}, {**ALLOW, "tool_name": "rm"}, "deny"),
        ({**ALLOW, "arguments": {"path": "/tmp/*"}}, {**DENY, "tool_name": "rm"}, "deny"),
        ({**ASK, "agent_id": "agent-1"}, {**ALLOW, "tool_name": "rm", "tag": "prod"}, "ask"),
        # An overruled policy does not come back because what overruled it is overruled itself.
        ({**DENY, "tool_name": "*"}, {**ALLOW, "tool_name": "rm", "arguments": {"path": "/tmp/*"}}, "allow"),
    ],
)
def test_the_narrower_overrules_else_the_strictest_decides(
    first: dict[str, Any], second: dict[str, Any], expected: str
) -> None:
    for order in ((first, second), (second, first)):
        assert action(*order, path="/tmp/x") == expected


def test_a_policy_with_arguments_means_calls_that_have_them() -> None:
    rule = {**DENY, "arguments": {"path": "/etc/*", "force": {"equals": True}}}
    assert action(rule, path="/etc/passwd", force=True) == "deny"
    assert action(rule, path="/etc/passwd", force=False) == "allow"
    assert action(rule, path="/etc/passwd") == "allow"


@pytest.mark.parametrize(
    ("pattern", "value", "restricting", "allowing"),
    [
        ("/etc/*", "/etc/x", True, True),
        ("/etc/*", "/tmp/x", False, False),
        # Of several texts one is enough to restrict, and all are needed to allow.
        ("/etc/*", ["/tmp/x", {"also": "/etc/x"}], True, False),
        ("/etc/*", ["/etc/x", "/etc/y"], True, True),
        ("/etc/*", [], False, False),
        ("true", True, True, True),
        ("12*", 123, True, True),
        ({"equals": 5}, 5, True, True),
        ({"equals": 5}, 5.0, True, True),
        ({"equals": 5}, "5", True, False),
        ({"equals": True}, 1, False, False),
        ({"equals": None}, None, True, True),
        ({"equals": None}, "", False, False),
        ({"equals": [1, {"a": 2}]}, [1, {"a": 2}], True, True),
        ({"above": 100}, 100, False, False),
        ({"above": 100}, 100.5, True, True),
        ({"above": 100}, "1000", True, True),
        ({"above": 100}, 10**400, True, False),
        ({"above": 100}, "a lot", True, False),
        ({"below": 0, "above": -5}, -3, True, True),
        ({"below": 0, "above": -5}, -7, False, False),
        ({"matches": "1*", "above": 100}, 150, True, True),
        ({"above": 0}, True, True, False),
    ],
)
def test_in_doubt_an_argument_is_read_against_the_call(
    pattern: object, value: object, restricting: bool, allowing: bool
) -> None:
    asked: dict[str, Any] = {"arguments": {"it": pattern}}
    assert action({**DENY, **asked}, it=value) == ("deny" if restricting else "allow")
    assert action(DENY, {**ALLOW, **asked}, it=value) == ("allow" if allowing else "deny")


def test_a_decision_says_why_and_how_long_it_waits() -> None:
    rule = policies({**ASK, "reason": "money", "timeout_seconds": 60, "on_timeout": "approve"})
    decision = decide(rule, agent_id="a", agent_tags=(), tool_name="pay", arguments={})
    assert decision == Decision("ask", "money", 60, "approve")


def test_what_is_known_before_the_arguments_are() -> None:
    def known(*documents: dict[str, Any]) -> str:
        return asks(policies(*documents), agent_id="agent-1", agent_tags=(), tool_name="rm")

    assert known() == known(DENY) == known({**ASK, "tool_name": "mv"}) == known(ASK, DENY) == "never"
    assert known(ASK) == known(ASK, ALLOW) == "always"
    assert known({**ASK, "arguments": {"path": "*"}}) == "maybe"
    assert known(ASK, {**ALLOW, "arguments": {"path": "/tmp/*"}}) == "maybe"


@pytest.mark.parametrize(
    ("glob", "text", "matches"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("*", "", True),
        ("a*", "a", True),
        ("*a*a*", "xaya", True),
        ("*a*a*", "xay", False),
        ("ab*ba", "aba", False),
        ("a*b*c", "a-b-b-c", True),
        ("[ab]?", "a?", False),
        ("a*b", "a\n\nb", True),
    ],
)
def test_a_star_stands_for_anything_and_nothing_else_does(glob: str, text: str, matches: bool) -> None:
    assert glob_matches(glob, text) == matches


@given(st.lists(st.text("ab", max_size=3), min_size=1, max_size=4), st.lists(st.text("ab*", max_size=3), max_size=4))
def test_a_glob_matches_what_it_was_made_of(parts: list[str], between: list[str]) -> None:
    text = "".join(part + (between[n] if n < len(between) else "") for n, part in enumerate(parts))
    assert glob_matches("*".join([*parts, ""]), text)


def test_a_hostile_text_takes_no_time() -> None:
    assert not glob_matches("*a*a*a*a*a*a*a*a*b", "a" * 1_000_000)


@pytest.mark.parametrize("wrong", [{}, {"like": "x"}, {"above": "much"}, {"matches": ""}])
def test_a_condition_must_say_something_known(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(wrong)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "action": st.sampled_from(["allow", "ask", "deny"]),
                "tool_name": st.sampled_from(["*", "r*", "rm", "*m"]),
                "arguments": st.dictionaries(st.sampled_from("ab"), st.just("*"), max_size=2),
            },
            optional={"agent_id": st.just("agent-1")},
        ),
        max_size=6,
    )
)
def test_what_decides_is_what_no_other_policy_is_narrower_than(documents: list[dict[str, Any]]) -> None:
    """The rule once more, each policy held against each other."""

    def breadth(policy: Policy) -> tuple[tuple[bool, int], bool, set[str]]:
        name = policy.tool_name
        return ("*" not in name, len(name.replace("*", ""))), policy.agent_id is not None, set(policy.arguments)

    def narrower(one: Policy, other: Policy) -> bool:
        pairs = list(zip(breadth(one), breadth(other), strict=True))
        return all(a >= b for a, b in pairs) and any(a != b for a, b in pairs)  # type: ignore[operator]

    known = policies(*documents)
    standing = [one for one in known if not any(narrower(other, one) for other in known)]
    strictest = max((["allow", "ask", "deny"].index(each.action) for each in standing), default=0)
    assert action(*documents, a="x", b="y") == ["allow", "ask", "deny"][strictest]


def test_many_policies_about_many_tools_take_no_time() -> None:
    """Every reply that is streamed looks at each of the agent's tools."""
    many = policies(*({**ASK, "tool_name": "*" if number % 2 else f"tool*{number}"} for number in range(500)))
    began = time.monotonic()
    for _ in range(50):
        assert asks(many, agent_id="agent-1", agent_tags=(), tool_name="tool-of-many") == "always"
    assert time.monotonic() - began < 5  # 20 s and more where each policy is held against each other
