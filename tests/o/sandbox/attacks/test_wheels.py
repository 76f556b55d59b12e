"""Packages that attack: when they are built, when they are installed, and when Python starts."""

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from o.errors import InvalidArgument
from o.guard.policy import Guard, parse_allowed
from o.sandbox.base import SandboxUnavailable
from o.sandbox.client import SocketSandbox
from o.sandbox.egress import EgressProxy
from o.sandbox.requirements import build_egress
from tests.support.attacks import LIMITS, Arena, contents
from tests.support.package_index import PackageIndex, package_index, wheel

# Landlock adds nothing to a build: what is bound into it is read-only or its own.
TRIED_WITH = ("all layers, root", "all layers, ordinary user", "no namespaces, ordinary user")

_POISON = "import builtins\nbuiltins.poisoned = True\nopen({path!r}, 'w').write('ran')\n"


async def test_packages_do_nothing_but_lie_there(arena: Arena) -> None:
    if not arena.combination.namespaces:
        with pytest.raises((SandboxUnavailable, InvalidArgument), match=r"bubblewrap|way out"):
            await arena.sandbox.prepare(("evil==1.0",))
        await arena.unharmed()
        return
    ran = arena.folder / "ran"
    before = _users(arena.libraries)
    async with (
        package_index() as index,
        EgressProxy(Guard(parse_allowed("127.0.0.0/8")), arena.egress_socket("wheels")) as proxy,
    ):
        _offer(index, ran)
        builder = SocketSandbox(arena.sandbox.path, build_egress=build_egress(proxy, index.url), index=index.url)
        with pytest.raises(InvalidArgument, match="nothing is built from source"):
            await builder.prepare(("sourceonly==1.0",))
        with pytest.raises(InvalidArgument, match="reqeusts"):
            await builder.prepare(("reqeusts==2.0",))
        with pytest.raises(InvalidArgument, match="tampered"):
            await builder.prepare(("tampered==1.0",))
        for text in (
            "evil @ file:///etc/passwd",
            "-r /etc/passwd",
            "--index-url=http://127.0.0.1/",
            "evil\n-e .",
            "../evil",
            "git+https://127.0.0.1/x",
        ):
            with pytest.raises(InvalidArgument):
                await builder.prepare((text,))
        for name in ("escaping", "deep"):
            try:
                await builder.prepare((f"{name}==1.0",))
            except InvalidArgument:
                continue  # refused; what counts is that it left nothing, which is seen below
        name = await builder.prepare(("evil==1.0",))
    assert not ran.exists()
    assert not [path for path in arena.libraries.iterdir() if path.name.startswith(".")]
    for path in (arena.libraries / name).rglob("*"):
        mode = path.lstat().st_mode
        assert stat.S_ISREG(mode) or stat.S_ISDIR(mode), path
        assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH | stat.S_IWGRP), path
    assert _users(arena.libraries) == before
    idle = await arena.run("import builtins\ndef attack(): return hasattr(builtins, 'poisoned')", libraries=name)
    assert idle.value is False
    # Imported, it is code of the call like any other.
    used = await arena.run("def attack():\n    import evil\n    return evil.seen", libraries=name, limits=LIMITS)
    assert used.outcome == "raised", used
    await arena.unharmed(idle, used)
    assert not ran.exists()


def _offer(index: PackageIndex, ran: Path) -> None:
    poison = _POISON.format(path=str(ran)).encode()
    one_line = b"import builtins; builtins.poisoned = True\n"
    index.add_wheel(
        "evil",
        files={
            "evil.py": poison + b"seen = True\n",
            "evil.pth": one_line,
            "sitecustomize.py": poison,
            "usercustomize.py": poison,
            "json.py": poison,
            "evil-1.0.data/scripts/evil-script": b"#!/bin/sh\ntouch " + str(ran).encode(),
            "evil-1.0.data/purelib/zz.pth": one_line,
        },
    )
    index.add("sourceonly-1.0.tar.gz", _source("sourceonly", poison))
    index.add_wheel("tampered")
    index.files["tampered-1.0-py3-none-any.whl"] = wheel("tampered", "1.0", {"tampered.py": poison})
    index.add("escaping-1.0-py3-none-any.whl", _escaping(wheel("escaping", "1.0", {"escaping.py": b""}), ran))
    index.add_wheel("deep", files={"d/" * 1200 + "deep.py": b""})


def _source(name: str, setup: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, data in (
            ("setup.py", setup),
            ("PKG-INFO", f"Metadata-Version: 1.0\nName: {name}\nVersion: 1.0\n".encode()),
        ):
            about = tarfile.TarInfo(f"{name}-1.0/{path}")
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return packed.getvalue()


def _escaping(data: bytes, ran: Path) -> bytes:
    """The wheel, with entries that want to lie elsewhere, and one that is a link."""
    packed = io.BytesIO(data)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("../" * 30 + str(ran).lstrip("/"), b"ran")
        archive.writestr(str(ran), b"ran")
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(ran.parent))
        archive.writestr("link/ran", b"ran")
    return packed.getvalue()


def _users(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """The libraries that were there before, which no build may touch."""
    return {path: about for path, about in contents(folder / "shared").items() if path.endswith(".py")}
