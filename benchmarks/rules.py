"""How long the tool rules take: solver, plan of a reply, and policies, at fifty of each."""

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime

from benchmarks.figures import Report, percentile
from o.domain import loop
from o.domain.agent import Agent, Tool
from o.domain.json import JsonObject
from o.domain.messages import ToolCall
from o.domain.model import ModelReply, Sampling, ToolSpec, Usage
from o.domain.tool_policy import POLICIES
from o.domain.tool_rules import TOOL_RULES
from o.domain.tool_solver import PastCall, allowance

_COUNT = 50
_SAMPLES = 2000
_NAMES = [f"tool_{number}" for number in range(_COUNT)]
_SCHEMA: JsonObject = {"type": "object", "properties": {"path": {"type": "string"}, "amount": {"type": "number"}}}


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true", help="one JSON object as the last line")
    as_json = arguments.parse_args().json
    agent = _agent()
    long = "x" * 50_000
    history = [PastCall(name, long) for name in _NAMES[:10]]
    _, _, allowed = loop.offer(agent, (), history)
    call = ToolCall("call_0", allowed.tools[0], '{"path": "/srv/data/file", "amount": 12}')
    reply = ModelReply((), (call,), "tool_calls", Usage())
    report = Report()
    _measure(report, "allowance", lambda: allowance(agent.rules, _NAMES, history))
    _measure(report, "offer", lambda: loop.offer(agent, (), history))
    _measure(report, "plan, policies included", lambda: loop.plan(reply, agent, allowed, history))
    planned = loop.plan(reply, agent, allowed, history)
    _measure(report, "after_tools", lambda: loop.after_tools(planned, agent, history, 5))
    report.print(as_json=as_json)


def _measure(report: Report, name: str, work: Callable[[], object]) -> None:
    samples = []
    for _ in range(_SAMPLES):
        began = time.perf_counter()
        work()
        samples.append(time.perf_counter() - began)
    microseconds = {f"p{round(share * 100)}_us": percentile(samples, share) * 1e6 for share in (0.5, 0.9, 0.99)}
    report.add(f"{name}: {_COUNT} tools, {_COUNT} rules", n=len(samples), **microseconds)


def _agent() -> Agent:
    rules: list[JsonObject] = []
    for number, name in enumerate(_NAMES):
        following = _NAMES[(number + 1) % _COUNT]
        rules.append(
            (
                {"type": "constrain_child_tools", "tool_name": name, "children": _NAMES[number:] or [name]},
                {"type": "parent_last_tool", "tool_name": name, "children": [following]},
                {"type": "max_count_per_step", "tool_name": name, "max_count_limit": 3},
                {"type": "conditional", "tool_name": name, "child_output_mapping": {str(n): name for n in range(20)}},
                {"type": "required_before_exit", "tool_name": name},
            )[number % 5]
        )
    policies: list[JsonObject] = [
        {
            "id": name,
            "action": ("ask", "deny", "allow")[number % 3],
            "tool_name": ("*", "tool_*", name)[number % 3],
            "arguments": {"path": "/etc/*" if number % 2 else "*/data/*", "amount": {"above": number}},
        }
        for number, name in enumerate(_NAMES)
    ]
    return Agent(
        id="agent-1",
        org_id="org-1",
        name="n",
        agent_type="letta_v1_agent",
        system="",
        model="scripted/json",
        context_window=32_000,
        sampling=Sampling(),
        strict=False,
        parallel_tool_calls=True,
        response_format=None,
        rules=TOOL_RULES.validate_python(rules),
        tools=tuple(
            Tool(name, name, "custom", ToolSpec(name, "", _SCHEMA), "external", 50_000, parallel=False)
            for name in _NAMES
        ),
        blocks=(),
        timezone="UTC",
        message_buffer_autoclear=False,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        policies=POLICIES.validate_python(policies),
    )


if __name__ == "__main__":
    main()
