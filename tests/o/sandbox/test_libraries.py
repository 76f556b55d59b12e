"""Builds by the real uv, in a real sandbox, from an index that this test serves."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from o.errors import InvalidArgument
from o.guard.policy import Guard, parse_allowed
from o.sandbox.base import MIB, SandboxUnavailable
from o.sandbox.egress import EgressProxy
from o.sandbox.launch import Launcher
from o.sandbox.libraries import BUILD_LIMITS, Libraries
from o.sandbox.machine import Machine
from o.sandbox.requirements import build_egress
from tests.support.package_index import PackageIndex, package_index


@dataclass
class Builder:
    """Libraries, the index they come from, and the way there."""

    index: PackageIndex
    proxy: EgressProxy
    folder: Path
    libraries: Libraries

    async def prepare(self, *requirements: str) -> Path:
        async with build_egress(self.proxy, self.index.url)() as egress:
            return self.folder / await self.libraries.prepare(requirements, egress, self.index.url)


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Launcher:
    return Launcher(Machine.found(), tmp_path_factory.mktemp("scratch"))


@pytest.fixture
async def builder(launcher: Launcher, tmp_path: Path) -> AsyncIterator[Builder]:
    async with AsyncExitStack() as stack:
        index = await stack.enter_async_context(package_index())
        proxy = EgressProxy(Guard(parse_allowed("127.0.0.0/8")), tmp_path / "egress" / "s")
        await stack.enter_async_context(proxy)
        folder = tmp_path / "libraries"
        yield Builder(index, proxy, folder, Libraries(launcher, folder))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_what_is_asked_for_is_installed_with_what_it_needs_and_kept(builder: Builder) -> None:
    builder.index.add_wheel("alpha", "1.0")
    builder.index.add_wheel("alpha", "2.0", needs="beta>=1")
    builder.index.add_wheel("beta", "1.5")
    site = await builder.prepare("alpha")
    assert {"alpha.py", "beta.py"} <= names(site)
    assert (site / "alpha.py").read_text() == "version = '2.0'\n"
    lock = site.with_name(f"{site.name}.lock").read_text()
    assert f"alpha==2.0 \\\n    --hash=sha256:{builder.index.hashes['alpha-2.0-py3-none-any.whl']}" in lock
    assert names(builder.folder) == {site.name, f"{site.name}.lock"}
    for path in [site, *site.rglob("*")]:
        assert path.stat().st_mode & 0o7777 == (0o755 if path.is_dir() else 0o644), path
        assert path.owner() == Path.home().owner()
    asked = len(builder.index.asked)
    assert await builder.prepare("Alpha") == site
    assert len(builder.index.asked) == asked


async def test_two_at_once_are_one_build(builder: Builder) -> None:
    builder.index.add_wheel("alpha")
    first, second = await asyncio.gather(builder.prepare("alpha"), builder.prepare("alpha"))
    assert first == second
    assert builder.index.asked.count("/simple/alpha/") == 2  # to resolve, and to install


async def test_who_waits_for_a_build_that_is_given_up_builds_itself(builder: Builder) -> None:
    builder.index.add_wheel("alpha")
    first = asyncio.create_task(builder.prepare("alpha"))
    while not builder.index.asked:
        await asyncio.sleep(0.01)
    second = asyncio.create_task(builder.prepare("alpha"))
    await asyncio.sleep(0)
    first.cancel()
    assert "alpha.py" in names(await second)
    assert not [name for name in names(builder.folder) if name.startswith(".new-")]


async def test_it_works_without_users_for_each_build(builder: Builder, tmp_path: Path) -> None:
    """As for an executor that is no root: the build has a namespace of its own in place of a user."""
    builder.index.add_wheel("alpha")
    builder.libraries = Libraries(Launcher(Machine.found(["own-user"]), tmp_path), builder.folder)
    assert "alpha.py" in names(await builder.prepare("alpha"))


async def refused(builder: Builder, *requirements: str) -> str:
    with pytest.raises(InvalidArgument) as raised:
        await builder.prepare(*requirements)
    message = raised.value.message
    assert message.startswith(f"pip_requirements: {', '.join(requirements)} cannot be installed: "), message
    assert "\n" not in message
    assert str(builder.folder) not in message
    assert names(builder.folder) == set()
    return message


async def test_a_name_that_nobody_has_is_named(builder: Builder) -> None:
    assert "nosuch was not found" in await refused(builder, "nosuch")


async def test_a_version_that_is_not_there_is_named(builder: Builder) -> None:
    builder.index.add_wheel("alpha")
    assert "alpha==9" in await refused(builder, "alpha==9")


async def test_source_is_refused_and_its_setup_never_runs(builder: Builder, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    builder.index.add("gamma-1.0.tar.gz", sdist("gamma", f"open({str(canary)!r}, 'w').write('ran')"))
    assert "nothing is built from source" in await refused(builder, "gamma")
    assert not canary.exists()


async def test_a_file_that_is_not_what_the_index_says_is_refused(builder: Builder) -> None:
    builder.index.add_wheel("alpha")
    builder.index.hashes["alpha-1.0-py3-none-any.whl"] = "0" * 64
    assert "ash mismatch" in await refused(builder, "alpha")


async def test_a_wheel_that_would_write_elsewhere_writes_nowhere_else(builder: Builder, tmp_path: Path) -> None:
    outside = tmp_path / "libraries" / "evil.py"
    builder.index.add_wheel("alpha", files={"../../evil.py": b"", "/tmp/evil.py": b"", "alpha.py": b""})
    with suppress(InvalidArgument):  # uv refuses such a wheel, or leaves these files out
        await builder.prepare("alpha")
    assert not await asyncio.to_thread(lambda: outside.exists() or Path("/tmp/evil.py").exists())


async def test_what_a_wheel_would_start_by_itself_is_not_started(builder: Builder) -> None:
    """The folder goes on the path and nothing more: no `.pth` is read, no `sitecustomize` imported."""
    shout = b"import sys; sys.stderr.write('STARTED')\n"
    files = {"alpha.py": b"here = True\n", "alpha.pth": shout, "sitecustomize.py": shout, "usercustomize.py": shout}
    builder.index.add_wheel("alpha", files=files)
    site = await builder.prepare("alpha")
    code = f"import sys; sys.path.insert(0, {str(site)!r}); import alpha; print(alpha.here)"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", code), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert await process.communicate() == (b"True\n", b"")


async def test_more_than_a_build_may_hold_is_refused(builder: Builder, launcher: Launcher) -> None:
    builder.index.add_wheel("alpha", files={f"big{n}.bin": bytes(3 * MIB) for n in range(4)})
    builder.libraries = Libraries(launcher, builder.folder, BUILD_LIMITS.model_copy(update={"disk": 8 * MIB}))
    with pytest.raises(InvalidArgument, match="8 MiB"):
        await builder.prepare("alpha")
    assert names(builder.folder) == set()


async def test_an_index_that_never_answers_is_given_up(builder: Builder, launcher: Launcher) -> None:
    builder.libraries = Libraries(launcher, builder.folder, BUILD_LIMITS.model_copy(update={"wall": 1.0}))
    builder.index.files = Silent()
    assert "took longer than 1 s" in await refused(builder, "alpha")


class Silent(dict[str, bytes]):
    """An offer that the index cannot even look at."""

    def __iter__(self) -> "Silent":  # type: ignore[override]
        raise OSError


async def test_a_build_reaches_no_host_inside(builder: Builder) -> None:
    """The index is open because the operator says so; a metadata service is not."""
    async with build_egress(builder.proxy, "http://169.254.169.254/simple")() as egress:
        with pytest.raises(InvalidArgument, match="cannot be installed"):
            await builder.libraries.prepare(("alpha",), egress, "http://169.254.169.254/simple")


async def test_without_a_way_out_only_what_is_there_is_there(builder: Builder) -> None:
    builder.index.add_wheel("alpha")
    with pytest.raises(SandboxUnavailable, match="no way out"):
        await builder.libraries.prepare(("alpha",), None, builder.index.url)
    site = await builder.prepare("alpha")
    assert await builder.libraries.prepare(("alpha",), None, builder.index.url) == site.name


def sdist(name: str, setup: str) -> bytes:
    import io
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        for path, text in (("setup.py", setup), ("PKG-INFO", metadata)):
            entry = tarfile.TarInfo(f"{name}-1.0/{path}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()
