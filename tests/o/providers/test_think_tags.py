"""Thoughts within tags become reasoning, however the text is cut into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.model import ReasoningDelta, TextDelta
from o.providers.think_tags import ThinkReader


def split(*pieces: str, opened: bool = False) -> tuple[str, str]:
    """The reasoning and the text of a reply."""
    reader = ThinkReader(opened=opened)
    events = [event for piece in pieces for event in reader.read(piece)] + list(reader.finish())
    assert all(event.text for event in events if isinstance(event, TextDelta | ReasoningDelta))
    thoughts = [event.text for event in events if isinstance(event, ReasoningDelta)]
    return "".join(thoughts), "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>\nHm.\n</think>\n\nYes.", ("Hm.\n", "Yes.")),
        ("\n <THINK>Hm.</Think>Yes.", ("Hm.", "Yes.")),
        ("<thinking>a </think> b</thinking>c", ("a </think> b", "c")),
        ("<reasoning>a</reasoning>\r\n  c", ("a", "  c")),
        ("<think>\n\n</think>\n\nYes.", ("", "Yes.")),
        ("<think>a<b</think>c", ("a<b", "c")),
        ("<think>never closed </thin", ("never closed </thin", "")),
        ("<think>", ("", "")),
        ("<think>a</think>b <think>c</think>", ("a", "b <think>c</think>")),
        ("Say <think>a</think>.", ("", "Say <think>a</think>.")),
        ("<thin ice", ("", "<thin ice")),
        ("<thinker>a", ("", "<thinker>a")),
        ("\n\nYes.</think>", ("", "\n\nYes.</think>")),
        ("<thi", ("", "<thi")),
        ("", ("", "")),
    ],
)
def test_a_block_at_the_start_is_reasoning(text: str, parts: tuple[str, str]) -> None:
    assert split(text) == parts
    assert split(*text) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hm.\n</think>\n\nYes.", ("Hm.\n", "Yes.")),
        ("<think>\nHm.</think>Yes.", ("Hm.", "Yes.")),
        ("\nHm.</THINKING>Yes. </think>", ("Hm.", "Yes. </think>")),
        ("Hm.", ("Hm.", "")),
    ],
)
def test_a_reply_may_start_within_a_block(text: str, parts: tuple[str, str]) -> None:
    assert split(text, opened=True) == parts
    assert split(*text, opened=True) == parts


PIECES = st.lists(st.sampled_from(["<", "think", ">", "</", "<think>", "</think>", "<thinking>", "a", "\n", " ", "İ"]))


@given(PIECES, st.booleans())
def test_how_a_reply_is_cut_does_not_matter(pieces: list[str], opened: bool) -> None:
    text = "".join(pieces)
    assert split(*pieces, opened=opened) == split(text, opened=opened) == split(*text, opened=opened)


@given(PIECES)
def test_no_text_is_lost_without_a_block(pieces: list[str]) -> None:
    assert split("x", *pieces) == ("", "".join(["x", *pieces]))


def test_nothing_waits_that_cannot_be_a_tag() -> None:
    reader = ThinkReader()
    assert list(reader.read("Hel")) == [TextDelta("Hel")]
    assert list(reader.read("<think>")) == [TextDelta("<think>")]
    reader = ThinkReader()
    assert list(reader.read("<think>a b")) == [ReasoningDelta("a b")]
    assert list(reader.read("c <")) == [ReasoningDelta("c ")]
    assert list(reader.read("d")) == [ReasoningDelta("<d")]
