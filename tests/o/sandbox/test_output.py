"""What a call prints is kept at both ends, and cannot speak to a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from o.sandbox.output import Kept


@given(st.lists(st.binary(max_size=300)), st.integers(2, 200))
def test_what_is_kept_is_the_beginning_and_the_end(parts: list[bytes], limit: int) -> None:
    kept = Kept(limit)
    for part in parts:
        kept.add(part)
    text = kept.text()
    assert len(text) <= limit + 40
    assert "\x1b" not in text
    assert "\0" not in text


def test_the_middle_of_a_flood_is_counted() -> None:
    kept = Kept(10)
    kept.add(b"begin")
    for _ in range(1000):
        kept.add(b"-" * 100)
    kept.add(b"ended")
    assert kept.text() == "begin\n[100000 bytes left out]\nended"


def test_little_is_kept_whole() -> None:
    kept = Kept(1024)
    kept.add("grüße\tund\n".encode() + b"\xff\x1b[31mred\x00")
    assert kept.text() == "grüße\tund\n\ufffd[31mred"
