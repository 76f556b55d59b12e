"""Which tools a model may call now: a pure function of the rules and of the calls made so far in this request."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

from o.domain.json import JsonObject
from o.domain.tool_rules import (
    Conditional,
    ConstrainChildren,
    ExitLoop,
    MaxCount,
    ParentLast,
    RequiredBeforeExit,
    RequiresApproval,
    RunFirst,
    ToolRule,
)

_LONGEST_VALUE = 100  # characters
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d{1,4})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call that was carried out in this request, and what it returned."""

    name: str
    result: str = ""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the rules allow.

    Attributes:
        tools: names that may be called, in the order they are attached.
        forced: whether one of them must be.
        prefilled: by tool name, arguments that override the model's.
        parallel: whether several calls in one reply are allowed; any rule but an approval forbids it.
    """

    tools: tuple[str, ...]
    forced: bool
    prefilled: dict[str, JsonObject]
    parallel: bool


def allowance(rules: Sequence[ToolRule], attached: Sequence[str], history: Sequence[PastCall]) -> Allowance:
    """Solve the rules for the next reply.

    An empty solution falls back to all attached tools, so that contradictory rules never leave a model mute.
    """
    parallel = all(isinstance(rule, RequiresApproval) for rule in rules)
    first = [rule for rule in rules if isinstance(rule, RunFirst)]
    if not history and first:
        names = {rule.tool_name for rule in first}
        prefilled = {rule.tool_name: rule.args for rule in first if rule.args}
        tools = tuple(name for name in attached if name in names)
        if tools:
            return Allowance(tools, True, prefilled, parallel)
    allowed = set(attached)
    forced = False
    prefilled = {}
    for rule in rules:
        limited = _limit(rule, attached, history)
        if limited is None:
            continue
        allowed &= limited
        if _is_trigger(rule, history):
            forced = True
            if isinstance(rule, ConstrainChildren):
                prefilled |= {node.name: node.args for node in rule.child_arg_nodes or () if node.args}
    tools = tuple(name for name in attached if name in allowed)
    if not tools:
        return Allowance(tuple(attached), False, {}, parallel)
    return Allowance(tools, forced, prefilled, parallel)


def _last(history: Sequence[PastCall]) -> PastCall | None:
    return history[-1] if history else None


def _is_trigger(rule: ToolRule, history: Sequence[PastCall]) -> bool:
    last = _last(history)
    forcing = isinstance(rule, ConstrainChildren | ParentLast | Conditional)
    return forcing and last is not None and last.name == rule.tool_name


def _limit(rule: ToolRule, attached: Collection[str], history: Sequence[PastCall]) -> set[str] | None:
    """The tools one rule allows now; None when it has nothing to say."""
    last = _last(history)
    triggered = last is not None and last.name == rule.tool_name
    match rule:
        case ConstrainChildren():
            return set(rule.children) if triggered else None
        case ParentLast():
            return set(rule.children) if triggered else set(attached) - set(rule.children)
        case Conditional():
            return _mapped(rule, last.result, attached) if triggered and last is not None else None
        case MaxCount():
            used = sum(call.name == rule.tool_name for call in history)
            return set(attached) - {rule.tool_name} if used >= rule.max_count_limit else None
        case _:
            return None


def _mapped(rule: Conditional, result: str, attached: Collection[str]) -> set[str]:
    for output, child in rule.child_output_mapping.items():
        if _same(output, result):
            return {child}
    if rule.require_output_mapping:
        return set()
    return {rule.default_child} if rule.default_child else set(attached)


def _same(expected: str, result: str) -> bool:
    """Whether a returned text is the expected output; numbers and booleans compare by value ("1.0" is "1")."""
    if expected == result:
        return True
    left, right = _value(expected), _value(result)
    return left is not None and isinstance(left, bool) == isinstance(right, bool) and left == right


def _value(text: str) -> bool | Decimal | None:
    """The number or boolean that a text is; None for anything else. Most results are long, and none of these."""
    word = text[:_LONGEST_VALUE].strip().lower()
    if len(text) >= _LONGEST_VALUE:
        return None
    if word in ("true", "false"):
        return word == "true"
    return Decimal(word) if _NUMBER.fullmatch(word) else None


def ends_turn(rules: Sequence[ToolRule], name: str) -> bool:
    """Whether a call of this tool ends the turn."""
    return any(isinstance(rule, ExitLoop) and rule.tool_name == name for rule in rules)


def needs_approval(rules: Sequence[ToolRule], name: str) -> bool:
    return any(isinstance(rule, RequiresApproval) and rule.tool_name == name for rule in rules)


def missing_before_exit(rules: Sequence[ToolRule], attached: Collection[str], called: Collection[str]) -> list[str]:
    """The attached tools that must still be called before the turn may end."""
    return [
        rule.tool_name
        for rule in rules
        if isinstance(rule, RequiredBeforeExit) and rule.tool_name in attached and rule.tool_name not in called
    ]
