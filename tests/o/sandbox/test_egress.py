"""The proxy over real sockets. Names lead where the test says; only servers on loopback are ever reached."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from o.guard.policy import Guard, parse_allowed
from o.sandbox.base import Egress
from o.sandbox.egress import EgressProxy, SocketUnsafe
from o.sandbox.egress_grants import ApiAccess, EgressLimits
from tests.support.egress import Server, ask, serving, tunnel

Opener = Callable[..., AbstractAsyncContextManager[EgressProxy]]

NAMES = {
    "models.example": ["127.0.0.1"],
    "inside.example": ["10.0.0.5"],
    "metadata.example": ["169.254.169.254"],
    "mixed.example": ["169.254.169.254", "127.0.0.1"],
    "six.example": ["::ffff:10.0.0.1"],
}


async def resolve(host: str, port: int) -> list[str]:
    if host not in NAMES:
        raise OSError("no such name")
    return NAMES[host]


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    """Makes proxies that may connect to loopback, by address and by name."""

    def make(allowed: str = "127.0.0.0/8", **more: object) -> EgressProxy:
        guard = Guard(parse_allowed(allowed), resolve)
        limits = more.pop("limits", None)
        assert limits is None or isinstance(limits, EgressLimits)
        ports = more.pop("own_ports", ())
        assert isinstance(ports, tuple)
        return EgressProxy(guard, tmp_path / "egress" / "proxy.sock", limits=limits, own_ports=ports)

    return make


@pytest.fixture
async def proxy(opened: Opener) -> AsyncIterator[EgressProxy]:
    async with opened() as made:
        yield made


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as made:
        yield made


def mode(path: Path | str) -> int:
    return Path(path).stat().st_mode & 0o777


def get(host: str, port: int, path: str = "/") -> bytes:
    return f"GET http://{host}:{port}{path} HTTP/1.1\r\nHost: other.example\r\n\r\n".encode()


async def test_a_request_reaches_an_open_host_without_a_word_about_the_proxy(
    proxy: EgressProxy, server: Server
) -> None:
    async with proxy.grant([f"models.example:{server.port}"]) as egress:
        head = get("models.example", server.port, "/v1?x=1").removesuffix(b"\r\n\r\n")
        said = await ask(egress, head + b"\r\nConnection: x-secret\r\nX-Secret: 1\r\nX-Kept: 2\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert said.endswith(b"hello")
    (heard,) = server.heard
    assert heard.startswith(b"GET /v1?x=1 HTTP/1.1\r\n")
    names = [line.partition(b":")[0].lower() for line in heard.split(b"\r\n")[1:] if line]
    assert names == [b"host", b"x-kept", b"connection"]
    assert f"host: models.example:{server.port}\r\n".encode() in heard.lower()
    assert egress.token.encode() not in heard


async def test_a_tunnel_carries_bytes_both_ways_and_ends_one_way_at_a_time(proxy: EgressProxy) -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whole = await reader.read()  # until the client has ended its half
        writer.write(whole.upper())

    async with (
        serving(shout) as server,
        proxy.grant([f"models.example:{server.port}"]) as egress,
        tunnel(egress, f"models.example:{server.port}") as (reader, writer),
    ):
        writer.write(b"a" * 300_000)
        writer.write_eof()
        assert await reader.read() == b"A" * 300_000


@pytest.mark.parametrize(
    ("host", "allowed", "words"),
    [
        ("inside.example", ["inside.example"], b"leads to a private address"),
        ("metadata.example", ["metadata.example"], b"leads to a link-local address"),
        ("six.example", ["six.example"], b"leads to a private address"),
        ("169.254.169.254", ["169.254.169.254"], b"is a link-local address"),
        ("[fd00:ec2::254]", ["[fd00:ec2::254]"], b"is a private address"),
        ("[::ffff:169.254.169.254]", ["[::ffff:169.254.169.254]"], b"is a link-local address"),
        ("0.0.0.0", ["0.0.0.0"], b"is an unspecified address"),
        ("2130706433", ["2130706433"], b"is no plain address"),
        ("0x7f.1", ["0x7f.1"], b"is no plain address"),
        (
            "models.example",
            ["other.example"],
            b"models.example is not open to this tool: add it to the tool's `network`",
        ),
        ("models.example", [], b"is not open to this tool"),
    ],
)
@pytest.mark.parametrize("tunnelled", [False, True])
async def test_denials_say_what_and_why(
    proxy: EgressProxy, host: str, allowed: list[str], words: bytes, tunnelled: bool
) -> None:
    async with proxy.grant(allowed) as egress:
        line = f"CONNECT {host}:443" if tunnelled else f"GET http://{host}/"
        said = await ask(egress, f"{line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.1 403 ")
    # In the first line too: of a refused tunnel most libraries show nothing else.
    assert words in said.split(b"\r\n")[0]
    assert words in said.split(b"\r\n\r\n")[1]


async def test_any_public_host_still_leads_nowhere_inside(proxy: EgressProxy) -> None:
    async with proxy.grant([], allow_any_public=True) as egress:
        assert b"403 metadata.example leads to a link-local" in await ask(egress, get("metadata.example", 80))


async def test_only_judged_addresses_are_connected_to(opened: Opener, server: Server) -> None:
    """A name with a good and a bad address is reached by the good one; asked again, it may lead elsewhere."""
    async with opened() as proxy, proxy.grant([f"mixed.example:{server.port}"]) as egress:
        assert (await ask(egress, get("mixed.example", server.port))).endswith(b"hello")
        NAMES["mixed.example"], before = ["169.254.169.254"], NAMES["mixed.example"]
        try:
            assert b" 403 " in await ask(egress, get("mixed.example", server.port))
        finally:
            NAMES["mixed.example"] = before


async def test_a_redirect_is_another_request_and_judged_like_one(proxy: EgressProxy, server: Server) -> None:
    server.answer = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
    async with proxy.grant([f"models.example:{server.port}"]) as egress:
        said = await ask(egress, get("models.example", server.port))
        assert b"location: http://169.254.169.254/" in said
        assert b" 403 " in await ask(egress, get("169.254.169.254", 80))


async def test_a_second_request_on_a_connection_is_never_heard(proxy: EgressProxy, server: Server) -> None:
    async with proxy.grant([f"models.example:{server.port}"]) as egress:
        twice = get("models.example", server.port).removesuffix(b"\r\n\r\n")
        said = await ask(egress, twice + b"\r\n\r\n" + get("169.254.169.254", 80))
    assert said.count(b"HTTP/1.1") == 1
    assert len(server.heard) == 1


async def test_bodies_go_through_whole(proxy: EgressProxy) -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 200000" in head.lower()
        body = await reader.readexactly(200_000)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + body[:100_000])  # as long as the connection lasts

    async with serving(count) as server, proxy.grant([f"models.example:{server.port}"]) as egress:
        head = f"POST http://models.example:{server.port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n"
        said = await ask(egress, head.encode() + b"x" * 200_000)
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert said.count(b"x") >= 100_000


async def test_a_head_request_has_no_body_whoever_answers(proxy: EgressProxy, server: Server) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    async with proxy.grant([f"models.example:{server.port}"]) as egress:
        for host, status in (("models.example", b"200"), ("other.example", b"403")):
            said = await ask(egress, f"HEAD http://{host}:{server.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert said.split()[1] == status
            assert said.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("token", ["", "wrong", "ö"])
async def test_nobody_passes_without_a_token(proxy: EgressProxy, server: Server, token: str) -> None:
    async with proxy.grant([f"models.example:{server.port}"]) as egress:
        said = await ask(egress, get("models.example", server.port), token=token)
    assert said.startswith(b"HTTP/1.1 407 ")
    assert b'proxy-authenticate: Basic realm="o"' in said
    assert not server.heard


async def test_one_call_s_token_opens_nothing_of_another(proxy: EgressProxy, server: Server) -> None:
    async with proxy.grant([f"models.example:{server.port}"]), proxy.grant([]) as other:
        assert b" 403 " in await ask(other, get("models.example", server.port))


async def test_the_end_of_a_call_ends_its_token_and_its_tunnels(proxy: EgressProxy) -> None:
    async with serving(lambda reader, writer: reader.read()) as server:  # type: ignore[arg-type, return-value]
        async with proxy.grant([f"models.example:{server.port}"]) as egress:
            opening = tunnel(egress, f"models.example:{server.port}")
            reader, _ = await opening.__aenter__()
        assert await reader.read() == b""
        await opening.__aexit__(None, None, None)
        assert b" 407 " in await ask(egress, get("models.example", server.port))


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/1.1",
        b"GET https://models.example/ HTTP/1.1",
        b"GET http://user:pw@models.example/ HTTP/1.1",
        b"GET ftp://models.example/ HTTP/1.1",
        b"CONNECT models.example HTTP/1.1",
        b"CONNECT models.example:443/path HTTP/1.1",
        b"CONNECT a@models.example:443 HTTP/1.1",
        b"GET http:/// HTTP/1.1",
        b"GET http://0177.0.0.1/ HTTP/1.1",
        b"CONNECT 0177.0.0.1:443 HTTP/1.1",
        b"nonsense",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET http://models.example/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        b"GET http://models.example/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
        b"GET http://models.example/ HTTP/1.1\r\nX: " + b"a" * 300_000,
    ],
)
async def test_what_is_no_request_to_a_proxy_is_refused(proxy: EgressProxy, request_line: bytes) -> None:
    async with proxy.grant(["models.example"]) as egress:
        said = await ask(egress, request_line + b"\r\nHost: x\r\n\r\n")
    assert said.split()[1] in (b"400", b"501")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nbad\x00: x\r\n\r\n"])
async def test_a_server_that_does_not_speak_http_is_a_502(proxy: EgressProxy, server: Server, answer: bytes) -> None:
    server.answer = answer
    async with proxy.grant([f"models.example:{server.port}"]) as egress:
        assert (await ask(egress, get("models.example", server.port))).startswith(b"HTTP/1.1 502 ")


async def test_a_name_or_a_server_that_is_not_there_is_a_502(proxy: EgressProxy) -> None:
    async with serving() as gone:
        port = gone.port
    async with proxy.grant([f"models.example:{port}", "nowhere.example"]) as egress:
        assert (await ask(egress, get("models.example", port))).startswith(b"HTTP/1.1 502 ")
        assert (await ask(egress, get("nowhere.example", 80))).startswith(b"HTTP/1.1 502 ")


async def test_a_silent_server_is_given_up(opened: Opener) -> None:
    async with (
        serving(lambda reader, writer: reader.read()) as server,  # type: ignore[arg-type, return-value]
        opened(limits=EgressLimits(idle=0.2)) as proxy,
        proxy.grant([f"models.example:{server.port}"]) as egress,
    ):
        assert (await ask(egress, get("models.example", server.port))).startswith(b"HTTP/1.1 504 ")


async def test_a_silent_client_is_given_up(opened: Opener) -> None:
    async with opened(limits=EgressLimits(head=0.2)) as proxy, proxy.grant([]) as egress:
        reader, writer = await asyncio.open_unix_connection(egress.socket)
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_a_call_moves_no_more_bytes_than_it_may(opened: Opener) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with (
        serving(flood) as server,
        opened(limits=EgressLimits(transferred=1_000_000)) as proxy,
        proxy.grant([f"models.example:{server.port}"]) as egress,
    ):
        async with tunnel(egress, f"models.example:{server.port}") as (reader, _):
            assert 900_000 < len(await reader.read()) <= 1_000_000
        said = await ask(egress, get("models.example", server.port))
        assert b"403 this call has moved all the 1000000 bytes it may" in said


async def test_a_call_has_no_more_connections_than_it_may(opened: Opener) -> None:
    async with (
        serving(lambda reader, writer: reader.read()) as server,  # type: ignore[arg-type, return-value]
        opened(limits=EgressLimits(connections=2)) as proxy,
        proxy.grant([f"models.example:{server.port}"]) as egress,
        tunnel(egress, f"models.example:{server.port}"),
        tunnel(egress, f"models.example:{server.port}"),
    ):
        assert (await ask(egress, get("models.example", server.port))).startswith(b"HTTP/1.1 429 ")


async def test_connections_that_say_nothing_leave_room_for_those_that_do(opened: Opener, server: Server) -> None:
    limits = EgressLimits(waiting=2, head=60)
    async with opened(limits=limits) as proxy, proxy.grant([f"models.example:{server.port}"]) as egress:
        silent = [await asyncio.open_unix_connection(egress.socket) for _ in range(2)]
        while not (await ask(egress, get("models.example", server.port))).startswith(b"HTTP/1.1 503 "):
            await asyncio.sleep(0)  # until the proxy has seen both
        for _, writer in silent:
            writer.close()
        while not (await ask(egress, get("models.example", server.port))).endswith(b"hello"):
            await asyncio.sleep(0)


async def test_o_s_own_ports_are_closed_whatever_the_operator_opened(opened: Opener, server: Server) -> None:
    async with opened(own_ports=(server.port,)) as proxy, proxy.grant([f"127.0.0.1:{server.port}"]) as egress:
        assert b" 403 " in await ask(egress, get("127.0.0.1", server.port))
    assert not server.heard


async def test_o_s_api_is_reached_by_its_own_name_with_the_call_s_key_only(opened: Opener, server: Server) -> None:
    api = ApiAccess(f"http://127.0.0.1:{server.port}/base", "o-tool-key")
    request = b"GET http://o.internal/v1/agents/x HTTP/1.1\r\nHost: o.internal\r\n"
    async with opened(allowed="", own_ports=(server.port,)) as proxy:
        async with proxy.grant([], api) as egress:
            said = await ask(egress, request + b"Authorization: Bearer o-tool-key\r\n\r\n")
            assert said.startswith(b"HTTP/1.1 200 OK")
            assert server.heard[0].startswith(b"GET /base/v1/agents/x HTTP/1.1\r\n")
            # An API that listens on loopback only may ask for no key at all: the proxy does.
            for other in (b"", b"Authorization: Bearer sk-other\r\n", b"X-Bare-Password: password x\r\n"):
                assert b" 403 " in await ask(egress, request + other + b"\r\n")
            doubled = b"Authorization: Bearer o-tool-key\r\nAuthorization: Bearer sk-other\r\n\r\n"
            assert b" 403 " in await ask(egress, request + doubled)
            assert b" 403 " in await ask(egress, b"CONNECT o.internal:80 HTTP/1.1\r\nHost: x\r\n\r\n")
        async with proxy.grant(["o.internal"]) as egress:
            assert b" 403 " in await ask(egress, request + b"Authorization: Bearer o-tool-key\r\n\r\n")
    assert len(server.heard) == 1


async def test_the_socket_is_open_to_all_in_a_folder_that_is_not(proxy: EgressProxy) -> None:
    async with proxy.grant([]) as egress:
        assert mode(egress.socket) == 0o666
        assert mode(Path(egress.socket).parent) == 0o700


async def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    await asyncio.to_thread(tmp_path.chmod, 0o755)
    with pytest.raises(SocketUnsafe, match="chmod 700"):
        await EgressProxy(Guard(), tmp_path / "proxy.sock").__aenter__()


async def test_a_socket_left_behind_is_replaced(opened: Opener) -> None:
    left = opened()
    await left.__aenter__()
    async with opened() as proxy, proxy.grant([]) as egress:
        assert b" 403 " in await ask(egress, get("models.example", 80))
    await left.__aexit__(None, None, None)


async def test_logs_hold_neither_hosts_nor_tokens(
    proxy: EgressProxy, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with proxy.grant([f"models.example:{server.port}"]) as egress:
        await ask(egress, get("models.example", server.port))
        await ask(egress, get("metadata.example", 80))
    assert "example" not in caplog.text
    assert egress.token not in caplog.text
    assert egress.token not in repr(egress) + repr(Egress(socket="x", token=egress.token))
