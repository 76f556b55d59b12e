"""Reading a GGUF file's header, sound and damaged."""

import struct
from pathlib import Path

import pytest

from o.embedded.gguf import context_length
from o.embedded.llama import CONTEXT_LIMIT, LanguageFile
from o.errors import InvalidArgument


def _text(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _gguf(*pairs: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs)


NAME = _text(b"general.name") + struct.pack("<I", 8) + _text(b"tiny")
WORDS = _text(b"tokenizer.tokens") + struct.pack("<IIQ", 9, 8, 2) + _text(b"a") + _text(b"b")
SCORES = _text(b"tokenizer.scores") + struct.pack("<IIQ", 9, 6, 2) + struct.pack("<ff", 1, 2)
FLAG = _text(b"general.flag") + struct.pack("<I?", 7, True)
LENGTH = _text(b"llama.context_length") + struct.pack("<II", 4, 2048)


def test_the_length_is_found_behind_any_other_value(tmp_path: Path) -> None:
    path = tmp_path / "Tiny-Q4.gguf"
    path.write_bytes(_gguf(NAME, WORDS, SCORES, FLAG, LENGTH))
    assert context_length(path) == 2048
    file = LanguageFile.of(path)
    assert (file.name, file.context_window) == ("tiny-q4", 2048)
    path.write_bytes(_gguf(NAME))
    assert context_length(path) is None
    assert LanguageFile.of(path).context_window == CONTEXT_LIMIT


def test_the_built_in_model() -> None:
    assert LanguageFile.of(None).name == "smollm2-135m"
    assert LanguageFile.of(None, 1 << 20).context_window == 8192


@pytest.mark.parametrize(
    "content",
    [b"", b"GGU", b"PK\x03\x04 and so on", _gguf(NAME, LENGTH)[:-3], _gguf(_text(b"k") + b"\xff\0\0\0"), b"GGUF"],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(InvalidArgument, match=r"broken\.gguf"):
        context_length(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="cannot be read"):
        context_length(tmp_path / "none.gguf")
