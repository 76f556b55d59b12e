"""Providers and aliases of an organisation: names, drafts, listing, and what a turn reads of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from o import ids
from o.errors import Conflict, NotFound
from o.keyring import Keyring, KeyUnusable
from o.store.provider_records import ProviderRecord
from o.store.repositories.providers import ProviderFilter, Snapshot, key_context
from o.store.session import Store

OTHER = "org-11111111-1111-4111-8111-111111111111"


async def add(store: Store, name: str, **more: Any) -> ProviderRecord:
    async with store.transaction() as tx:
        return await tx.providers.add({"id": ids.new("provider"), "name": name, "provider_type": "openai", **more})


async def test_a_row_is_read_as_it_was_written(store: Store) -> None:
    models = {"gpt-x": {"context_window": 9000, "price": {"input": "0.25", "output": "1"}}}
    made = await add(store, "mine", base_url="https://x.test/v1", requests_per_minute=7, models=models)
    async with store.transaction() as tx:
        assert await tx.providers.get(made.id) == made
        assert (await tx.providers.snapshot()).providers == (made,)
    assert (made.models, made.requests_per_minute, made.tokens_per_minute, made.api_key) == (models, 7, None, None)


async def test_a_name_is_taken_once_in_an_organisation(store: Store, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("INSERT INTO organizations (id, name) VALUES (%s, 'other')", (OTHER,))
    made = await add(store, "mine")
    with pytest.raises(Conflict, match="name: there is a provider 'mine' already"):
        await add(store, "mine")
    async with store.transaction(OTHER) as tx:
        assert await tx.providers.snapshot() == Snapshot()
        with pytest.raises(NotFound):
            await tx.providers.get(made.id)
        with pytest.raises(NotFound):
            await tx.providers.delete(made.id)
        theirs = await tx.providers.add({"id": ids.new("provider"), "name": "mine", "provider_type": "groq"})
    async with store.transaction() as tx:
        assert [found.id for found in (await tx.providers.snapshot()).providers] == [made.id]
        await tx.providers.delete(made.id)
    async with store.transaction(OTHER) as tx:
        assert await tx.providers.get(theirs.id) == theirs


async def test_a_draft_serves_nobody_and_does_not_stay(store: Store) -> None:
    values = {"name": "mine", "provider_type": "openai", "api_key": "o1.sealed"}
    made = await add(store, "mine")
    async with store.transaction() as tx:
        left = await tx.providers.add_draft({"id": ids.new("provider"), **values}, now=store.now())
        draft = await tx.providers.add_draft({"id": ids.new("provider"), **values}, now=store.now())
        assert (await tx.providers.snapshot()).providers == (made,)
        assert await tx.providers.list(ProviderFilter()) == [made]
        assert {found.id for found in (await tx.providers.snapshot(draft=draft.id)).providers} == {made.id, draft.id}
        with pytest.raises(NotFound):
            await tx.providers.get(draft.id)
        with pytest.raises(NotFound):
            await tx.providers.update(draft.id, {"base_url": "https://x.test"})
        await tx.providers.delete(draft.id)
        later = store.now() + timedelta(minutes=10)
        await tx.providers.add_draft({"id": ids.new("provider"), **values}, now=later)
        assert (await tx.providers.snapshot(draft=left.id)).providers == (made,)


async def test_changes_and_checks_are_kept(store: Store) -> None:
    made = await add(store, "mine", api_key="o1.old", tokens_per_minute=5)
    async with store.transaction() as tx:
        changed = await tx.providers.update(made.id, {"api_key": "o1.new", "models": {"m": {"images": True}}})
        await tx.providers.checked(made.id, "it failed", at=store.now())
        failed = await tx.providers.get(made.id)
    expected = replace(made, api_key="o1.new", models={"m": {"images": True}}, updated_at=changed.updated_at)
    assert changed == expected and changed.updated_at > made.updated_at
    assert failed == replace(expected, last_error="it failed", last_checked_at=failed.last_checked_at)
    assert failed.last_checked_at is not None
    async with store.transaction() as tx:
        await tx.providers.checked(made.id, None, at=store.now())
        assert (await tx.providers.get(made.id)).last_error is None


async def test_providers_are_listed_in_pages(store: Store) -> None:
    made = [
        await add(store, name, provider_type=kind) for name, kind in (("a", "openai"), ("b", "groq"), ("c", "groq"))
    ]
    oldest = ProviderFilter(order="asc")
    async with store.transaction() as tx:

        async def names(what: ProviderFilter) -> list[str]:
            return [found.name for found in await tx.providers.list(what)]

        assert await names(oldest) == ["a", "b", "c"]
        assert await names(ProviderFilter(limit=2)) == ["c", "b"]
        assert await names(replace(oldest, after=made[0].id, limit=1)) == ["b"]
        assert await names(replace(oldest, before=made[2].id)) == ["a", "b"]
        assert await names(replace(oldest, provider_type="groq")) == ["b", "c"]
        assert await names(replace(oldest, name="b", provider_type="openai")) == []
        with pytest.raises(NotFound):
            await names(ProviderFilter(after=ids.new("provider")))


async def test_a_key_opens_in_its_own_row_only(store: Store) -> None:
    keyring, provider_id = Keyring(b"k" * 32), ids.new("provider")
    sealed = keyring.encrypt("sk-secret", context=key_context(provider_id))
    made = await add(store, "mine", id=provider_id, api_key=sealed)
    assert made.api_key is not None and "sk-secret" not in made.api_key
    assert made.api_key not in repr(made)
    assert keyring.decrypt(made.api_key, context=key_context(made.id)) == "sk-secret"
    with pytest.raises(KeyUnusable):
        keyring.decrypt(made.api_key, context=key_context(ids.new("provider")))


async def test_aliases_are_set_replaced_and_deleted(store: Store) -> None:
    async with store.transaction() as tx:
        first = await tx.aliases.set("team/fast", ["groq/x"])
        assert await tx.aliases.set("groq/x", ["groq/x", "openai/y"]) != first
    async with store.transaction() as tx:
        again = await tx.aliases.set("team/fast", ["openai/y", "groq/x"])
        assert (again.targets, again.created_at) == (["openai/y", "groq/x"], first.created_at)
        assert again.updated_at > first.updated_at
        assert [alias.handle for alias in await tx.aliases.list()] == ["groq/x", "team/fast"]
        assert await tx.providers.snapshot() == Snapshot(
            (), {"groq/x": ("groq/x", "openai/y"), "team/fast": ("openai/y", "groq/x")}
        )
        await tx.aliases.delete("team/fast")
        with pytest.raises(NotFound, match="team/fast"):
            await tx.aliases.delete("team/fast")


async def test_an_organisation_sees_its_own_aliases_only(store: Store, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("INSERT INTO organizations (id, name) VALUES (%s, 'other')", (OTHER,))
    async with store.transaction() as tx:
        await tx.aliases.set("team/fast", ["groq/x"])
    async with store.transaction(OTHER) as tx:
        assert await tx.aliases.list() == []
        await tx.aliases.set("team/fast", ["openai/y"])
    async with store.transaction() as tx:
        assert (await tx.providers.snapshot()).aliases == {"team/fast": ("groq/x",)}
