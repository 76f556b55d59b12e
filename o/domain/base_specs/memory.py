"""The tools by which an agent edits its own memory blocks."""

from o.domain.base_specs.declaring import BaseTool, BaseToolType, choice, schema, text, whole
from o.domain.json import JsonObject
from o.domain.model import ToolSpec

_LABEL = text("Label of the memory block to edit.")
_PATH = "of the form /memories/<label>"


def _edit(name: str, description: str, parameters: JsonObject, tool_type: BaseToolType) -> BaseTool:
    # An edit and its return are stored together, so that it happens once however often it is tried.
    return BaseTool(ToolSpec(name, description, parameters), tool_type, "writes", idempotent=True, edits_memory=True)


def _rethink(name: str) -> BaseTool:
    return _edit(
        name,
        "Rewrite a whole memory block: for tidying up, merging and condensing, not for small changes. A block that "
        "does not exist yet is made.",
        schema(
            ("label", "new_memory"),
            label=text("Label of the memory block to rewrite or to make."),
            new_memory=text("The whole new text of the block; what is not in it is forgotten."),
        ),
        "letta_sleeptime_core",
    )


MEMORY = (
    _edit(
        "memory_insert",
        "Add text to one of your memory blocks, at a line or at the end.",
        schema(
            ("label", "new_string"),
            label=_LABEL,
            new_string=text("The text to add, without line numbers."),
            insert_line=whole("The line after which to add it: 0 is the beginning, -1 the end (default)."),
        ),
        "letta_sleeptime_core",
    ),
    _edit(
        "memory_replace",
        "Replace one passage of a memory block by another, or remove it.",
        schema(
            ("label", "old_string", "new_string"),
            label=_LABEL,
            old_string=text("The passage to replace, to the letter; it must occur exactly once."),
            new_string=text("What to put in its place; empty removes the passage."),
        ),
        "letta_sleeptime_core",
    ),
    _rethink("memory_rethink"),
    _rethink("rethink_memory"),
    BaseTool(
        ToolSpec("memory_finish_edits", "Say that you have finished editing memory for now.", schema()),
        "letta_sleeptime_core",
        "pure",
        edits_memory=True,
    ),
    _edit(
        "core_memory_append",
        "Add text on a line of its own at the end of a memory block.",
        schema(("label", "content"), label=_LABEL, content=text("The text to add.")),
        "letta_memory_core",
    ),
    _edit(
        "core_memory_replace",
        "Replace every occurrence of a passage in a memory block.",
        schema(
            ("label", "old_content", "new_content"),
            label=_LABEL,
            old_content=text("The passage to replace, to the letter."),
            new_content=text("What to put in its place; empty removes the passage."),
        ),
        "letta_memory_core",
    ),
    _edit(
        "memory_apply_patch",
        "Make several changes to memory at once; either all of them are made or none. The patch has one of three "
        "forms. (1) Changes to the block `label`: hunks that begin with a line `@@`, whose lines begin with a space "
        "(kept, to find the place), `-` (removed) or `+` (added); no line numbers are needed, but each hunk must fit "
        "exactly one place. (2) Changes to several blocks: `*** Update Block: <label>` followed by hunks, "
        "`*** Add Block: <label>` followed by an optional line `Description: <text>` and `+` lines, "
        "`*** Delete Block: <label>`, and `*** Move to: <new label>` after an Update or Add. (3) For a block whose "
        "text is JSON: a JSON Patch, an array of operations such as "
        '[{"op": "replace", "path": "/city", "value": "Oslo"}].',
        schema(
            ("label", "patch"),
            label=text("Label of the block to change; of no meaning in the form for several blocks."),
            patch=text("The patch."),
        ),
        "letta_memory_core",
    ),
    _edit(
        "memory",
        f"Keep your memory blocks in order: make, change, rename or detach one. A block is named by a path {_PATH}.",
        schema(
            ("command",),
            command=choice(
                "create: path, description, file_text. str_replace: path, old_string, new_string. insert: path, "
                "insert_line, insert_text. delete: path. rename: old_path and new_path for another label, or path and "
                "description for another description.",
                "create",
                "str_replace",
                "insert",
                "delete",
                "rename",
            ),
            path=text(f"The block, {_PATH}."),
            file_text=text("create: what the block says at first."),
            description=text("create, rename: what the block is for."),
            old_string=text("str_replace: the passage to replace, to the letter; it must occur exactly once."),
            new_string=text("str_replace: what to put in its place; empty removes the passage."),
            insert_line=whole("insert: the line after which to add; 0 is the beginning, -1 the end (default)."),
            insert_text=text("insert: the text to add, without line numbers."),
            old_path=text(f"rename: the block as it is called, {_PATH}."),
            new_path=text(f"rename: the block as it shall be called, {_PATH}."),
        ),
        "letta_memory_core",
    ),
)

# Those whose `label` must be of a block there is.
OF_EXISTING_BLOCKS = frozenset({"memory_insert", "memory_replace", "core_memory_append", "core_memory_replace"})
