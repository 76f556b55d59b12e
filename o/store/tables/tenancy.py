"""Who owns what: organisations, their users, their API keys."""

from datetime import datetime

from sqlalchemy import Index

from o.store.base import Owned, Table, instant, key, words


class Organization(Table, table=True):
    __tablename__ = "organizations"

    id: str = key()
    name: str = words()
    created_at: datetime = instant(now=True)


class User(Owned, table=True):
    __tablename__ = "users"
    __table_args__ = (Index(None, "org_id"),)

    id: str = key()
    name: str = words()
    created_at: datetime = instant(now=True)


class ApiKey(Owned, table=True):
    """A key for the API. Only its SHA-256 is kept; 256 random bits need no slow hash."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "hash", unique=True), Index(None, "org_id"))

    id: str = key()
    name: str = words()
    hash: str = words()
    hint: str = words()
    created_at: datetime = instant(now=True)
    last_used_at: datetime | None = instant(nullable=True)
    revoked_at: datetime | None = instant(nullable=True)
