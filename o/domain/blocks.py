"""Memory blocks and the edits an agent's tools may make to them.

Every edit is a pure function from the old value to the new one; what it refuses, it refuses in words the model
can act on.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of text pinned in the context. `limit` is in characters; `version` rises by one with each edit."""

    id: str
    label: str
    value: str
    limit: int
    description: str | None = None
    read_only: bool = False
    version: int = 1


class EditRefused(ValueError):
    """The edit cannot be made; the text is for the model."""


DEFAULT_LIMIT = 100_000

_LINE_NUMBER = re.compile(r"^\s*\d+\s*→", re.MULTILINE)


def insert(block: Block, text: str, line: int = -1) -> str:
    """The value with `text` after line `line` (0 = before the first, -1 = at the end).

    Raises:
        EditRefused: read-only, over the limit, no such line, or line numbers copied into the text.
    """
    check_editable(block)
    check_plain(text, "new_string")
    lines = block.value.split("\n") if block.value else []
    if line == -1:
        line = len(lines)
    if not 0 <= line <= len(lines):
        raise EditRefused(f"insert_line must be between 0 and {len(lines)}, or -1 for the end; it was {line}.")
    value = "\n".join([*lines[:line], *text.split("\n"), *lines[line:]])
    return within_limit(block.label, value, block.limit)


def replace(block: Block, old: str, new: str) -> str:
    """The value with the only occurrence of `old` replaced by `new` (empty = removed).

    Raises:
        EditRefused: read-only, over the limit, `old` empty, absent or ambiguous, or line numbers copied in.
    """
    check_editable(block)
    check_plain(old, "old_string")
    check_plain(new, "new_string")
    if not old:
        raise EditRefused("old_string must not be empty.")
    found = block.value.count(old)
    if found == 0:
        raise EditRefused(f"old_string does not occur in block {block.label}; it must match to the letter.")
    if found > 1:
        raise EditRefused(
            f"old_string occurs {found} times in block {block.label}; make it longer, so that it is unique."
        )
    return within_limit(block.label, block.value.replace(old, new), block.limit)


def append(block: Block, text: str) -> str:
    """The value with `text` on a line of its own at the end."""
    check_editable(block)
    return within_limit(block.label, f"{block.value}\n{text}" if block.value else text, block.limit)


def replace_all(block: Block, old: str, new: str) -> str:
    """The value with every occurrence of `old` replaced by `new`."""
    check_editable(block)
    if not old or old not in block.value:
        raise EditRefused(f"old_content does not occur in block {block.label}; it must match to the letter.")
    return within_limit(block.label, block.value.replace(old, new), block.limit)


def rewrite(block: Block, value: str) -> str:
    """The value that replaces the whole of the old one.

    Raises:
        EditRefused: read-only, or over the limit.
    """
    check_editable(block)
    return within_limit(block.label, value, block.limit)


def check_editable(block: Block) -> None:
    """Raises EditRefused for a read-only block, in the contract's words."""
    if block.read_only:
        raise EditRefused("Error This block is read-only and cannot be edited.")


def check_plain(text: str, argument: str) -> None:
    """Raises EditRefused for a text in which a model copied the line numbers it was shown."""
    if _LINE_NUMBER.search(text):
        raise EditRefused(f"{argument} contains line numbers; they are shown for reading only, leave them out.")


def within_limit(label: str, value: str, limit: int = DEFAULT_LIMIT) -> str:
    """The value, if a block may be so long. Raises EditRefused."""
    if len(value) > limit:
        raise EditRefused(
            f"block {label} would have {len(value)} characters, {len(value) - limit} over its limit of "
            f"{limit}; shorten the edit or remove something first."
        )
    return value
