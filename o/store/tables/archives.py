"""Archives and their passages: an agent's long-term store outside its context."""

from datetime import datetime

from sqlalchemy import Column, Computed, Index
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlmodel import Field

from o.domain.json import JsonObject
from o.store.base import Owned, document, instant, key, refers, strings, words


class Archive(Owned, table=True):
    """A named store of passages; any number of agents may share it."""

    __tablename__ = "archives"
    __table_args__ = (Index(None, "org_id", "created_at", "id"),)

    id: str = key()
    name: str = words()
    description: str | None = words(nullable=True)
    created_by_id: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)
    updated_at: datetime = instant(now=True)


class AgentArchive(Owned, table=True):
    """Which archives an agent's memories are in."""

    __tablename__ = "agents_archives"
    __table_args__ = (Index(None, "archive_id"), Index(None, "org_id"))

    agent_id: str = refers("agents.id", primary_key=True)
    archive_id: str = refers("archives.id", primary_key=True)
    created_at: datetime = instant(now=True)


class Passage(Owned, table=True):
    """One remembered text. `lexemes` is what full-text search looks at."""

    __tablename__ = "passages"
    __table_args__ = (
        Index(None, "archive_id", "created_at", "id"),
        Index(None, "lexemes", postgresql_using="gin"),
        Index(None, "tags", postgresql_using="gin"),
        Index(None, "org_id"),
    )

    id: str = key()
    archive_id: str = refers("archives.id")
    text: str = words()
    lexemes: str = Field(sa_column=Column(TSVECTOR, Computed("to_tsvector('simple', text)", persisted=True)))
    tags: list[str] = strings()
    metadata_: JsonObject = document("{}")
    created_by_id: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)
