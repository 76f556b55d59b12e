"""Edits of blocks: what they give, and what they refuse in words for the model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain import blocks
from o.domain.blocks import Block, EditRefused


def block(value: str, *, limit: int = 1000, read_only: bool = False) -> Block:
    return Block("block-1", "human", value, limit, read_only=read_only)


@pytest.mark.parametrize(
    ("line", "expected"), [(0, "new\na\nb"), (1, "a\nnew\nb"), (2, "a\nb\nnew"), (-1, "a\nb\nnew")]
)
def test_insert_at_a_line(line: int, expected: str) -> None:
    assert blocks.insert(block("a\nb"), "new", line) == expected


def test_insert_into_an_empty_block_leaves_no_empty_line() -> None:
    assert blocks.insert(block(""), "first") == "first"


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda b: blocks.insert(b, "x", 9), "between 0 and 1"),
        (lambda b: blocks.insert(b, "1→ x"), "line numbers"),
        (lambda b: blocks.replace(b, "zebra", "y"), "does not occur"),
        (lambda b: blocks.replace(b, "a", "y"), "occurs 2 times"),
        (lambda b: blocks.replace(b, "", "y"), "must not be empty"),
        (lambda b: blocks.replace_all(b, "zebra", "y"), "does not occur"),
        (lambda b: blocks.append(b, "x" * 2000), "over its limit"),
    ],
)
def test_refusals_say_what_to_do(edit: "object", complaint: str) -> None:
    assert callable(edit)
    with pytest.raises(EditRefused, match=complaint):
        edit(block("banana"[:4]))


@pytest.mark.parametrize("name", ["insert", "append"])
def test_read_only_blocks_cannot_be_edited(name: str) -> None:
    with pytest.raises(EditRefused, match="read-only"):
        getattr(blocks, name)(block("x", read_only=True), "y")


@given(st.text(max_size=60), st.text(alphabet="abc \n", min_size=1, max_size=30), st.integers(-3, 70))
def test_insert_keeps_every_old_line(value: str, text: str, line: int) -> None:
    try:
        result = blocks.insert(block(value), text, line)
    except EditRefused:
        return
    old, new = value.split("\n") if value else [], text.split("\n")
    assert len(result.split("\n")) == len(old) + len(new)
    kept = result.split("\n")
    at = len(old) if line == -1 else line
    assert kept[:at] + kept[at + len(new) :] == old


@given(st.text(max_size=80), st.text(min_size=1, max_size=5), st.text(alphabet="xyz", max_size=5))
def test_replace_undoes_itself_or_refuses(value: str, old: str, new: str) -> None:
    try:
        result = blocks.replace(block(value), old, new)
    except EditRefused:
        assert value.count(old) != 1 or "→" in old
        return
    assert len(result) == len(value) - len(old) + len(new)
