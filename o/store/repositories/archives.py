"""Archives and their passages: what agents remember outside their context."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from o.errors import NotFound
from o.store.records import ArchiveRecord, PassageRecord
from o.store.repositories.base import Repository, as_json

_PASSAGE = sql.SQL("id, org_id, archive_id, text, tags, metadata_, created_by_id, created_at")

_LONGEST_QUERY = 2000  # characters; what a longer one asks for is said by then

# What is looked for, as a query: any of the words, where the query's own signs exclude none. That some words are
# missing shall not hide a passage: a model asks in sentences.
_RANKED = sql.SQL(
    """
    WITH asked AS (SELECT websearch_to_tsquery('simple', %(query)s) AS whole),
    wanted AS (SELECT whole, CASE WHEN whole::text LIKE '%%!%%' THEN whole
      ELSE replace(whole::text, ' & ', ' | ')::tsquery END AS part FROM asked)
    SELECT {} FROM passages, wanted WHERE {} AND lexemes @@ part
    ORDER BY lexemes @@ whole DESC, ts_rank_cd(lexemes, part) DESC, created_at DESC, id LIMIT %(limit)s
    """
)
# What has no words of its own for the index: parts of words, and scripts that put no blanks between them.
_CONTAINING = sql.SQL(
    "SELECT {} FROM passages WHERE {} AND position(lower(%(query)s) IN lower(text)) > 0 "
    "ORDER BY created_at DESC, id LIMIT %(limit)s"
)


@dataclass(frozen=True, slots=True)
class PassageSearch:
    """What to look for. None means any.

    Attributes:
        query: words in any order; blank finds nothing.
        tags: of which one must be there, or all.
        start: earliest time of keeping; `end`: the latest.
        limit: most passages, ≥ 1, of those that meet everything else.
    """

    query: str
    tags: tuple[str, ...] = ()
    match_all_tags: bool = False
    start: datetime | None = None
    end: datetime | None = None
    limit: int = 5


class Archives(Repository):
    """The archives of one organisation."""

    async def add(self, values: Mapping[str, Any]) -> None:
        """Insert an archive; `values` are columns of `archives` without `org_id`."""
        columns = {"org_id": self._org_id, **values}
        await self._execute(
            sql.SQL("INSERT INTO archives ({}) VALUES ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(", ").join(map(sql.Placeholder, columns))
            ),
            columns,
        )

    async def get(self, archive_id: str) -> ArchiveRecord:
        """Raises NotFound."""
        record = await self._record(ArchiveRecord, "SELECT * FROM archives WHERE id = %(id)s", {"id": archive_id})
        if record is None:
            raise NotFound(f"Archive not found with id '{archive_id}'")
        return record

    async def of_agent(self, agent_id: str) -> list[ArchiveRecord]:
        """The agent's archives, the one it got first first."""
        return await self._records(
            ArchiveRecord,
            "SELECT a.* FROM archives a JOIN agents_archives aa ON aa.archive_id = a.id "
            "WHERE aa.agent_id = %(agent)s ORDER BY aa.created_at, a.id",
            {"agent": agent_id},
        )

    async def attach(self, agent_id: str, archive_id: str) -> None:
        """Give an agent an archive; giving it again changes nothing. Raises NotFound."""
        touched = await self._execute(
            "INSERT INTO agents_archives (org_id, agent_id, archive_id) SELECT org_id, %(agent)s, id FROM archives "
            "WHERE id = %(archive)s ON CONFLICT (agent_id, archive_id) DO UPDATE SET archive_id = excluded.archive_id",
            {"agent": agent_id, "archive": archive_id},
        )
        if not touched:
            raise NotFound(f"Archive not found with id '{archive_id}'")

    async def add_passage(
        self,
        passage_id: str,
        archive_id: str,
        text: str,
        *,
        tags: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        created_at: datetime,
        actor: str,
    ) -> bool:
        """Keep a text; returns whether it is new. An id that is there keeps what it had."""
        touched = await self._execute(
            "INSERT INTO passages (id, org_id, archive_id, text, tags, metadata_, created_by_id, created_at) VALUES "
            "(%(id)s, %(org)s, %(archive)s, %(text)s, %(tags)s, %(metadata)s, %(actor)s, %(created)s) "
            "ON CONFLICT (id) DO NOTHING",
            {
                "id": passage_id,
                "org": self._org_id,
                "archive": archive_id,
                "text": text,
                "tags": list(dict.fromkeys(tags)),
                "metadata": as_json(dict(metadata or {})),
                "actor": actor,
                "created": created_at,
            },
        )
        return bool(touched)

    async def count(self, archive_ids: Sequence[str]) -> int:
        """How many passages these archives have."""
        row = await self._row(
            "SELECT count(*) AS n FROM passages WHERE archive_id = ANY(%(ids)s)", {"ids": list(archive_ids)}
        )
        return int(row["n"]) if row else 0

    async def search(self, archive_ids: Sequence[str], what: PassageSearch) -> list[PassageRecord]:
        """The passages that fit best, best first: those with all words, then those with some, else those that contain
        the query to the letter."""
        if not what.query.strip() or not archive_ids:
            return []
        conditions: list[sql.SQL] = [sql.SQL("archive_id = ANY(%(archives)s)")]
        if what.tags:
            conditions.append(sql.SQL("tags @> %(tags)s" if what.match_all_tags else "tags && %(tags)s"))
        if what.start is not None:
            conditions.append(sql.SQL("created_at >= %(start)s"))
        if what.end is not None:
            conditions.append(sql.SQL("created_at <= %(end)s"))
        params = {
            "archives": list(archive_ids),
            "query": what.query.strip()[:_LONGEST_QUERY],
            "tags": list(what.tags),
            "start": what.start,
            "end": what.end,
            "limit": what.limit,
        }
        wanted = sql.SQL(" AND ").join(conditions)
        found = await self._records(PassageRecord, _RANKED.format(_PASSAGE, wanted), params)
        return found or await self._records(PassageRecord, _CONTAINING.format(_PASSAGE, wanted), params)
