"""The system message of a conversation: the agent's own text, its memory blocks, tool rules and metadata.

The structure is the letta-v1 contract's (section 7.1); the sentences are ours.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from o.domain.agent import Agent
from o.domain.blocks import Block
from o.domain.tool_rules import (
    Conditional,
    ConstrainChildren,
    ContinueLoop,
    ExitLoop,
    MaxCount,
    ParentLast,
    ToolRule,
)

MEMORY_SLOT = "{CORE_MEMORY}"
# Slots of a rule's own sentence, as in `{{ tool_name }}` and `{{ children | join(", ") }}`.
_SLOT = re.compile(r"\{\{\s*(\w+)[^{}]*\}\}")
_SLOTS = frozenset({"tool_name", "children", "max_count_limit"})

# Types whose context holds no memory blocks.
_WITHOUT_BLOCKS = frozenset({"react_agent", "workflow_agent"})


@dataclass(frozen=True, slots=True)
class PromptFacts:
    """What the metadata section states besides the agent: `conversation` is `default` or a conversation id."""

    conversation: str
    previous_messages: int
    compiled_at: datetime


def compile_system(agent: Agent, facts: PromptFacts) -> str:
    """The whole system message. Memory goes where the agent's text says `{CORE_MEMORY}`, else after it."""
    sections = []
    if agent.agent_type not in _WITHOUT_BLOCKS:
        numbered = agent.model.startswith("anthropic/")
        sections.append(_memory(agent.blocks, numbered=numbered))
    if rules := _rules(agent.rules):
        sections.append(rules)
    sections.append(_metadata(agent, facts))
    memory = "\n\n".join(section for section in sections if section)
    if MEMORY_SLOT in agent.system:
        return agent.system.replace(MEMORY_SLOT, memory)
    return f"{agent.system}\n\n{memory}" if agent.system else memory


def _memory(blocks: Sequence[Block], *, numbered: bool) -> str:
    if not blocks:
        return ""
    inner = "\n\n".join(_block(block, numbered=numbered) for block in blocks)
    intro = "These memory blocks are always in view; what they say is what you know for certain:"
    return f"<memory_blocks>\n{intro}\n\n{inner}\n\n</memory_blocks>"


def _block(block: Block, *, numbered: bool) -> str:
    metadata = ["- read_only=true"] if block.read_only else []
    metadata += [f"- chars_current={len(block.value)}", f"- chars_limit={block.limit}"]
    value = block.value
    if numbered:
        value = "\n".join(f"{number}→ {line}" for number, line in enumerate(value.split("\n"), 1))
    return "\n".join(
        [
            f"<{block.label}>",
            f"<description>\n{block.description or ''}\n</description>",
            "<metadata>",
            *metadata,
            "</metadata>",
            f"<value>\n{value}\n</value>",
            f"</{block.label}>",
        ]
    )


def _rules(rules: Sequence[ToolRule]) -> str:
    lines = [line for rule in rules if (line := _rule(rule))]
    return "\n".join(["<tool_usage_rules>", *lines, "</tool_usage_rules>"]) if lines else ""


def _rule(rule: ToolRule) -> str:
    """One rule as a sentence for the model; empty for those it need not know."""
    name = rule.tool_name
    match rule:
        case ConstrainChildren():
            text = f"After {name}, one of these must follow: {', '.join(rule.children)}."
        case ParentLast():
            text = f"Only right after {name} may these be used: {', '.join(rule.children)}."
        case Conditional():
            text = f"What {name} returns decides which tool must follow."
        case ContinueLoop():
            text = f"After {name} the turn goes on."
        case ExitLoop():
            text = f"{name} ends the turn."
        case MaxCount():
            text = f"{name} may be used at most {rule.max_count_limit} times in one request."
        case _:
            return ""
    if rule.prompt_template:
        text = _SLOT.sub(lambda slot: _slot(rule, slot), rule.prompt_template).strip()
    return text if text.startswith("<tool_rule>") else f"<tool_rule>\n{text}\n</tool_rule>"


def _slot(rule: ToolRule, slot: re.Match[str]) -> str:
    """What stands for a slot of a rule's own sentence; a slot of no known name stays as it is."""
    value = getattr(rule, slot[1]) if slot[1] in _SLOTS and hasattr(rule, slot[1]) else slot[0]
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _metadata(agent: Agent, facts: PromptFacts) -> str:
    return "\n".join(
        [
            "<memory_metadata>",
            f"- AGENT_ID: {agent.id}",
            f"- CONVERSATION_ID: {facts.conversation}",
            f"- System prompt last recompiled: {facts.compiled_at:%Y-%m-%d %I:%M:%S %p %Z%z}",
            f"- {facts.previous_messages} previous messages between you and the user are stored in recall memory",
            "</memory_metadata>",
        ]
    )
