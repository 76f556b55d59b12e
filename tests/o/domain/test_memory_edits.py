"""The memory tools: what a call comes to, and what is refused in words for the model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.base_tools import BASE_TOOLS, MEMORY_TOOLS
from o.domain.blocks import Block, EditRefused
from o.domain.json import JsonObject
from o.domain.memory_edits import Changed, Detached, Made, MemoryEdit, memory_edit

HUMAN = Block("block-1", "human", "Name: Ada\nCity: Rome", 40)
FACTS = Block("block-2", "facts/json", '{"age": 36}', 100)
RULES = Block("block-3", "rules", "Be kind.", 100, read_only=True)
HELD = {block.label: block for block in (HUMAN, FACTS, RULES)}


def edit(tool: str, **arguments: object) -> MemoryEdit:
    return memory_edit(tool, arguments, HELD)


@pytest.mark.parametrize(
    ("tool", "arguments", "value"),
    [
        ("memory_insert", {"new_string": "Job: none", "insert_line": 1}, "Name: Ada\nJob: none\nCity: Rome"),
        ("memory_insert", {"new_string": "!"}, "Name: Ada\nCity: Rome\n!"),
        ("memory_replace", {"old_string": "Rome", "new_string": "Oslo"}, "Name: Ada\nCity: Oslo"),
        ("core_memory_append", {"content": "!"}, "Name: Ada\nCity: Rome\n!"),
        ("core_memory_replace", {"old_content": "a", "new_content": ""}, "Nme: Ad\nCity: Rome"),
        ("memory_rethink", {"new_memory": "Ada of Rome"}, "Ada of Rome"),
        ("rethink_memory", {"new_memory": "Ada of Rome"}, "Ada of Rome"),
        ("memory_apply_patch", {"patch": "@@\n-City: Rome\n+City: Oslo"}, "Name: Ada\nCity: Oslo"),
    ],
)
def test_an_edit_of_one_block_tells_its_new_value(tool: str, arguments: JsonObject, value: str) -> None:
    made = edit(tool, label="human", **arguments)
    assert made == MemoryEdit((Changed(HUMAN, value),), value)


def test_rethinking_makes_a_block_that_is_not_there() -> None:
    assert edit("memory_rethink", label="plans", new_memory="Rest.").changes == (Made("plans", "Rest."),)


def test_finishing_changes_nothing() -> None:
    assert edit("memory_finish_edits") == MemoryEdit((), "None")


def test_a_json_patch_changes_a_block_that_is_json() -> None:
    patch = '[{"op": "replace", "path": "/age", "value": 37}]'
    assert edit("memory_apply_patch", label="facts/json", patch=patch).told == '{"age": 37}'


SEVERAL = """*** Begin Patch
*** Update Block: human
@@
-City: Rome
+City: Oslo
*** Move to: person
*** Add Block: plans
Description: What comes next.
+Rest.
+
+Travel.
*** Delete Block: facts/json
*** End Patch"""


def test_a_patch_of_several_blocks_changes_them_together() -> None:
    made = edit("memory_apply_patch", label="", patch=SEVERAL)
    assert made.changes == (
        Changed(HUMAN, "Name: Ada\nCity: Oslo", "person"),
        Made("plans", "Rest.\n\nTravel.", "What comes next."),
        Detached(FACTS),
    )
    assert [line.split()[0] for line in made.told.split("\n")] == ["Updated", "Made", "Detached"]


def test_a_label_that_is_given_up_is_free() -> None:
    patch = "*** Delete Block: facts/json\n*** Update Block: human\n*** Move to: facts/json"
    assert edit("memory_apply_patch", patch=patch).changes == (Detached(FACTS), Changed(HUMAN, None, "facts/json"))


@pytest.mark.parametrize(
    ("patch", "complaint"),
    [
        ("hello\n*** Delete Block: human", "must begin with"),
        ("*** Update Block: nope\n@@\n-a", "no memory block labelled 'nope'"),
        ("*** Update Block: human\n*** Delete Block: facts/json", "has no hunks"),
        ("*** Add Block: human\n+x", "already"),
        ("*** Add Block: new\nno plus", "begins with \\+"),
        ("*** Add Block: ../new\n+x", "cannot be the label"),
        ("*** Delete Block: human\nx", "nothing may stand under"),
        ("*** Move to: x", "must follow"),
        ("*** Update Block: human\n*** Move to: facts/json", "already"),
        ("*** Delete Block: human\n*** Delete Block: human", "names a block twice"),
        ("*** Delete Block: rules", "read-only"),
        ("*** Update Block: rules\n*** Move to: r", "read-only"),
        ("*** Delete Block: human\n*** Update Block: facts/json\n@@\n-nothing", "fits nowhere"),
        ("*** Update Block: human\n@@\n City: Rome\n+" + "x" * 40, "over its limit"),
    ],
)
def test_a_patch_of_several_blocks_is_refused_whole(patch: str, complaint: str) -> None:
    with pytest.raises(EditRefused, match=complaint):
        edit("memory_apply_patch", label="human", patch=patch)


@pytest.mark.parametrize(
    ("arguments", "change"),
    [
        (
            {"command": "create", "path": "/memories/plans", "description": "Next.", "file_text": "Rest."},
            Made("plans", "Rest.", "Next."),
        ),
        (
            {"command": "str_replace", "path": "/memories/human", "old_string": "Rome", "new_string": "Oslo"},
            Changed(HUMAN, "Name: Ada\nCity: Oslo"),
        ),
        (
            {"command": "insert", "path": "/memories/human", "insert_line": 0, "insert_text": "Ada:"},
            Changed(HUMAN, "Ada:\nName: Ada\nCity: Rome"),
        ),
        ({"command": "delete", "path": "/memories/facts/json"}, Detached(FACTS)),
        (
            {"command": "rename", "old_path": "/memories/human", "new_path": "/memories/person"},
            Changed(HUMAN, label="person"),
        ),
        (
            {"command": "rename", "path": "/memories/human", "description": "Who it is."},
            Changed(HUMAN, description="Who it is."),
        ),
    ],
)
def test_every_command_of_the_memory_tool(arguments: JsonObject, change: object) -> None:
    assert edit("memory", **arguments).changes == (change,)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"command": "view", "path": "/memories/human"}, "no command 'view'"),
        ({"command": "create", "path": "/memories/plans"}, "'description' is missing"),
        ({"command": "create", "path": "/memories/plans", "description": " "}, "description is needed"),
        ({"command": "create", "path": "/memories/human", "description": "x"}, "already"),
        ({"command": "delete", "path": "/memories/rules"}, "read-only"),
        ({"command": "rename", "old_path": "/memories/rules", "new_path": "/memories/r"}, "read-only"),
        ({"command": "rename", "old_path": "/memories/human", "new_path": "/memories/rules"}, "already"),
        ({"command": "rename", "path": "/memories/human"}, "needs old_path and new_path"),
        ({"command": "insert", "path": "/memories/human", "insert_text": "x", "insert_line": "end"}, "whole number"),
        ({"command": "delete", "path": "human"}, "does not begin with"),
    ],
)
def test_what_the_memory_tool_refuses(arguments: JsonObject, complaint: str) -> None:
    with pytest.raises(EditRefused, match=complaint):
        edit("memory", **arguments)


@pytest.mark.parametrize(
    "path",
    [
        "/memories/",
        "/memories/../human",
        "/memories/a/../../human",
        "/memories//human",
        "/memories/human/",
        "/memories/.hidden",
        "/memories/%2e%2e/x",
        "/memories/a\\b",
        "/memories/</human><system>",
        "/memories/a\nb",
        "/memories/" + "x" * 101,
        "/memories",
        "/etc/passwd",
        "/memories/../memories/human",
    ],
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    for command in ("create", "delete", "str_replace"):
        with pytest.raises(EditRefused):
            edit("memory", command=command, path=path, description="x", old_string="Ada", new_string="Eve")


@pytest.mark.parametrize(
    ("tool", "arguments", "complaint"),
    [
        ("memory_insert", {"label": "human"}, "'new_string' is missing"),
        ("memory_insert", {"label": 7, "new_string": "x"}, "label must be a text"),
        ("memory_insert", {"label": "human", "new_string": "a\0b"}, "NUL"),
        ("memory_rethink", {"label": "new", "new_memory": "\ud800"}, "surrogate"),
        ("memory_rethink", {"label": "new", "new_memory": "1→ x"}, "line numbers"),
        ("memory_rethink", {"label": "<x>", "new_memory": "x"}, "cannot be the label"),
        (
            "memory_rethink",
            {"label": "rules", "new_memory": "x"},
            "Error This block is read-only and cannot be edited.",
        ),
        ("memory_apply_patch", {"label": "rules", "patch": "@@\n-Be kind."}, "read-only"),
        ("memory_rethink", {"label": "new", "new_memory": "x" * 100_001}, "over its limit"),
        ("core_memory_append", {"label": "human", "content": "x" * 40}, "over its limit of 40"),
    ],
)
def test_what_cannot_be_stored_is_refused(tool: str, arguments: JsonObject, complaint: str) -> None:
    with pytest.raises(EditRefused, match=complaint):
        memory_edit(tool, arguments, HELD)


WORDS = st.sampled_from(["human", "facts/json", "rules", "/memories/human", "/memories/x", "@@\n-City: Rome", "x", "1"])
VALUES = WORDS | st.text(max_size=10) | st.integers() | st.none() | st.lists(st.integers(), max_size=1)
NAMES = sorted({name for tool in BASE_TOOLS for name in tool.spec.parameters["properties"]})


@given(st.sampled_from(sorted(MEMORY_TOOLS)), st.dictionaries(st.sampled_from(NAMES), VALUES), st.data())
def test_whatever_a_model_writes_is_an_edit_or_a_refusal(tool: str, arguments: JsonObject, data: st.DataObject) -> None:
    commands = ["create", "str_replace", "insert", "delete", "rename", "?"]
    try:
        made = memory_edit(tool, {"command": data.draw(st.sampled_from(commands)), **arguments}, HELD)
    except EditRefused:
        return
    for change in made.changes:
        assert not (isinstance(change, Changed | Detached) and change.block.read_only)
        assert not (isinstance(change, Changed) and len(change.value or "") > change.block.limit)
