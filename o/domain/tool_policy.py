"""Policies about tool calls: which may run, which a person is asked about, which may not.

A policy is overruled only by one that is narrower in every respect; of those that remain, the strictest decides. Text
is matched by `*` alone, never by regular expressions: a model chooses the text, and could choose one that keeps an
expression busy for hours.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, model_validator

Action = Literal["allow", "ask", "deny"]
OnTimeout = Literal["deny", "approve", "cancel"]

_STRICTNESS: dict[Action, int] = {"allow": 0, "ask": 1, "deny": 2}
_LONGEST_NUMBER = 400  # characters; more than any float has

Glob = Annotated[str, Field(min_length=1, max_length=500)]


class Condition(BaseModel):
    """What one argument must be. All that is given must hold.

    Attributes:
        matches: text in which `*` stands for anything.
        equals: a JSON value.
        above, below: bounds of a number, themselves excluded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    matches: Glob | None = None
    equals: JsonValue = None
    above: Annotated[float, Field(allow_inf_nan=False)] | None = None
    below: Annotated[float, Field(allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Condition":
        if not self.model_fields_set:
            raise ValueError("give at least one of matches, equals, above and below")
        return self


class Policy(BaseModel):
    """What happens to some calls.

    Attributes:
        tool_name: the tool, where `*` stands for any text.
        arguments: by name, a text with `*` or a condition; a call without one of these arguments is not meant.
        agent_id, tag: whose calls are meant; None: everybody's.
        reason: for the model (deny) or the person who is asked (ask).
        timeout_seconds: how long the question stays open; None: as long as others.
        on_timeout: what becomes of the call when nobody answered.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    action: Action
    tool_name: Glob = "*"
    arguments: dict[str, Glob | Condition] = Field(default_factory=dict)
    agent_id: str | None = None
    tag: str | None = None
    reason: str | None = None
    timeout_seconds: int | None = None
    on_timeout: OnTimeout = "deny"


POLICIES: TypeAdapter[tuple[Policy, ...]] = TypeAdapter(tuple[Policy, ...])


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policies say of one call. `timeout` is in seconds; None leaves the usual one."""

    action: Action = "allow"
    reason: str | None = None
    timeout: int | None = None
    on_timeout: OnTimeout = "deny"


def decide(
    policies: Sequence[Policy],
    *,
    agent_id: str,
    agent_tags: Collection[str],
    tool_name: str,
    arguments: Mapping[str, JsonValue],
) -> Decision:
    """What happens to one call. Where no policy speaks of it, it is allowed."""
    meant = [
        policy
        for policy in policies
        if _concerns(policy, agent_id, agent_tags, tool_name)
        and all(name in arguments and _holds(policy, name, arguments[name]) for name in policy.arguments)
    ]
    breadths = {policy.id: _breadth(policy) for policy in meant}
    overruled = _overruled(set(breadths.values()))
    standing = [policy for policy in meant if breadths[policy.id] not in overruled]
    if not standing:
        return Decision()
    strictest = max(standing, key=lambda policy: _STRICTNESS[policy.action])
    return Decision(strictest.action, strictest.reason, strictest.timeout_seconds, strictest.on_timeout)


def asks(
    policies: Sequence[Policy], *, agent_id: str, agent_tags: Collection[str], tool_name: str
) -> Literal["never", "always", "maybe"]:
    """Whether calls of a tool wait for a person, as far as that is known before its arguments are."""
    meant = [policy for policy in policies if _concerns(policy, agent_id, agent_tags, tool_name)]
    if not any(policy.action == "ask" for policy in meant):
        return "never"
    if any(policy.arguments for policy in meant):
        return "maybe"
    decision = decide(meant, agent_id=agent_id, agent_tags=agent_tags, tool_name=tool_name, arguments={})
    return "always" if decision.action == "ask" else "never"


def glob_matches(glob: str, text: str) -> bool:
    """Whether a text is as a glob says, in time linear in the text for each part of the glob."""
    first, *rest = glob.split("*")
    if not rest:
        return text == glob
    *middle, last = rest
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _concerns(policy: Policy, agent_id: str, agent_tags: Collection[str], tool_name: str) -> bool:
    return (
        (policy.agent_id is None or policy.agent_id == agent_id)
        and (policy.tag is None or policy.tag in agent_tags)
        and glob_matches(policy.tool_name, tool_name)
    )


class _Breadth(NamedTuple):
    """How narrow a policy is, in each respect: the more, the narrower.

    Attributes:
        tool: the more literal a name is, the narrower; one without a `*` is the narrowest.
        whose: an agent's, a tag's, everybody's.
        arguments: names of those it looks at.
    """

    tool: tuple[bool, int]
    whose: int
    arguments: frozenset[str]


def _breadth(policy: Policy) -> _Breadth:
    literal = policy.tool_name.replace("*", "")
    whose = 2 if policy.agent_id is not None else 1 if policy.tag is not None else 0
    return _Breadth(("*" not in policy.tool_name, len(literal)), whose, frozenset(policy.arguments))


def _overruled(breadths: Collection[_Breadth]) -> set[_Breadth]:
    """Those than which another is narrower in some respect and wider in none. Of many policies few differ in this."""
    return {
        one
        for one in breadths
        if any(
            other != one and other.tool >= one.tool and other.whose >= one.whose and other.arguments >= one.arguments
            for other in breadths
        )
    }


def _holds(policy: Policy, name: str, value: JsonValue) -> bool:
    """Whether an argument is as a policy says.

    In doubt against the call: of a list with several texts, one is enough to deny or to ask, but all must be as an
    allowing policy says; and a number that cannot be read is beyond every bound that restricts.
    """
    pattern = policy.arguments[name]
    condition = Condition(matches=pattern) if isinstance(pattern, str) else pattern
    restricts = policy.action != "allow"
    if condition.matches is not None:
        found = [glob_matches(condition.matches, text) for text in _texts(value)]
        if not (any(found) if restricts else found and all(found)):
            return False
    if "equals" in condition.model_fields_set and not _equal(condition.equals, value, by_text=restricts):
        return False
    if condition.above is None and condition.below is None:
        return True
    number = _number(value)
    if number is None:
        return restricts
    return (condition.above is None or number > condition.above) and (
        condition.below is None or number < condition.below
    )


def _texts(value: JsonValue) -> list[str]:
    """The texts in a value; numbers and words as JSON spells them. An empty list or object is one, as it is spelled."""
    waiting: list[JsonValue] = [value]
    texts: list[str] = []
    while waiting:
        match waiting.pop():
            case list(items) if items:
                waiting.extend(items)
            case dict(members) if members:
                waiting.extend(members.values())
            case str(text):
                texts.append(text)
            case other:
                texts.append(json.dumps(other))
    return texts


def _equal(expected: JsonValue, value: JsonValue, *, by_text: bool) -> bool:
    if isinstance(expected, bool) == isinstance(value, bool) and expected == value:
        return True
    return by_text and not isinstance(expected, list | dict) and _texts(expected) == _texts(value)


def _number(value: JsonValue) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > _LONGEST_NUMBER:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number
