"""Patches of several memory blocks: what a text with `*** … Block:` lines asks for, block by block."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from o.domain.blocks import EditRefused

_HEADER = re.compile(r"\*\*\* (?:(Add|Delete|Update) Block|(Move to)):[ \t]*(.*?)[ \t]*")
_FRAME = re.compile(r"\*\*\* (?:Begin|End) Patch[ \t]*")
_DESCRIPTION = re.compile(r"Description:[ \t]*(.*?)[ \t]*")

Verb = Literal["Add", "Delete", "Update"]
_VERBS: dict[str, Verb] = {"Add": "Add", "Delete": "Delete", "Update": "Update"}


@dataclass(frozen=True, slots=True)
class BlockPatch:
    """What becomes of one block.

    Attributes:
        label: as it is called before.
        text: of an added block its value, of an updated one its hunks.
        moved_to: its new label, where it gets one.
    """

    verb: Verb
    label: str
    text: str = ""
    description: str | None = None
    moved_to: str | None = None


def is_for_several(patch: str) -> bool:
    """Whether a patch names its blocks itself."""
    return any(_HEADER.fullmatch(line) for line in patch.split("\n"))


def block_patches(patch: str) -> list[BlockPatch]:
    """The patches of single blocks that a patch consists of, in its order; none of a block that another names.

    Raises:
        EditRefused: something stands before the first header or under a wrong one, or a block is named twice.
    """
    found: list[BlockPatch] = []
    body: list[str] = []
    for line in patch.split("\n"):
        header = _HEADER.fullmatch(line)
        if header is None:
            if not _FRAME.fullmatch(line):
                body.append(line)
            continue
        verb, move, label = header.groups()
        if not move:
            _close(found, body)
            found.append(BlockPatch(_VERBS[verb], label))
        elif found and found[-1].verb != "Delete" and found[-1].moved_to is None:
            last = found[-1]
            found[-1] = BlockPatch(last.verb, last.label, last.text, last.description, label)
        else:
            raise EditRefused("`*** Move to:` must follow an `*** Update Block:` or `*** Add Block:`, once.")
    _close(found, body)
    labels = [each.label for each in found]
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise EditRefused(f"the patch names a block twice: {', '.join(sorted(twice))}; join what is meant for it.")
    return found


def _close(found: list[BlockPatch], body: list[str]) -> None:
    """Give the last block the lines under its header."""
    lines, body[:] = list(body), []
    if not found:
        if any(line.strip() for line in lines):
            raise EditRefused(
                "the patch must begin with an `*** Add Block:`, `*** Update Block:` or `*** Delete Block:`."
            )
        return
    last = found[-1]
    if last.verb == "Delete":
        if any(line.strip() for line in lines):
            raise EditRefused(f"nothing may stand under `*** Delete Block: {last.label}`.")
    elif last.verb == "Add":
        description, value = _added(last.label, lines)
        found[-1] = BlockPatch("Add", last.label, value, description, last.moved_to)
    else:
        found[-1] = BlockPatch("Update", last.label, "\n".join(lines), None, last.moved_to)


def _added(label: str, lines: Sequence[str]) -> tuple[str | None, str]:
    """The description and the value of an added block."""
    description: str | None = None
    value: list[str] = []
    for line in lines:
        if line.startswith("+"):
            value.append(line[1:])
        elif not value and description is None and (said := _DESCRIPTION.fullmatch(line)):
            description = said[1]
        elif line.strip():
            raise EditRefused(f"under `*** Add Block: {label}` every line of its text begins with +.")
    return description, "\n".join(value)
