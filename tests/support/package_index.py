"""A package index on 127.0.0.1 with wheels made on the spot."""

import asyncio
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.egress import Server, serving


@dataclass
class PackageIndex:
    """What the index offers.

    Attributes:
        files: file name → content, as it is sent.
        hashes: file name → the hash that the index says it has.
        asked: paths of the requests that came.
    """

    server: Server
    files: dict[str, bytes] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/simple"

    def add(self, name: str, content: bytes) -> None:
        self.files[name] = content
        self.hashes[name] = hashlib.sha256(content).hexdigest()

    def add_wheel(
        self, name: str, version: str = "1.0", *, files: Mapping[str, bytes] | None = None, needs: str = ""
    ) -> None:
        """A wheel with one module of its own name, which says its version, unless `files` says otherwise."""
        content = {f"{name}.py": f"version = {version!r}\n".encode()} if files is None else dict(files)
        self.add(f"{name}-{version}-py3-none-any.whl", wheel(name, version, content, needs))


def wheel(name: str, version: str, files: Mapping[str, bytes], needs: str = "") -> bytes:
    meta = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (
        f"Requires-Dist: {needs}\n" if needs else ""
    )
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    whole = {**files, f"{meta}/METADATA": metadata.encode(), f"{meta}/WHEEL": tags.encode()}
    record = "".join(f"{path},,\n" for path in [*whole, f"{meta}/RECORD"])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {**whole, f"{meta}/RECORD": record.encode()}.items():
            archive.writestr(path, content)
    return packed.getvalue()


@asynccontextmanager
async def package_index() -> AsyncIterator[PackageIndex]:
    offered: PackageIndex | None = None

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert offered is not None
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        offered.asked.append(path)
        kind, body = "text/html", b""
        status = "404 Not Found"
        if path.startswith("/simple/"):
            project = path.split("/")[2].replace("-", "_")
            links = [
                f'<a href="/files/{name}#sha256={offered.hashes[name]}">{name}</a>'
                for name in offered.files
                if name.startswith(f"{project}-")
            ]
            if links:
                status, body = "200 OK", f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()
        elif (name := path.removeprefix("/files/")) in offered.files:
            status, kind, body = "200 OK", "application/octet-stream", offered.files[name]
        writer.write(f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode())
        if not head.startswith(b"HEAD"):
            writer.write(body)
        await writer.drain()

    async with serving(serve) as server:
        offered = PackageIndex(server)
        yield offered
