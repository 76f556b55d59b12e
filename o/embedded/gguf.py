"""What O needs to know of a GGUF file without loading it: how many tokens its model was trained to attend to.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

import struct
from pathlib import Path
from typing import BinaryIO

from o.errors import InvalidArgument

_MAGIC = b"GGUF"
_STRING, _ARRAY = 8, 9
# struct codes of the scalar types, by their number in the file
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def context_length(path: Path) -> int | None:
    """Tokens of context the model was trained with; None if the file does not say.

    Raises:
        InvalidArgument: no such file, or not a GGUF file.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != _MAGIC:
                raise InvalidArgument(f"{path.name} is not a GGUF file")
            _version, _tensors, pairs = struct.unpack("<IQQ", file.read(20))
            for _ in range(pairs):
                key = _string(file)
                value = _value(file, _number(file, "I"))
                if key.endswith(b".context_length") and isinstance(value, int):
                    return value
    except OSError as error:
        raise InvalidArgument(f"the model file {path} cannot be read: {error.strerror}") from error
    except (struct.error, KeyError) as error:
        raise InvalidArgument(f"{path.name} is a damaged GGUF file") from error
    return None


def _number(file: BinaryIO, code: str) -> int:
    (value,) = struct.unpack(f"<{code}", file.read(struct.calcsize(f"<{code}")))
    return int(value)


def _string(file: BinaryIO) -> bytes:
    length = _number(file, "Q")
    text = file.read(length)
    if len(text) != length:
        raise struct.error("the file ends within a string")
    return text


def _value(file: BinaryIO, kind: int) -> int | None:
    """Read one value past; only integers are of interest."""
    if kind == _STRING:
        _string(file)
        return None
    if kind == _ARRAY:
        item, count = _number(file, "I"), _number(file, "Q")
        if item in _SCALARS:
            file.seek(count * struct.calcsize(f"<{_SCALARS[item]}"), 1)
        else:
            for _ in range(count):
                _value(file, item)
        return None
    code = _SCALARS[kind]
    (value,) = struct.unpack(f"<{code}", file.read(struct.calcsize(f"<{code}")))
    return value if isinstance(value, int) and not isinstance(value, bool) else None
