"""Patches of one block: made where they fit, refused where it is not clear where that is."""

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.block_patch import apply_hunks
from o.domain.blocks import EditRefused

VALUE = "name: Ada\ncity: Rome\n\nlikes:\n- tea\n- chess\n\ndislikes:\n- noise"


@pytest.mark.parametrize(
    ("patch", "change"),
    [
        ("@@\n-city: Rome\n+city: Oslo", ("city: Rome", "city: Oslo")),
        ("@@ -2,1 +2,1 @@ the city\n-city: Rome\n+city: Oslo\n", ("city: Rome", "city: Oslo")),
        ("-city: Rome\n+city: Oslo", ("city: Rome", "city: Oslo")),
        ("--- human\n+++ human\n@@\n-city: Rome\n+city: Oslo\n\n\n", ("city: Rome", "city: Oslo")),
        ("@@\n likes:\n+- walks", ("likes:\n- tea", "likes:\n- walks\n- tea")),
        ("@@\n - tea\n-- chess", ("- tea\n- chess", "- tea")),
        ("@@\n-- chess\n\n dislikes:\n", ("- chess\n\ndis", "\ndis")),
        ("@@\n-city: Rome  \n+city: Oslo", ("city: Rome", "city: Oslo")),  # blanks at the end of a line
        ("@@\n name: Ada \n+born: 1815", ("name: Ada", "name: Ada\nborn: 1815")),
        ("@@\n-- noise\n\\ No newline at end of file\n+- dust", ("- noise", "- dust")),
    ],
)
def test_a_hunk_is_made_where_it_fits(patch: str, change: tuple[str, str]) -> None:
    assert apply_hunks(VALUE, patch) == VALUE.replace(*change)


def test_several_hunks_in_any_order_are_made_from_the_same_text() -> None:
    patch = "@@\n-- noise\n+- tea\n@@\n-- tea\n+- noise"
    assert apply_hunks(VALUE, patch) == VALUE.replace("tea", "?").replace("noise", "tea").replace("?", "noise")


def test_additions_alone_fill_an_empty_block() -> None:
    assert apply_hunks("", "@@\n+one\n+\n+two") == "one\n\ntwo"


@pytest.mark.parametrize(
    ("patch", "complaint"),
    [
        ("", "changes nothing"),
        ("@@\n name: Ada", "changes nothing"),
        ("@@\n-city: Paris\n+city: Oslo", "hunk 1 of the patch fits nowhere"),
        ("@@\n-name: Ada\n-likes:", "fits nowhere"),
        ("@@\n \n+new", "fits 2 places"),
        ("@@\n+lost", "not where to add"),
        ("@@\n-city: Rome\n+city: Oslo\n@@\n name: Ada\n-city: Rome", "overlaps"),
        ("@@\ncity: Rome\n+city: Oslo", "begins with a space"),
        ("@@\n-city: Rome\n+city: Oslo\n@@\n-nothing like it", "hunk 2 of the patch fits nowhere"),
    ],
)
def test_what_is_not_clear_is_refused(patch: str, complaint: str) -> None:
    with pytest.raises(EditRefused, match=complaint):
        apply_hunks(VALUE, patch)


LINES = st.sampled_from(
    ["a", "b", "c", "", " ", "a ", "+a", "-a", "--- a", "+++ b", "@@", "*** x", "\\ No newline", "d\r"]
)
TEXTS = st.lists(LINES, max_size=12).map("\n".join)


@given(TEXTS, TEXTS, st.integers(0, 4))
def test_a_diff_of_two_texts_gives_the_second_or_is_refused(before: str, after: str, context: int) -> None:
    old, new = (text.split("\n") if text else [] for text in (before, after))
    patch = "\n".join(difflib.unified_diff(old, new, "a", "b", n=context, lineterm=""))
    try:
        assert apply_hunks(before, patch) == after
    except EditRefused:
        assert old == new or len(set(old)) < len(old) or context == 0


@given(st.lists(st.integers(0, 99), unique=True, max_size=15), st.data())
def test_a_diff_of_a_text_whose_lines_differ_is_never_refused(numbers: list[int], data: st.DataObject) -> None:
    old = [f"line {number}" for number in numbers]
    new = data.draw(st.lists(st.sampled_from([*old, "new", ""]), max_size=15))
    if old != new and new != [""]:  # one empty line is no line
        patch = "\n".join(difflib.unified_diff(old, new, n=3, lineterm=""))
        assert apply_hunks("\n".join(old), patch) == "\n".join(new)


@given(TEXTS, st.text(alphabet="ab+-@ \n", max_size=40))
def test_any_text_as_a_patch_keeps_or_removes_whole_lines_only(value: str, patch: str) -> None:
    try:
        made = apply_hunks(value, patch)
    except EditRefused:
        return
    added = {line[1:] for line in patch.split("\n") if line.startswith("+")}
    assert set(made.split("\n")) <= {*value.split("\n"), *added, ""}
