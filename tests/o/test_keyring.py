import base64
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.keyring import Keyring, KeyUnusable

KEYRING = Keyring(bytes(range(32)))


@given(st.text(), st.text())
def test_what_was_encrypted_opens_in_its_context(text: str, context: str) -> None:
    assert KEYRING.decrypt(KEYRING.encrypt(text, context=context), context=context) == text


def test_the_same_text_never_looks_the_same_and_never_shows() -> None:
    tokens = {KEYRING.encrypt("hunter2", context="a") for _ in range(50)}
    assert len(tokens) == 50
    assert not any("hunter2" in token for token in tokens)


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    token = KEYRING.encrypt("a secret", context="providers/key/1")
    head, payload = token.rsplit(".", 1)
    sealed = bytearray(base64.urlsafe_b64decode(payload))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(KeyUnusable):
        KEYRING.decrypt(f"{head}.{base64.urlsafe_b64encode(sealed).decode()}", context="providers/key/1")


def test_another_context_or_key_does_not_open_it() -> None:
    token = KEYRING.encrypt("a secret", context="row 1")
    with pytest.raises(KeyUnusable, match="changed or moved"):
        KEYRING.decrypt(token, context="row 2")
    with pytest.raises(KeyUnusable, match="O_KEY_FILE"):
        Keyring(bytes(32)).decrypt(token, context="row 1")


@pytest.mark.parametrize("token", ["", "o1", "o1.", "o2.x.y", "plain text", f"o1.{KEYRING.key_id}.***"])
def test_garbage_is_refused(token: str) -> None:
    with pytest.raises(KeyUnusable):
        KEYRING.decrypt(token, context="")


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key"
    token = Keyring.load(path).encrypt("x", context="c")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Keyring.load(path).decrypt(token, context="c") == "x"
    assert [entry.name for entry in path.parent.iterdir()] == ["key"]


def test_a_key_that_others_may_read_is_refused_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "key"
    Keyring.load(path)
    path.chmod(0o640)
    with pytest.raises(KeyUnusable, match="chmod 600"):
        Keyring.load(path)


@pytest.mark.parametrize("content", [b"", b"not base64!", base64.b64encode(b"short")])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(KeyUnusable):
        Keyring.load(path)


def _key_id(path: Path) -> str:
    return Keyring.load(path).key_id


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        assert len(set(pool.map(_key_id, [tmp_path / "key"] * 16))) == 1


def test_the_key_never_shows() -> None:
    assert repr(KEYRING) == f"Keyring(key_id='{KEYRING.key_id}')"


def test_what_is_derived_depends_on_key_and_purpose_only() -> None:
    one, other = Keyring(b"a" * 32), Keyring(b"b" * 32)
    assert one.derive("x") == Keyring(b"a" * 32).derive("x")
    assert len({one.derive("x"), one.derive("y"), other.derive("x"), b"a" * 32}) == 4
