"""Providers that organisations bring themselves, and other names for models."""

from datetime import datetime

from sqlalchemy import Index, text

from o.domain.json import JsonObject
from o.store.base import Owned, count, document, flag, instant, key, refers, strings, words


class ProviderRow(Owned, table=True):
    """A provider of one organisation; `api_key` is ciphertext, bound to the row. A draft is there only to be tried."""

    __tablename__ = "providers"
    __table_args__ = (
        Index("uq_providers_org_id_name", "org_id", "name", unique=True, postgresql_where=text("NOT draft")),
        Index(None, "org_id", "created_at", "id"),
    )

    id: str = key()
    name: str = words()
    provider_type: str = words()
    base_url: str | None = words(nullable=True)
    api_key: str | None = words(nullable=True)
    key_hint: str | None = words(nullable=True)
    requests_per_minute: int | None = count(None, nullable=True)
    tokens_per_minute: int | None = count(None, nullable=True)
    models: JsonObject = document("{}")
    draft: bool = flag()
    last_checked_at: datetime | None = instant(nullable=True)
    last_error: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)
    updated_at: datetime = instant(now=True)


class ModelAlias(Owned, table=True):
    """Another name for a model, or a fallback list for one: `targets` are handles, tried in this order."""

    __tablename__ = "model_aliases"

    org_id: str = refers("organizations.id", primary_key=True)
    handle: str = key()
    targets: list[str] = strings()
    created_at: datetime = instant(now=True)
    updated_at: datetime = instant(now=True)
