"""The short-lived key of one tool call: it says by itself what it reaches, and is stored nowhere."""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from o.errors import Unauthorized

PREFIX = "o-tool-"
PURPOSE = "keys of tools"  # what the secret is derived for (Keyring.derive)
_MOST_LETTERS = 1024


@dataclass(frozen=True, slots=True)
class ToolScope:
    """What a tool's key reaches.

    Attributes:
        run_id: the run the call belongs to; None for a call outside any run.
        expires_at: to the second, with a time zone; from then on the key is worth nothing.
    """

    org_id: str
    agent_id: str
    run_id: str | None
    expires_at: datetime


def mint(secret: bytes, scope: ToolScope) -> str:
    """A key for this scope, which whoever knows the secret can read."""
    claims = [scope.org_id, scope.agent_id, scope.run_id, int(scope.expires_at.timestamp())]
    payload = _encode(json.dumps(claims, separators=(",", ":")).encode())
    return f"{PREFIX}{payload}.{_encode(_seal(secret, payload))}"


def read(secret: bytes, key: str, now: datetime) -> ToolScope:
    """What a key that `mint` made reaches.

    Raises:
        Unauthorized: another secret, a changed key, or one whose time is over.
    """
    payload, _, seal = key.removeprefix(PREFIX).partition(".")
    shown = _decode(seal)
    known = key.startswith(PREFIX) and len(key) <= _MOST_LETTERS and key.isascii()
    if not known or shown is None or not hmac.compare_digest(_seal(secret, payload), shown):
        raise Unauthorized("this is no key of a tool")
    org_id, agent_id, run_id, expires = json.loads(_decode(payload) or b"")  # we wrote it: the seal says so
    scope = ToolScope(org_id, agent_id, run_id, datetime.fromtimestamp(expires, UTC))
    if now >= scope.expires_at:
        raise Unauthorized("the key of this tool call has expired")
    return scope


def _seal(secret: bytes, payload: str) -> bytes:
    return hmac.digest(secret, f"{PREFIX}{payload}".encode(errors="surrogatepass"), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
