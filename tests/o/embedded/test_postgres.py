import asyncio
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from o.embedded.children import Child, User, spawn
from o.embedded.layout import DataDirUnusable, Layout
from o.embedded.postgres import EmbeddedPostgres
from o.embedded.postgres_install import installed, may_reach, reachable_install, require_passage, system_user

pytestmark = pytest.mark.pg


@pytest.fixture
def layout() -> Iterator[Layout]:
    """A data folder that Postgres' own user can reach when we are root (pytest's folders are closed to it)."""
    parent = Path(tempfile.mkdtemp(prefix="o-test-"))
    parent.chmod(0o711)
    made = Layout.of(parent / "data")
    made.make()
    yield made
    shutil.rmtree(parent)


@pytest.fixture
async def server(layout: Layout) -> AsyncIterator[Child]:
    postgres = EmbeddedPostgres(layout)
    postgres.prepare()
    child = Child(postgres.spec(), lambda _: None)
    await child.start()
    await postgres.database()
    await postgres.database()
    yield child
    await child.stop()
    assert _cluster(layout) == []


def _cluster(layout: Layout) -> list[int]:
    """The processes of the cluster."""
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == "postgres" and Path(process.cwd()).parent == layout.postgres:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def _answer(layout: Layout, query: bytes) -> object:
    with psycopg.connect(layout.database_url) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


async def test_it_is_private_durable_and_has_vectors(server: Child, layout: Layout) -> None:
    assert _answer(layout, b"SHOW listen_addresses") == ""
    assert _answer(layout, b"SHOW synchronous_commit") == "on"
    assert _answer(layout, b"SHOW server_encoding") == "UTF8"
    assert _answer(layout, b"SELECT '[1,2]'::text FROM pg_available_extensions WHERE name = 'vector'") == "[1,2]"
    for folder in (layout.postgres, layout.postgres_socket_dir):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert psutil.Process(server.pid).uids().real != 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT])
async def test_a_killed_server_is_back_at_once_with_what_was_committed(
    server: Child, layout: Layout, how: signal.Signals
) -> None:
    with psycopg.connect(layout.database_url) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")
        connection.commit()
        # A backend busy in a query is what keeps shared memory occupied after its postmaster died.
        busy = psycopg.connect(layout.database_url)
        waiting = asyncio.create_task(asyncio.to_thread(_swallow, busy))
        first = server.pid
        assert first is not None
        os.kill(first, how)
        await waiting
    async with asyncio.timeout(15):
        while True:
            try:
                assert _answer(layout, b"SELECT count(*) FROM kept") == 1
                break
            except psycopg.OperationalError:
                await asyncio.sleep(0.02)
    assert server.pid != first


def _swallow(connection: psycopg.Connection) -> None:
    with connection, pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT count(*) FROM generate_series(1, 1000000000000)")


async def test_a_server_left_by_a_dead_supervisor_is_ended_first(layout: Layout) -> None:
    postgres = EmbeddedPostgres(layout)
    postgres.prepare()
    left = await spawn(postgres.spec())
    spec = postgres.spec()
    assert spec.ready is not None
    await spec.ready()
    child = Child(spec, lambda _: None)
    await child.start()
    try:
        assert await left.wait() == 0
        assert _answer(layout, b"SELECT 1") is None
    except psycopg.OperationalError as error:
        assert 'database "o" does not exist' in str(error)
    finally:
        await child.stop()


async def test_a_pid_file_that_names_a_stranger_does_not_hinder(layout: Layout) -> None:
    postgres = EmbeddedPostgres(layout)
    postgres.prepare()
    (layout.postgres / "18" / "postmaster.pid").write_text(f"{os.getpid()}\n{layout.postgres}\n0\n5432\n\n\n\nready\n")
    child = Child(postgres.spec(), lambda _: None)
    await child.start()
    await postgres.database()
    await child.stop()


def test_a_cluster_half_made_is_made_again(layout: Layout) -> None:
    layout.postgres.mkdir()
    (layout.postgres / "new").mkdir()
    (layout.postgres / "new" / "rest").touch()
    user = system_user()
    if user is not None:
        os.chown(layout.postgres, user.uid, user.gid)
    EmbeddedPostgres(layout).prepare()
    assert (layout.postgres / "18" / "PG_VERSION").read_text().strip() == "18"
    assert not (layout.postgres / "new").exists()


NOBODY = User(65534, 65534, "nobody")


def test_no_folder_above_the_data_is_ever_opened(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with pytest.raises(DataDirUnusable, match=r"(?s)may not enter .*--data-dir or O_DATA_DIR"):
        require_passage(home / "data" / "postgres", NOBODY)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    require_passage(home / "data", None)  # ourselves: the system will say


def test_a_closed_home_stays_closed_and_the_programs_are_copied_once(layout: Layout) -> None:
    home = layout.data_dir.parent / "home"
    package = home / "pgserver" / "pginstall"
    (package / "bin").mkdir(parents=True)
    (package / "lib").mkdir()
    (package / "share").mkdir()
    (package / "bin" / "postgres").write_text("#!/bin/sh\n")
    (package / "bin" / "postgres").chmod(0o700)
    home.chmod(0o700)
    copy = reachable_install(package, layout.data_dir, NOBODY)
    assert layout.data_dir in copy.parents
    assert stat.S_IMODE((copy / "bin" / "postgres").stat().st_mode) == 0o755
    assert reachable_install(package, layout.data_dir, NOBODY) == copy
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert reachable_install(package, layout.data_dir, None) == package


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the cluster to another user")
async def test_as_root_the_server_runs_from_a_copy_when_its_wheel_lies_in_a_closed_home(layout: Layout) -> None:
    home = layout.data_dir.parent / "home"
    package = installed()
    for folder in (package, package.parent.with_name(f"{package.parent.name}.libs")):
        target = home / folder.relative_to(package.parents[1])
        shutil.copytree(folder, target, symlinks=True, ignore=shutil.ignore_patterns("include"))
    home.chmod(0o700)
    postgres = EmbeddedPostgres(layout, package=home / package.relative_to(package.parents[1]))
    postgres.prepare()
    child = Child(postgres.spec(), lambda _: None)
    await child.start()
    await postgres.database()
    await child.stop()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_reach_is_judged_by_the_bits_that_apply(tmp_path: Path) -> None:
    found = tmp_path / "file"
    found.touch(mode=0o755)
    owner = User(tmp_path.stat().st_uid, tmp_path.stat().st_gid, "owner")
    tmp_path.chmod(0o700)
    assert not may_reach(found, NOBODY)
    assert may_reach(found, owner)
