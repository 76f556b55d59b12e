"""Memory blocks and the append-only record of every version they had."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field

from o.domain.json import JsonObject
from o.store.base import Owned, count, document, flag, instant, key, refers, strings, words


class Block(Owned, table=True):
    __tablename__ = "blocks"
    __table_args__ = (Index(None, "org_id", "created_at", "id"), Index(None, "org_id", "label"))

    id: str = key()
    label: str = words()
    value: str = words("")
    limit: int = count(100000)
    description: str | None = words(nullable=True)
    read_only: bool = flag()
    metadata_: JsonObject = document("{}")
    tags: list[str] = strings()
    is_template: bool = flag()
    template_name: str | None = words(nullable=True)
    hidden: bool | None = Field(default=None)
    project_id: str | None = words(nullable=True)
    preserve_on_migration: bool = flag()
    version: int = count(1)
    created_by_id: str | None = words(nullable=True)
    last_updated_by_id: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)
    updated_at: datetime = instant(now=True)


class BlockVersion(Owned, table=True):
    """One state a block was in: what, since when, by whom and in which step."""

    __tablename__ = "block_versions"
    __table_args__ = (Index(None, "step_id"), Index(None, "org_id"))

    block_id: str = refers("blocks.id", primary_key=True)
    version: int = count(None, primary_key=True)
    value: str = words()
    description: str | None = words(nullable=True)
    limit: int = count()
    read_only: bool = flag()
    actor: str = words()
    run_id: str | None = words(nullable=True)
    step_id: str | None = words(nullable=True)
    call_id: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)
