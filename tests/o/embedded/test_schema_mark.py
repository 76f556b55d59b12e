import psycopg
import pytest

from o.embedded import schema_mark


async def test_a_mark_holds_until_code_or_revision_changes(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not await schema_mark.is_current(database_url)
    await schema_mark.mark(database_url)
    assert await schema_mark.is_current(database_url)
    with monkeypatch.context() as patched:
        patched.setattr(schema_mark, "digest", lambda: "of other files")
        assert not await schema_mark.is_current(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    assert not await schema_mark.is_current(database_url)


async def test_an_empty_database_is_never_current(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE alembic_version")
    assert not await schema_mark.is_current(database_url)
