"""Plans: what is there against what a file defines."""

from typing import Any

import pytest

from o.cli.apply_plan import MARKER, agent_change, block_changes, mine, tool_change
from o.domain.definitions import AgentDefinition
from o.domain.json import JsonObject
from o.dsl import block, define_agent, tool, when
from o.errors import InvalidArgument


@tool(effect="pure", requires_approval=True, network=["a.example"])
def double(n: int) -> int:
    """Double a number.

    Args:
        n: The number.
    """
    return 2 * n


def stored_tool(**changes: Any) -> JsonObject:
    """The tool as the API prints it."""
    derived = double.definition.derived
    return {
        **double.definition.settings,
        "name": "double",
        "tool_type": "custom",
        "source_code": double.definition.source,
        "source_type": "python",
        "json_schema": {
            "name": "double",
            "description": derived.description,
            "parameters": derived.parameters,
        },
        "pip_requirements": None,
        "sandbox": {"network": ["a.example"], "timeout": None, "memory": None},
        **changes,
    }


AGENT = define_agent(
    "Clerk",
    model="scripted/json",
    system="Work.",
    tools=[double],
    rules=[when(double).at_most(2)],
    blocks=[block("human", "Ada"), block("rules", "Be brief.", keep=False, limit=100)],
    tags=["b", "a"],
    secrets=["KEY"],
)


def stored_agent(**changes: Any) -> JsonObject:
    """The agent as the API prints it."""
    names = ("double", "memory_replace", "memory_insert", "conversation_search", "open_files")
    return {
        "id": "agent-1",
        "name": "Clerk",
        "agent_type": "letta_v1_agent",
        "model": "scripted/json",
        "system": "Work.",
        "tags": ["a", "b"],
        "llm_config": {"context_window": 1000},
        "metadata": {MARKER: "default", "more": 1},
        "tools": [
            {"name": name, "tool_type": "letta_files_core" if name == "open_files" else "custom"} for name in names
        ],
        "tool_rules": [
            {"type": "requires_approval", "tool_name": "double", "prompt_template": None},
            {"type": "max_count_per_step", "tool_name": "double", "prompt_template": None, "max_count_limit": 2},
            {"type": "requires_approval", "tool_name": "double", "prompt_template": None},
        ],
        "secrets": [{"key": "KEY", "value": "sesame"}],
        "blocks": [
            {"label": "human", "value": "Ada likes tea.", "limit": 100_000, "description": "d", "read_only": False},
            {"label": "rules", "value": "Be brief.", "limit": 100, "description": None, "read_only": False},
        ],
        **changes,
    }


def changed(wanted: AgentDefinition, present: JsonObject | None, key: str = "sesame", model: str | None = None) -> Any:
    return agent_change(
        wanted,
        present,
        model=model,
        default_model="local/default",
        default_embedding="local/vectors",
        secrets={"KEY": key},
        project="default",
    )


def test_what_is_there_is_left() -> None:
    assert tool_change(double.definition, stored_tool()).action == "unchanged"
    assert changed(AGENT, stored_agent()).action == "unchanged"
    assert [each.action for each in block_changes(AGENT, stored_agent())] == ["unchanged", "unchanged"]


