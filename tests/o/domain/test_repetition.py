"""Loops are told from repetition."""

import random

from hypothesis import given
from hypothesis import strategies as st

from o.domain.repetition import RepetitionGuard

PROSE = " ".join(f"Sentence {number} says something else." for number in range(2_000))


def first_alarm(text: str, piece: int = 17) -> int | None:
    """After how many characters the guard speaks up."""
    guard = RepetitionGuard()
    for start in range(0, len(text), piece):
        if guard.add(text[start : start + piece]):
            return start + piece
    return None


@given(st.text(min_size=1, max_size=400), st.integers(min_value=1, max_value=700))
def test_every_loop_is_found_however_it_is_cut(period: str, piece: int) -> None:
    text = PROSE[:5_000] + period * (12_000 // len(period) + 2)
    found = first_alarm(text, piece)
    assert found is not None
    assert found > 8_000


def test_what_is_no_loop_passes() -> None:
    drawn = random.Random(7)
    assert first_alarm(PROSE) is None
    assert first_alarm("".join(drawn.choice("ab") for _ in range(60_000))) is None
    assert first_alarm(("-" * 3_000 + PROSE[:3_000]) * 4) is None
    assert first_alarm("0" * 7_900) is None
