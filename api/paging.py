"""Pages of what is attached to one agent: few enough to be read whole."""

from collections.abc import Sequence

from o.domain.json import JsonObject
from o.errors import NotFound


def page(
    ordered: Sequence[JsonObject], *, before: str | None, after: str | None, limit: int, kind: str
) -> list[JsonObject]:
    """A page of items in listing order; the cursors are ids of items. Raises NotFound, naming the kind of item."""
    ids = [item["id"] for item in ordered]
    for cursor in (before, after):
        if cursor is not None and cursor not in ids:
            raise NotFound(f"{kind} not found with id '{cursor}'")
    start = ids.index(after) + 1 if after is not None else 0
    end = ids.index(before) if before is not None else len(ids)
    found = list(ordered[start:end])
    # Paging backwards goes from the cursor towards the beginning.
    return found[-limit:] if before is not None and after is None else found[:limit]
