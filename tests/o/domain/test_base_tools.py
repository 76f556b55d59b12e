"""The base tools: their declarations fit together, and every type of agent gets its own."""

import jsonschema_rs
import pytest

from o.domain.agent import AGENT_TOOLS, AGENT_TYPES, AgentType
from o.domain.base_tools import BASE_TOOLS, MEMORY_TOOLS, base_tools_of, with_labels

TOOLS = {tool.spec.name: tool for tool in BASE_TOOLS}
CHAT = {"send_message", "conversation_search"}
CONSOLIDATION = {"memory_replace", "memory_insert", "memory_rethink", "memory_finish_edits"}


def test_names_are_unique_and_schemas_are_schemas() -> None:
    assert len(TOOLS) == len(BASE_TOOLS)
    for name, tool in TOOLS.items():
        jsonschema_rs.meta.validate(tool.spec.parameters)
        parameters = tool.spec.parameters
        assert set(parameters["required"]) <= set(parameters["properties"])
        assert all(each["description"] for each in parameters["properties"].values())
        assert len(name) <= 48


def test_the_tools_that_speak_to_agents_are_declared() -> None:
    assert {name for name, tool in TOOLS.items() if tool.tool_type == "letta_multi_agent_core"} == AGENT_TOOLS


def test_what_may_run_side_by_side() -> None:
    assert {name for name, tool in TOOLS.items() if tool.parallel} == {
        *("conversation_search", "conversation_search_date", "archival_memory_search"),
        *("run_code", "web_search", "fetch_webpage"),
    }
    assert not any(tool.parallel for tool in BASE_TOOLS if tool.effect in ("writes", "external"))


@pytest.mark.parametrize(
    ("agent_type", "names"),
    [
        ("letta_v1_agent", {"conversation_search", "memory_insert", "memory_replace"}),
        ("memgpt_v2_agent", CHAT | {"memory_insert", "memory_replace"}),
        ("memgpt_agent", CHAT | {"core_memory_append", "core_memory_replace", "memory", "memory_apply_patch"}),
        ("split_thread_agent", CHAT | {"core_memory_append", "core_memory_replace", "memory", "memory_apply_patch"}),
        ("sleeptime_agent", CONSOLIDATION),
        ("react_agent", set()),
        ("workflow_agent", set()),
    ],
)
def test_the_sets_of_the_contract(agent_type: AgentType, names: set[str]) -> None:
    assert set(base_tools_of(agent_type)) == names


def test_every_set_is_of_tools_there_are_and_holds_no_deprecated_one() -> None:
    for agent_type in AGENT_TYPES:
        assert set(base_tools_of(agent_type)) <= set(TOOLS) - {"archival_memory_insert", "archival_memory_search"}


def test_an_agent_whose_memory_is_tended_edits_none() -> None:
    assert set(base_tools_of("letta_v1_agent", sleeptime=True)) == CHAT | {"archival_memory_search"}
    assert set(base_tools_of("sleeptime_agent", sleeptime=True)) == CONSOLIDATION


def test_labels_are_narrowed_only_where_the_block_must_exist() -> None:
    for name in MEMORY_TOOLS:
        label = with_labels(TOOLS[name].spec, ["human"]).parameters["properties"].get("label", {})
        existing = name in {"memory_insert", "memory_replace", "core_memory_append", "core_memory_replace"}
        assert label.get("enum") == (["human"] if existing else None)
