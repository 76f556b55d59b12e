"""What the memory tools do to an agent's blocks: pure functions from the blocks and a call's arguments to changes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from o.domain import blocks
from o.domain.block_patch import apply_hunks
from o.domain.blocks import Block, EditRefused
from o.domain.json import JsonObject
from o.domain.json_patch import apply_json_patch, is_json_patch
from o.domain.memory_patch import BlockPatch, block_patches, is_for_several
from o.domain.memory_paths import ROOT, label_of, new_label

MemoryBlocks = Mapping[str, Block]


@dataclass(frozen=True, slots=True)
class Made:
    """A block that the agent gets."""

    label: str
    value: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """A block that gets another value, label or description; None leaves what it had."""

    block: Block
    value: str | None = None
    label: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Detached:
    """A block that the agent loses; it is not deleted."""

    block: Block


MemoryChange = Made | Changed | Detached


@dataclass(frozen=True, slots=True)
class MemoryEdit:
    """What a call comes to: changes that are made together or not at all, and what the model is told of them."""

    changes: tuple[MemoryChange, ...]
    told: str


def memory_edit(tool: str, arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    """What a call of a memory tool comes to.

    Args:
        held: the agent's blocks, by label.

    Raises:
        EditRefused: in words for the model; nothing is to be changed.
        KeyError: there is no such tool.
    """
    return _EDITS[tool](arguments, held)


def _insert(arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    block = _held(held, _text(arguments, "label"))
    return _valued(block, blocks.insert(block, _text(arguments, "new_string"), _line(arguments)))


def _replace(arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    block = _held(held, _text(arguments, "label"))
    return _valued(block, blocks.replace(block, _text(arguments, "old_string"), _text(arguments, "new_string")))


def _append(arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    block = _held(held, _text(arguments, "label"))
    return _valued(block, blocks.append(block, _text(arguments, "content")))


def _replace_all(arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    block = _held(held, _text(arguments, "label"))
    return _valued(block, blocks.replace_all(block, _text(arguments, "old_content"), _text(arguments, "new_content")))


def _rethink(arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    label, value = _text(arguments, "label"), _text(arguments, "new_memory")
    blocks.check_plain(value, "new_memory")
    if label in held:
        return _valued(held[label], blocks.rewrite(held[label], value))
    return MemoryEdit((Made(new_label(label), blocks.within_limit(label, value)),), value)


def _finish(arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    return MemoryEdit((), "None")


def _apply_patch(arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    patch = _text(arguments, "patch")
    if is_for_several(patch):
        return _several(block_patches(patch), held)
    block = _held(held, _text(arguments, "label"))
    blocks.check_editable(block)
    return _valued(block, _patched(block, patch))


def _patched(block: Block, patch: str) -> str:
    if is_json_patch(patch):
        value = apply_json_patch(block.value, patch, longest=block.limit)
    else:
        value = apply_hunks(block.value, patch)
    return blocks.within_limit(block.label, value, block.limit)


def _several(patches: Sequence[BlockPatch], held: MemoryBlocks) -> MemoryEdit:
    """Each patch sees the blocks as they were; only which labels are taken is told by those before it."""
    taken = set(held)
    changes: list[MemoryChange] = []
    told: list[str] = []
    for patch in patches:
        if patch.verb == "Add":
            change, sentence = _added(patch, taken)
        elif patch.verb == "Delete":
            change, sentence = _detached(_held(held, patch.label), taken)
        else:
            change, sentence = _updated(patch, _held(held, patch.label), taken)
        changes.append(change)
        told.append(sentence)
    return MemoryEdit(tuple(changes), "\n".join(told))


def _added(patch: BlockPatch, taken: set[str]) -> tuple[MemoryChange, str]:
    label = _free(patch.moved_to or patch.label, taken)
    return Made(label, blocks.within_limit(label, patch.text), patch.description), f"Made block {label}."


def _detached(block: Block, taken: set[str]) -> tuple[MemoryChange, str]:
    blocks.check_editable(block)
    taken.discard(block.label)
    return Detached(block), f"Detached block {block.label}; it is no longer in your memory."


def _updated(patch: BlockPatch, block: Block, taken: set[str]) -> tuple[MemoryChange, str]:
    blocks.check_editable(block)
    value = _patched(block, patch.text) if patch.text.strip() else None
    if patch.moved_to is None or patch.moved_to == block.label:
        if value is None:
            raise EditRefused(f"`*** Update Block: {block.label}` has no hunks.")
        return Changed(block, value), f"Updated block {block.label}."
    label = _free(patch.moved_to, taken)
    taken.discard(block.label)
    verb = "Renamed" if value is None else "Updated and renamed"
    return Changed(block, value, label), f"{verb} block {block.label} to {label}."


def _omni(arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    command = _text(arguments, "command")
    if command not in _COMMANDS:
        raise EditRefused(f"there is no command {command[:40]!r}; there are: {', '.join(_COMMANDS)}.")
    return _COMMANDS[command](arguments, held)


def _create(arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    label = _free(label_of(_text(arguments, "path")), set(held))
    description = _text(arguments, "description")
    if not description.strip():
        raise EditRefused("the argument description is needed: say what the block is for.")
    value = _text(arguments, "file_text", "")
    return MemoryEdit((Made(label, blocks.within_limit(label, value), description),), f"Made block {label}.")


def _str_replace(arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    block = _at(arguments, held)
    return _valued(block, blocks.replace(block, _text(arguments, "old_string"), _text(arguments, "new_string", "")))


def _insert_text(arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    block = _at(arguments, held)
    return _valued(block, blocks.insert(block, _text(arguments, "insert_text"), _line(arguments)))


def _delete(arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    change, told = _detached(_at(arguments, held), set())
    return MemoryEdit((change,), told)


def _rename(arguments: JsonObject, held: MemoryBlocks) -> MemoryEdit:
    old = "old_path" if arguments.get("old_path") else "path"
    block = _at(arguments, held, old)
    blocks.check_editable(block)
    new = arguments.get("new_path")
    description = _text(arguments, "description", "") or None
    if new:
        label = label_of(_text(arguments, "new_path"))
        if label != block.label:
            _free(label, set(held))
        return MemoryEdit(
            (Changed(block, label=label, description=description),), f"Renamed block {block.label} to {label}."
        )
    if description is None:
        raise EditRefused("rename needs old_path and new_path, or path and description.")
    return MemoryEdit((Changed(block, description=description),), f"Described block {block.label} anew.")


Edit = Callable[[JsonObject, MemoryBlocks], MemoryEdit]

_COMMANDS: dict[str, Edit] = {
    "create": _create,
    "str_replace": _str_replace,
    "insert": _insert_text,
    "delete": _delete,
    "rename": _rename,
}

_EDITS: dict[str, Edit] = {
    "core_memory_append": _append,
    "core_memory_replace": _replace_all,
    "memory": _omni,
    "memory_apply_patch": _apply_patch,
    "memory_finish_edits": _finish,
    "memory_insert": _insert,
    "memory_replace": _replace,
    "memory_rethink": _rethink,
    "rethink_memory": _rethink,
}


def _valued(block: Block, value: str) -> MemoryEdit:
    return MemoryEdit((Changed(block, value),), value)


def _held(held: MemoryBlocks, label: str) -> Block:
    if label not in held:
        known = ", ".join(sorted(held)) or "none"
        raise EditRefused(f"you have no memory block labelled '{label[:100]}'; yours are: {known}.")
    return held[label]


def _free(label: str, taken: set[str]) -> str:
    """A label for a block, if it can have it; from then on it is taken."""
    if new_label(label) in taken:
        raise EditRefused(f"you have a memory block labelled '{label}' already.")
    taken.add(label)
    return label


def _at(arguments: JsonObject, held: MemoryBlocks, name: str = "path") -> Block:
    """The block at a path. People may have given it a label that an agent may not."""
    path = _text(arguments, name)
    label = path.removeprefix(ROOT)
    return held[label] if path.startswith(ROOT) and label in held else _held(held, label_of(path))


def _text(arguments: JsonObject, name: str, default: str | None = None) -> str:
    """An argument that is a text which can be stored."""
    value = arguments.get(name)
    if value is None:
        if default is None:
            raise EditRefused(f"the argument '{name}' is missing.")
        return default
    if not isinstance(value, str):
        raise EditRefused(f"the argument {name} must be a text.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise EditRefused(f"the argument {name} contains half of a surrogate pair.") from None
    if "\0" in value:
        raise EditRefused(f"the argument {name} contains a NUL character.")
    return value


def _line(arguments: JsonObject) -> int:
    line = arguments.get("insert_line")
    if line is None:
        return -1
    try:
        return int(line)
    except (TypeError, ValueError, OverflowError):
        raise EditRefused("the argument insert_line must be a whole number.") from None
