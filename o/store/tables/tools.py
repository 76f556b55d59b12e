"""Tools: what a model may call."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field

from o.domain.json import JsonObject
from o.store.base import Owned, count, document, flag, instant, key, strings, words


class ToolRow(Owned, table=True):
    """`effect` says what a second run would do (pure, reads, idempotent, external) and so whether there may be one."""

    __tablename__ = "tools"
    __table_args__ = (Index(None, "org_id", "name", unique=True), Index(None, "org_id", "created_at", "id"))

    id: str = key()
    name: str = words()
    tool_type: str = words()
    source_type: str = words("python")
    source_code: str | None = words(nullable=True)
    description: str | None = words(nullable=True)
    json_schema: JsonObject = document()
    args_json_schema: JsonObject | None = document(nullable=True)
    effect: str = words("external")
    tags: list[str] = strings()
    return_char_limit: int = count(50000)
    default_requires_approval: bool | None = Field(default=None)
    enable_parallel_execution: bool = flag()
    metadata_: JsonObject = document("{}")
    created_by_id: str | None = words(nullable=True)
    last_updated_by_id: str | None = words(nullable=True)
    created_at: datetime = instant(now=True)
    updated_at: datetime = instant(now=True)
