"""Typed identifiers: `<prefix>-<uuid4>`, the spelling of the Letta V1 wire."""

import re
import uuid
from typing import Literal, get_args

from o.errors import InvalidArgument

Prefix = Literal[
    "agent",
    "archive",
    "block",
    "conv",
    "message",
    "passage",
    "org",
    "run",
    "step",
    "tool",
    "tool_run",
    "user",
    "key",
    "approval",
    "policy",
    "provider",
    "identity",
    "budget",
    "mcp_server",
    "mcp_sign_in",
]

DEFAULT_ORG = "org-00000000-0000-4000-8000-000000000000"
DEFAULT_USER = "user-00000000-0000-4000-8000-000000000000"

_NAMESPACE = uuid.UUID("6f2d5c1e-0b7a-4c59-9a52-3f0f6f1f2a77")
_UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_PATTERNS = {prefix: re.compile(f"{prefix}-{_UUID4}") for prefix in get_args(Prefix)}


def new(prefix: Prefix) -> str:
    """Make a fresh identifier. For the edges only: the domain and the workflows are handed theirs."""
    return f"{prefix}-{uuid.uuid4()}"


def derived(prefix: Prefix, *parts: object) -> str:
    """The identifier that belongs to these parts: the same for the same ones, in the form of a fresh one."""
    digest = uuid.uuid5(_NAMESPACE, "\n".join(map(str, parts))).bytes
    return f"{prefix}-{uuid.UUID(bytes=digest, version=4)}"


def pattern(prefix: Prefix) -> str:
    """The anchored regular expression an identifier of this kind matches, as OpenAPI wants it."""
    return f"^{_PATTERNS[prefix].pattern}$"


def check(prefix: Prefix, value: str) -> str:
    """Return `value` if it is an identifier of this kind.

    Raises:
        InvalidArgument: wrong prefix, or not a lower-case UUID of version 4.
    """
    if _PATTERNS[prefix].fullmatch(value) is None:
        raise InvalidArgument(f"'{value[:80]}' is not an id of the form {prefix}-<uuid4>")
    return value