def test_what_is_not_there_is_made() -> None:
    made = tool_change(double.definition, None)
    assert (made.action, made.body["effect"]) == ("create", "pure")
    body = changed(AGENT, None).body
    assert body["metadata"] == {MARKER: "default"}
    assert body["tools"] == ["conversation_search", "memory_insert", "memory_replace", "double"]
    assert [each["label"] for each in body["memory_blocks"]] == ["human", "rules"]
    assert (body["model"], body["embedding"], body["secrets"]) == ("scripted/json", "local/vectors", {"KEY": "sesame"})
    assert body["include_base_tools"] is body["include_base_tool_rules"] is False
    (block_made,) = [each for each in block_changes(AGENT, stored_agent(blocks=[])) if each.name == "Clerk/human"]
    assert (block_made.action, block_made.body["value"]) == ("create", "Ada")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("effect", "external"), ("source_code", "x"), ("default_requires_approval", None), ("tags", ["t"])),
        *(("sandbox", {"network": []}), ("pip_requirements", [{"name": "a"}]), ("return_char_limit", 5)),
        ("json_schema", {"name": "double", "description": "Other."}),
    ],
)
def test_a_tool_that_differs_is_put_whole(field: str, value: object) -> None:
    change = tool_change(double.definition, stored_tool(**{field: value}))
    assert change.action == "update"
    assert list(change.fields) == [field]
    assert change.body.keys() >= {"source_code", "effect", "sandbox", "tags"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("model", "other/model"), ("system", "Rest."), ("tags", ["a"]), ("tool_rules", []), ("tools", [])),
        ("metadata", {"more": 1}),
    ],
)
def test_an_agent_that_differs_is_changed_there_only(field: str, value: object) -> None:
    change = changed(AGENT, stored_agent(**{field: value}))
    assert change.action == "update"
    assert list(change.fields) == list(change.body) == [field]


def test_metadata_of_others_stays() -> None:
    assert changed(AGENT, stored_agent(metadata={"more": 1})).body["metadata"] == {"more": 1, MARKER: "default"}


def test_secrets_are_never_shown() -> None:
    change = changed(AGENT, stored_agent(), key="open")
    assert list(change.fields) == ["secrets"]
    assert change.body == {"secrets": {"KEY": "open"}}
    assert "open" not in repr(change) and "sesame" not in repr(change)
    assert "sesame" not in repr(changed(AGENT, None))


def test_what_an_agent_wrote_stays_unless_the_file_keeps_it() -> None:
    blocks = [
        {"label": "human", "value": "Ada likes tea.", "limit": 5, "description": None, "read_only": False},
        {"label": "rules", "value": "Be long.", "limit": 100, "description": None, "read_only": True},
        {"label": "own", "value": "Mine.", "limit": 100, "description": None, "read_only": False},
    ]
    human, rules = block_changes(AGENT, stored_agent(blocks=blocks))
    assert human.body == {"limit": 100_000}
    assert rules.body == {"value": "Be brief.", "read_only": False}


def test_a_model_that_nobody_names_is_left() -> None:
    nameless = define_agent("Clerk", system="Work.", tags=["a", "b"], base_tools=False)
    assert "model" not in changed(nameless, stored_agent(model="any/model")).fields
    assert changed(nameless, None).body["model"] == "local/default"
    assert changed(nameless, None, model="other/one").body["model"] == "other/one"
    assert changed(nameless, stored_agent(), model="other/one").body["model"] == "other/one"


def test_whose_agent_it_is() -> None:
    by_hand, other, ours = (
        stored_agent(id="agent-1", metadata={}),
        stored_agent(id="agent-2", metadata={MARKER: "other"}),
        stored_agent(id="agent-3"),
    )
    assert mine([by_hand, other, ours], "default") is ours
    assert mine([by_hand, stored_agent(metadata=None)], "default") is None
    with pytest.raises(InvalidArgument, match="several agents called 'Clerk' belong to project 'default'"):
        mine([ours, ours], "default")


def test_what_cannot_be_changed_is_said() -> None:
    with pytest.raises(InvalidArgument, match="none of yours \\(external_mcp\\)"):
        tool_change(double.definition, stored_tool(tool_type="external_mcp"))
    with pytest.raises(InvalidArgument, match="is a react_agent, and types cannot be changed"):
        changed(AGENT, stored_agent(agent_type="react_agent"))


def test_secrets_that_a_file_does_not_name_stay() -> None:
    by_hand = [{"key": "KEY", "value": "sesame"}, {"key": "OTHER", "value": "by hand"}]
    assert changed(AGENT, stored_agent(secrets=by_hand)).action == "unchanged"
    change = changed(AGENT, stored_agent(secrets=by_hand), key="open")
    assert change.body == {"secrets": {"KEY": "open", "OTHER": "by hand"}}
