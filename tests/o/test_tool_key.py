from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.errors import Unauthorized
from o.tool_key import PREFIX, ToolScope, mint, read

SECRET = b"s" * 32
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SCOPE = ToolScope("org-1", "agent-1", "run-1", NOW + timedelta(seconds=60))


@pytest.mark.parametrize("run_id", ["run-1", None])
def test_a_key_says_what_it_reaches(run_id: str | None) -> None:
    scope = ToolScope("org-1", "agent-1", run_id, NOW + timedelta(seconds=60))
    key = mint(SECRET, scope)
    assert key.startswith(PREFIX)
    assert read(SECRET, key, NOW) == scope


def test_a_key_dies_with_its_time() -> None:
    key = mint(SECRET, SCOPE)
    assert read(SECRET, key, NOW + timedelta(seconds=59))
    with pytest.raises(Unauthorized, match="expired"):
        read(SECRET, key, NOW + timedelta(seconds=60))


def test_a_key_of_another_secret_opens_nothing() -> None:
    with pytest.raises(Unauthorized, match="no key of a tool"):
        read(b"t" * 32, mint(SECRET, SCOPE), NOW)


@given(st.data())
def test_a_changed_key_opens_nothing(data: st.DataObject) -> None:
    key = mint(SECRET, SCOPE)
    place = data.draw(st.integers(0, len(key) - 1))
    letter = data.draw(st.characters())
    changed = key[:place] + letter + key[place + 1 :]
    # The last letter of the seal holds two bits that decode to nothing.
    if changed != key and place != len(key) - 1:
        with pytest.raises(Unauthorized):
            read(SECRET, changed, NOW)


@given(st.text(max_size=200), st.booleans())
def test_any_text_is_refused(text: str, prefixed: bool) -> None:
    with pytest.raises(Unauthorized):
        read(SECRET, PREFIX + text if prefixed else text, NOW)
