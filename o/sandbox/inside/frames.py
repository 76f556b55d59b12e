"""Length-prefixed JSON over the two descriptors that a sandboxed process shares with the executor."""

import json
import os
import struct
from typing import Any

_LENGTH = struct.Struct("!I")


def read(descriptor: int) -> dict[str, Any] | None:
    """The next document; None at the end of the stream."""
    head = _exactly(descriptor, _LENGTH.size)
    if head is None:
        return None
    body = _exactly(descriptor, _LENGTH.unpack(head)[0])
    return None if body is None else dict(json.loads(body))


def write(descriptor: int, document: dict[str, Any]) -> None:
    """Write all of it; NaN and lone surrogates go as Python's json writes them, for the other side to judge."""
    body = json.dumps(document).encode()
    rest = memoryview(_LENGTH.pack(len(body)) + body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _exactly(descriptor: int, length: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        part = os.read(descriptor, min(length - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)
