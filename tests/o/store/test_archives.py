"""Archives: what is found, in which order, and by whom."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from o import ids
from o.domain.json import JsonObject
from o.errors import NotFound
from o.store.repositories.archives import PassageSearch
from o.store.session import Store

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


async def kept(store: Store, texts: Sequence[str], tags: Sequence[Sequence[str]] = ()) -> str:
    """An archive with these texts, a day apart."""
    archive_id = ids.new("archive")
    async with store.transaction() as tx:
        await tx.archives.add({"id": archive_id, "name": "Notes"})
        for number, text in enumerate(texts):
            await tx.archives.add_passage(
                ids.new("passage"),
                archive_id,
                text,
                tags=tags[number] if tags else (),
                created_at=NOON + timedelta(days=number),
                actor=ids.DEFAULT_USER,
            )
    return archive_id


async def found(store: Store, archive_id: str, query: str, **more: object) -> list[str]:
    wishes: JsonObject = more
    async with store.transaction() as tx:
        passages = await tx.archives.search([archive_id], PassageSearch(query, **wishes))
    return [passage.text for passage in passages]


TEXTS = [
    "Ada drinks tea in the morning.",
    "Ada drinks black tea with milk; tea is what she drinks.",
    "Grace prefers coffee.",
    "東京タワーに登った",
]


FOUND = {
    "coffee": [2],
    "COFFEE": [2],
    "what does Grace drink? coffee": [2, 1],  # some of the words are enough
    "Ada tea milk": [1, 0],  # all of the words come first
    '"in the morning"': [0],
    "tea -milk": [0],
    "coff": [2],  # part of a word
    "タワー": [3],  # a script without blanks
    "zebra": [],
    "  ": [],
    "-": [],
    "' | & ! ( :*": [],
    "100%_\\": [],
}


async def test_what_is_found_and_in_which_order(store: Store) -> None:
    archive_id = await kept(store, TEXTS)
    for query, places in FOUND.items():
        assert await found(store, archive_id, query) == [TEXTS[place] for place in places], query


async def test_tags_and_dates_narrow_before_the_limit(store: Store) -> None:
    tags = [["old"], ["old"], ["new", "old"], ["new"]]
    archive_id = await kept(store, [f"tea {number}" for number in range(4)], tags)
    assert await found(store, archive_id, "tea", tags=("new",), limit=2) == ["tea 3", "tea 2"]
    assert await found(store, archive_id, "tea", tags=("new", "old"), match_all_tags=True) == ["tea 2"]
    assert await found(store, archive_id, "tea", start=NOON + timedelta(days=1), end=NOON + timedelta(days=2)) == [
        "tea 2",
        "tea 1",
    ]
    assert await found(store, archive_id, "tea", end=NOON, limit=1) == ["tea 0"]


async def test_an_id_that_is_there_keeps_its_text(store: Store) -> None:
    archive_id = await kept(store, [])
    passage_id = ids.derived("passage", "run", "step", "call")
    for text, new in (("first", True), ("second", False)):
        async with store.transaction() as tx:
            added = await tx.archives.add_passage(passage_id, archive_id, text, created_at=NOON, actor=ids.DEFAULT_USER)
            assert added == new
            assert await tx.archives.count([archive_id]) == 1
    assert ids.check("passage", passage_id)
    assert await found(store, archive_id, "first second") == ["first"]


async def test_nobody_finds_what_another_organisation_keeps(store: Store) -> None:
    archive_id, other = await kept(store, ["tea"]), ids.new("org")
    async with store.transaction(other) as tx:
        assert await tx.archives.search([archive_id], PassageSearch("tea")) == []
        with pytest.raises(NotFound):
            await tx.archives.get(archive_id)


async def test_a_query_of_any_length_is_answered(store: Store) -> None:
    archive_id = await kept(store, ["tea"])
    assert await found(store, archive_id, "tea " + "x" * 3_000_000) == ["tea"]
