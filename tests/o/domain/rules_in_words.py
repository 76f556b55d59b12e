"""The tool rules a second time: slow and obvious, one sentence of the contract after the other, one tool at a time."""

from collections.abc import Sequence

from o.domain.tool_rules import (
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
from o.domain.tool_solver import PastCall


def may_be_called(tool: str, rules: Sequence[ToolRule], attached: Sequence[str], history: Sequence[PastCall]) -> bool:
    """Whether one attached tool is allowed now."""
    if not any(every_rule_allows(each, rules, attached, history) for each in attached):
        return True  # an empty set falls back to all tools
    return every_rule_allows(tool, rules, attached, history)


def every_rule_allows(
    tool: str, rules: Sequence[ToolRule], attached: Sequence[str], history: Sequence[PastCall]
) -> bool:
    if begins(rules, attached, history):
        return any(isinstance(rule, RunFirst) and rule.tool_name == tool for rule in rules)
    return all(rule_allows(rule, tool, attached, history) for rule in rules)


def begins(rules: Sequence[ToolRule], attached: Sequence[str], history: Sequence[PastCall]) -> bool:
    """Whether no tool was called in this request yet, and some attached tool is to be the first."""
    return not history and any(isinstance(rule, RunFirst) and rule.tool_name in attached for rule in rules)


def rule_allows(rule: ToolRule, tool: str, attached: Sequence[str], history: Sequence[PastCall]) -> bool:
    was_last = bool(history) and history[-1].name == rule.tool_name
    if isinstance(rule, ConstrainChildren) and was_last:
        return tool in rule.children
    if isinstance(rule, ParentLast):
        return (tool in rule.children) == was_last
    if isinstance(rule, Conditional) and was_last:
        mapped = [child for output, child in rule.child_output_mapping.items() if same(output, history[-1].result)]
        if mapped:
            return tool == mapped[0]
        if rule.require_output_mapping:
            return False
        return rule.default_child is None or tool == rule.default_child
    if isinstance(rule, MaxCount) and tool == rule.tool_name:
        return len([call for call in history if call.name == tool]) < rule.max_count_limit
    return True


def same(expected: str, result: str) -> bool:
    """Texts compare as texts, truth values as truth values, numbers as numbers."""
    if expected == result:
        return True
    truths = {"true": True, "false": False}
    left, right = expected.strip().lower(), result.strip().lower()
    if left in truths and right in truths:
        return truths[left] == truths[right]
    try:
        return float(left) == float(right)
    except ValueError:
        return False


def must_call(rules: Sequence[ToolRule], attached: Sequence[str], history: Sequence[PastCall]) -> bool:
    """Whether a tool call is forced."""
    if not any(every_rule_allows(each, rules, attached, history) for each in attached):
        return False
    if begins(rules, attached, history):
        return True
    forcing = [rule for rule in rules if isinstance(rule, ConstrainChildren | ParentLast | Conditional)]
    return bool(history) and any(rule.tool_name == history[-1].name for rule in forcing)


def preset_arguments(
    tool: str, rules: Sequence[ToolRule], attached: Sequence[str], history: Sequence[PastCall]
) -> dict[str, object]:
    """The arguments that are set for a tool that may be called now, whatever the model writes."""
    if not any(every_rule_allows(each, rules, attached, history) for each in attached):
        return {}
    if begins(rules, attached, history):
        first = [rule for rule in rules if isinstance(rule, RunFirst) and rule.tool_name == tool and rule.args]
        return dict(first[-1].args or {}) if first else {}
    if not history:
        return {}
    nodes = [
        node
        for rule in rules
        if isinstance(rule, ConstrainChildren) and rule.tool_name == history[-1].name
        for node in rule.child_arg_nodes or ()
        if node.name == tool and node.args
    ]
    return dict(nodes[-1].args or {}) if nodes else {}


def several_at_once(rules: Sequence[ToolRule]) -> bool:
    """Any rule other than requires_approval disables parallel tool calls."""
    return not [rule for rule in rules if not isinstance(rule, RequiresApproval)]


def stop_after(
    called: str,
    rules: Sequence[ToolRule],
    attached: Sequence[str],
    history: Sequence[PastCall],
    *,
    steps_left: int,
    heartbeat: bool | None,
) -> str | None:
    """Why the turn ends after one call that was carried out; `heartbeat` is None where no type of agent has any."""
    own = [rule for rule in rules if rule.tool_name == called]
    ends = any(isinstance(rule, ExitLoop) for rule in own)
    if heartbeat is None:
        stop = "tool_rule" if ends else None
    elif ends:
        stop = "tool_rule" if heartbeat else "end_turn"
    elif heartbeat or any(
        isinstance(rule, ConstrainChildren | ParentLast | Conditional | ContinueLoop) for rule in own
    ):
        stop = None
    else:
        stop = "end_turn"
    owed = [
        rule
        for rule in rules
        if isinstance(rule, RequiredBeforeExit)
        and rule.tool_name in attached
        and rule.tool_name not in [call.name for call in history]
    ]
    if stop is not None and owed:
        stop = None
    if stop is None and steps_left == 0:
        return "max_steps"
    return stop
