"""API keys: made, listed, revoked; only their hashes are stored."""

import hashlib
import secrets

from o import ids
from o.errors import NotFound
from o.store.records import KeyRecord
from o.store.repositories.base import Repository

# "o-" tells people (and secret scanners) what it is; 32 random bytes make guessing hopeless.
_PREFIX = "o-"


def digest(key: str) -> str:
    """The stored form of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


class Keys(Repository):
    """The API keys of one organisation."""

    async def create(self, name: str) -> tuple[str, str]:
        """Make a key. Returns its id and the key itself, which nobody can read again."""
        key_id, key = ids.new("key"), _PREFIX + secrets.token_urlsafe(32)
        await self._execute(
            "INSERT INTO api_keys (id, org_id, name, hash, hint) "
            "VALUES (%(id)s, %(org)s, %(name)s, %(hash)s, %(hint)s)",
            {"id": key_id, "org": self._org_id, "name": name, "hash": digest(key), "hint": key[:6]},
        )
        return key_id, key

    async def list(self) -> list[KeyRecord]:
        return await self._records(
            KeyRecord,
            "SELECT id, name, hint, created_at, last_used_at, revoked_at FROM api_keys ORDER BY created_at",
            {},
        )

    async def revoke(self, key_id: str) -> None:
        """Make a key useless from now on. Raises NotFound."""
        touched = await self._execute(
            "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = %(id)s", {"id": key_id}
        )
        if not touched:
            raise NotFound(f"There is no API key with the id '{key_id}'; `o keys ls` lists them")

    async def owner(self, key: str) -> str | None:
        """The organisation a valid key belongs to. Crosses organisations, by a function the migrations define."""
        row = await self._row("SELECT o_key_owner(%(hash)s) AS org", {"hash": digest(key)})
        return row["org"] if row else None

    async def any_active(self) -> bool:
        """Whether any organisation has a key that is not revoked."""
        row = await self._row("SELECT o_any_key() AS found", {})
        return bool(row and row["found"])
