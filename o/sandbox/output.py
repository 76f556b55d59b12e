"""What a call prints: its beginning and its end are kept, the middle of a flood is not, and nothing waits for us."""

import re

# Escapes of terminals and other control characters would speak to whoever reads the log. Tab and line break stay.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Kept:
    """Takes any number of bytes, keeps at most `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._first = bytearray()
        self._last = bytearray()
        self._half = limit // 2
        self.total = 0

    def add(self, data: bytes) -> None:
        self.total += len(data)
        free = self._half - len(self._first)
        if free > 0:
            self._first += data[:free]
            data = data[free:]
        self._last += data[-self._half :]
        if len(self._last) > 2 * self._half:
            del self._last[: -self._half]

    def text(self) -> str:
        """What was kept, with a note about what was not; bytes that are no UTF-8 are replaced."""
        last = self._last[-self._half :]
        lost = self.total - len(self._first) - len(last)
        note = f"\n[{lost} bytes left out]\n".encode() if lost else b""
        text = bytes(self._first + note + last).decode(errors="replace").replace("\r\n", "\n")
        return _CONTROL.sub("", text)
