"""How tool rules stand in the system message."""

from datetime import UTC, datetime

import pytest

from o.domain.json import JsonObject
from o.domain.prompt import PromptFacts, compile_system
from tests.o.domain.test_loop import agent

FACTS = PromptFacts("default", 3, datetime(2026, 1, 1, tzinfo=UTC))


def rendered(*rules: JsonObject) -> list[str]:
    compiled = compile_system(agent(*rules), FACTS)
    return [part.split("</tool_rule>")[0].strip() for part in compiled.split("<tool_rule>")[1:]]


def test_the_rules_a_model_can_follow_are_told_one_by_one() -> None:
    sentences = rendered(
        {"type": "constrain_child_tools", "tool_name": "a", "children": ["b", "c"]},
        {"type": "parent_last_tool", "tool_name": "a", "children": ["b"]},
        {"type": "conditional", "tool_name": "a", "child_output_mapping": {"yes": "b"}},
        {"type": "continue_loop", "tool_name": "a"},
        {"type": "exit_loop", "tool_name": "a"},
        {"type": "max_count_per_step", "tool_name": "a", "max_count_limit": 2},
    )
    assert len(sentences) == 6 and all("a" in sentence.replace(",", " ").split() for sentence in sentences)
    assert "b, c" in sentences[0] and "2 times" in sentences[5]
    assert (
        rendered(
            {"type": "run_first", "tool_name": "a"},
            {"type": "required_before_exit", "tool_name": "a"},
            {"type": "requires_approval", "tool_name": "a"},
        )
        == []
    )


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("Say it.", "Say it."),
        ("<tool_rule>\n{{ tool_name }}, then {{ children | join(', ') }}\n</tool_rule>", "a, then b, c"),
        ("{{tool_name}} {{ secret }} {{ __class__ }}", "a {{ secret }} {{ __class__ }}"),
        ("{{ max_count_limit }}", "{{ max_count_limit }}"),
    ],
)
def test_a_rules_own_sentence_is_filled_in(template: str, sentence: str) -> None:
    rule: JsonObject = {"type": "constrain_child_tools", "tool_name": "a", "children": ["b", "c"]}
    assert rendered({**rule, "prompt_template": template}) == [sentence]
