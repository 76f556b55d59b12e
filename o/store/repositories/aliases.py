"""Other names for models, and fallback lists."""

from collections.abc import Sequence

from o.errors import NotFound
from o.store.provider_records import AliasRecord
from o.store.repositories.base import Repository


class Aliases(Repository):
    """The aliases of one organisation."""

    async def list(self) -> list[AliasRecord]:
        return await self._records(AliasRecord, "SELECT * FROM model_aliases ORDER BY handle", {})

    async def set(self, handle: str, targets: Sequence[str]) -> AliasRecord:
        """Let `handle` mean these handles, tried in this order; what it meant before is forgotten."""
        record = await self._record(
            AliasRecord,
            "INSERT INTO model_aliases (org_id, handle, targets) VALUES (%(org)s, %(handle)s, %(targets)s) "
            "ON CONFLICT (org_id, handle) DO UPDATE SET targets = excluded.targets, updated_at = now() RETURNING *",
            {"org": self._org_id, "handle": handle, "targets": list(targets)},
        )
        assert record is not None
        return record

    async def delete(self, handle: str) -> None:
        """Raises NotFound."""
        if not await self._execute("DELETE FROM model_aliases WHERE handle = %(handle)s", {"handle": handle}):
            raise NotFound(f"There is no alias '{handle}'")
