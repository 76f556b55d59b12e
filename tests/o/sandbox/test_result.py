"""Results are hostile bytes: read as plain data, or rejected."""

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.sandbox.result import BadResult, parse, read

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def _framed(body: bytes) -> bytes:
    return struct.pack("!I", len(body)) + body


def _document(**fields: Any) -> bytes:
    return _framed(json.dumps({"outcome": "returned", **fields}).encode())


@given(_JSON)
def test_plain_values_come_through_as_they_are(value: Any) -> None:
    assert read(_document(value=value)).value == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_rejected(data: bytes) -> None:
    for attempt in (data, _framed(data)):
        try:
            read(attempt)
        except BadResult as reason:
            assert str(reason)


@given(st.text())
def test_text_that_is_kept_can_be_stored(text: str) -> None:
    kept = parse(json.dumps({"a": text + "\ud800\0", "b\0": text}).encode())
    assert "\0" not in json.dumps(kept, ensure_ascii=False).replace("\\u0000", "\0")
    json.dumps(kept, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0",
        _framed(b"not json"),
        _framed(b"[1]"),
        _framed(b'{"outcome": "timeout"}'),
        _framed(b'{"outcome": "returned", "error": 3}'),
        _framed(b'{"outcome": "returned", "agent_state": []}'),
        _framed(b'{"outcome": "returned", "value": NaN}'),
        _framed(b'{"outcome": "returned", "value": -Infinity}'),
        _framed(b'{"outcome": "returned", "value": 1e999}'),
        _framed(b'{"outcome": "returned", "value": 123456789012345678901234567890}'),
        _framed(b'{"outcome": "returned", "value": ' + b"9" * 100_000 + b"}"),
        _framed(b'{"outcome": "returned", "value": "\xff"}'),
        _framed(b'{"outcome": "returned", "value": ' + b"[" * 100 + b"]" * 100 + b"}"),
        _framed(b'{"outcome": "returned", "value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        _document(value=1) + _document(value=2),
        _document(value=1) + b"x",
        _document(value=1)[:-1],
        _framed(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94."),
    ],
)
def test_what_is_no_single_plain_result_is_rejected(data: bytes) -> None:
    with pytest.raises(BadResult):
        read(data)


def test_a_long_error_is_cut() -> None:
    assert len(read(_document(error="x" * 10_000)).error or "") < 2000


def test_numbers_keep_their_kind() -> None:
    value = read(_document(value=[1, 1.0, True, 0.1])).value
    assert [type(each) for each in value] == [int, float, bool, float]
    assert math.isclose(value[3], 0.1)
