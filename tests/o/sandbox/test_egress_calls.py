"""The way out as code in the sandbox has it, and libraries prepared and used, through a real executor."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from o.errors import InvalidArgument
from o.guard.policy import Guard, parse_allowed
from o.sandbox.base import CodeCall, CodeResult
from o.sandbox.client import SocketSandbox
from o.sandbox.egress import EgressProxy
from o.sandbox.requirements import build_egress
from tests.support.egress import serving
from tests.support.package_index import package_index
from tests.support.sandbox import executor

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("libraries")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(libraries: Path) -> AsyncIterator[SocketSandbox]:
    async with executor(pool=0, libraries=libraries) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def proxy(tmp_path: Path) -> AsyncIterator[EgressProxy]:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "open.example" else ["10.0.0.1"]

    async with EgressProxy(Guard(parse_allowed("127.0.0.0/8"), resolve), tmp_path / "egress" / "s") as made:
        yield made


async def run(sandbox: SocketSandbox, source: str, **more: object) -> CodeResult:
    return await sandbox.run(CodeCall.model_validate({"source": source, "function": "tool", **more}))


FETCH = """
import urllib.error, urllib.request
def tool(urls):
    found = []
    for url in urls:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found.append(answer.read().decode())
        except urllib.error.HTTPError as error:
            found.append(f"{error.code} {error.reason}")
        except OSError as error:
            found.append(str(error))
    return found
"""


async def test_what_is_open_is_reached_and_nothing_else(sandbox: SocketSandbox, proxy: EgressProxy) -> None:
    async with serving() as server, serving() as hidden:
        server.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
        inside = f"http://127.0.0.1:{hidden.port}/"
        urls = [
            f"http://open.example:{server.port}/",
            inside,
            f"http://localhost:{hidden.port}/",
            f"http://inside.example:{hidden.port}/",
            "http://169.254.169.254/latest/meta-data/",
            "https://open.example/",
        ]
        allowed = [f"open.example:{server.port}", "inside.example", f"inside.example:{hidden.port}"]
        async with proxy.grant(allowed) as egress:
            result = await run(sandbox, FETCH, arguments={"urls": urls}, egress=egress)
    reached, *refused = result.value
    assert reached == "hello"
    assert refused[0] == f"403 127.0.0.1:{hidden.port} is not open to this tool: add it to the tool's `network`"
    assert refused[2].startswith("403 inside.example leads to a private address")
    assert "403 open.example is not open" in refused[4]
    assert [line for line in refused if "403" not in line] == []
    assert not hidden.heard


async def test_redirects_lead_nowhere_else(sandbox: SocketSandbox, proxy: EgressProxy) -> None:
    async with serving() as server, serving() as hidden:
        target = f"http://127.0.0.1:{hidden.port}/"
        server.answer = f"HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n".encode()
        async with proxy.grant([f"open.example:{server.port}"]) as egress:
            urls = [f"http://open.example:{server.port}/"]
            result = await run(sandbox, FETCH, arguments={"urls": urls}, egress=egress)
    assert result.value[0].startswith("403 127.0.0.1")
    assert not hidden.heard


SOCKETS = """
import socket
def tool(port):
    found = {}
    def attempt(name, family, kind, address):
        try:
            with socket.socket(family, kind) as made:
                made.settimeout(2)
                made.sendto(b"x", address) if kind == socket.SOCK_DGRAM else made.connect(address)
            found[name] = "reached"
        except OSError as error:
            found[name] = "refused"
    attempt("host", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port))
    attempt("internet", socket.AF_INET, socket.SOCK_STREAM, ("1.1.1.1", 443))
    attempt("names", socket.AF_INET, socket.SOCK_DGRAM, ("1.1.1.1", 53))
    attempt("raw", socket.AF_INET, socket.SOCK_RAW, ("1.1.1.1", 0))
    return found
"""


async def test_around_the_proxy_there_is_no_way(sandbox: SocketSandbox, proxy: EgressProxy) -> None:
    async with serving() as server, proxy.grant([f"127.0.0.1:{server.port}"]) as egress:
        result = await run(sandbox, SOCKETS, arguments={"port": server.port}, egress=egress)
    assert result.value == {"host": "refused", "internet": "refused", "names": "refused", "raw": "refused"}, result
    assert not server.heard


async def test_a_call_without_a_way_out_has_no_proxy(sandbox: SocketSandbox) -> None:
    source = """
import os
def tool():
    return [name for name in os.environ if "proxy" in name.lower()], os.path.exists("/run/o/egress.sock")
"""
    assert (await run(sandbox, source)).value == [[], False]


async def test_many_threads_share_the_way_out(sandbox: SocketSandbox, proxy: EgressProxy) -> None:
    source = """
from concurrent.futures import ThreadPoolExecutor
import urllib.request
def tool(url):
    def get(number):
        with urllib.request.urlopen(url) as answer:
            return answer.read().decode()
    with ThreadPoolExecutor(8) as pool:
        return sorted(set(pool.map(get, range(64))))
"""
    async with serving() as server, proxy.grant([f"open.example:{server.port}"]) as egress:
        arguments = {"url": f"http://open.example:{server.port}/"}
        result = await run(sandbox, source, arguments=arguments, egress=egress)
    assert result.value == ["hello"], result


async def test_libraries_are_prepared_once_and_imported_read_only(
    sandbox: SocketSandbox, proxy: EgressProxy, libraries: Path
) -> None:
    source = """
import alpha, os
def tool():
    try:
        open(alpha.__file__, "a").close()
        return alpha.version, "written"
    except OSError:
        return alpha.version, "read-only"
"""
    async with package_index() as index:
        index.add_wheel("alpha", "1.0")
        builder = SocketSandbox(sandbox.path, build_egress=build_egress(proxy, index.url), index=index.url)
        first, second = await asyncio.gather(builder.prepare(("alpha==1.0",)), builder.prepare(("Alpha == 1.0",)))
        assert first == second
        assert index.asked.count("/simple/alpha/") == 2
        with pytest.raises(InvalidArgument, match="nosuch was not found"):
            await builder.prepare(("nosuch",))
    assert (await run(sandbox, source, libraries=first)).value == ["1.0", "read-only"]
    assert (await run(sandbox, source)).outcome == "raised"
    assert sorted(path.name for path in await asyncio.to_thread(lambda: list(libraries.iterdir()))) == [
        first,
        f"{first}.lock",
    ]
