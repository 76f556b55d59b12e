"""Taking known secrets out of what a tool returns, before anybody reads or stores it."""

import base64
import json
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

from o.domain.json import JsonObject

# A secret of fewer characters would black out innocent text: it is no secret to anybody who can count.
_SHORTEST = 4


class Redaction:
    """Replaces the values of secrets by their names, in whatever usual form they come.

    It is a net for accidents, not a wall: a tool that means harm can spell a secret in a form nobody looks for. What a
    tool may not tell the world it must not reach: that is what its sandbox is for.

    Args:
        secrets: values by name.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        found = {
            form: name for name, value in secrets.items() if len(value) >= _SHORTEST for form in set(_forms(value))
        }
        # The longest first: a form may hold another.
        self._forms = sorted(found.items(), key=lambda item: -len(item[0]))

    def text(self, text: str) -> str:
        """The text with `[secret NAME]` wherever a secret stood."""
        for form, name in self._forms:
            text = text.replace(form, f"[secret {name}]")
        return text

    def document(self, value: JsonObject) -> JsonObject:
        """The document with its texts, keys included, redacted."""
        redacted = self._value(value)
        assert isinstance(redacted, dict)
        return redacted

    def _value(self, value: object) -> object:
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(key): self._value(each) for key, each in value.items()}
            case list():
                return [self._value(each) for each in value]
            case _:
                return value


def _forms(value: str) -> Iterable[str]:
    """A secret as it is, as JSON and URLs write it, reversed, in hex, and in base64 wherever it begins in a text."""
    raw = value.encode("utf-8", "surrogatepass")
    yield value
    yield value[::-1]
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield quote(value)
    yield quote(value, safe="")
    yield quote_plus(value)
    yield raw.hex()
    yield raw.hex().upper()
    for shift in range(3):
        # Of base64, what depends on the secret alone: not the characters its neighbours have a part in.
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(bytes(shift) + raw).decode().rstrip("=")
            whole = encoded[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]
            if len(whole) >= _SHORTEST:
                yield whole
