"""JSON answers, written by orjson and not validated again: the routes build what the contract says."""

from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.responses import Response


def dumps(value: Any) -> bytes:
    """A value as JSON. Datetimes are UTC in ISO 8601."""
    return orjson.dumps(value)


class Json(Response):
    """An answer of one JSON value."""

    media_type = "application/json"

    def __init__(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__(dumps(value), status, headers)


def timestamp(at: datetime | None) -> str | None:
    """A moment, to the microsecond, with its offset; None stays None."""
    return None if at is None else at.astimezone(UTC).isoformat()
