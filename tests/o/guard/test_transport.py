import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anthropic
import groq
import httpx
import httpx2
import ollama
import openai
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from o.guard.policy import Guard, parse_allowed
from o.guard.transport import denied_in, transport, transport2
from tests.o.guard.raw_server import RawServer, answer, redirect, serving

LOOPBACK = parse_allowed("127.0.0.1")
Client = httpx.AsyncClient | httpx2.AsyncClient


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with serving() as running:
        running.answers["/"] = answer(b"here", "text/plain")
        yield running


class Names:
    """A name server: gives its answers one after another, and the last one ever after."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def client(library: str, guard: Guard, tls: ssl.SSLContext | None = None, *, timeout: float = 5.0) -> Client:
    if library == "httpx":
        return httpx.AsyncClient(
            transport=transport(guard, ssl_context=tls), trust_env=False, timeout=timeout, follow_redirects=True
        )
    return httpx2.AsyncClient(
        transport=transport2(guard, ssl_context=tls), trust_env=False, timeout=timeout, follow_redirects=True
    )


async def text(of: Client, url: str) -> str:
    async with of:
        return (await of.get(url)).text


CONNECT_ERRORS = (httpx.ConnectError, httpx2.ConnectError)


async def test_this_machine_is_reached_when_allowed_and_not_otherwise(library: str, server: RawServer) -> None:
    assert await text(client(library, Guard(LOOPBACK)), server.url) == "here"
    assert len(server.heads) == 1
    with pytest.raises(CONNECT_ERRORS) as caught:
        await text(client(library, Guard()), server.url)
    assert denied_in(caught.value) == (
        "127.0.0.1 is a loopback address; whoever runs O can allow it with O_ALLOWED_HOSTS"
    )
    assert len(server.heads) == 1


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "localhost", "127.0.0.1."])
async def test_disguises_do_not_reach_it_either(library: str, server: RawServer, host: str) -> None:
    with pytest.raises(CONNECT_ERRORS) as caught:
        await text(client(library, Guard()), f"http://{host}:{server.port}")
    assert denied_in(caught.value)
    assert server.heads == []


async def test_a_name_that_is_bound_anew_leads_nowhere_else(library: str) -> None:
    """The second address stands for the machine that is to be kept out of reach."""
    async with serving("127.0.0.1") as hidden, serving("127.0.0.2", hidden.port) as shown:
        shown.answers["/"], hidden.answers["/"] = answer(b"shown", "text/plain"), answer(b"hidden", "text/plain")
        names = Names(["127.0.0.2"], ["127.0.0.1"])
        url = f"http://rebound.example:{shown.port}"
        async with client(library, Guard(parse_allowed("127.0.0.2"), names)) as used:
            assert (await used.get(url)).text == "shown"
            assert names.asked == ["rebound.example"]
            with pytest.raises(CONNECT_ERRORS) as caught:  # the server hung up: another connection, another answer
                await used.get(url)
        assert (denied_in(caught.value) or "").startswith("rebound.example leads to a loopback address")
        assert names.asked == ["rebound.example"] * 2
        assert hidden.heads == []
        assert f"host: rebound.example:{shown.port}" in shown.heads[0].lower()


async def test_an_open_connection_is_used_again_without_asking(library: str, server: RawServer) -> None:
    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n"
        writer.write(kept + b"1")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(kept + b"2")

    server.answers["/"] = twice
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    async with client(library, Guard(LOOPBACK, names)) as used:
        url = f"http://kept.example:{server.port}"
        assert [(await used.get(url)).text, (await used.get(url)).text] == ["1", "2"]
    assert names.asked == ["kept.example"]


async def test_a_redirect_inwards_is_refused(library: str, server: RawServer) -> None:
    async with serving("127.0.0.2") as hidden:
        server.answers["/away"] = redirect(f"http://127.0.0.2:{hidden.port}/")
        with pytest.raises(CONNECT_ERRORS) as caught:
            await text(client(library, Guard(LOOPBACK)), f"{server.url}/away")
        assert "127.0.0.2 is a loopback address" in (denied_in(caught.value) or "")
        assert hidden.heads == []


async def test_the_next_address_is_tried_when_one_does_not_answer(library: str, server: RawServer) -> None:
    guard = Guard(parse_allowed("127.0.0.0/8"), Names(["127.0.0.3", "127.0.0.1"]))  # nobody listens on the first
    assert await text(client(library, guard), f"http://two.example:{server.port}") == "here"


async def test_not_every_address_of_a_long_list_is_tried(library: str, server: RawServer) -> None:
    guard = Guard(parse_allowed("127.0.0.0/8"), Names([f"127.0.1.{n}" for n in range(9)] + ["127.0.0.1"]))
    with pytest.raises(CONNECT_ERRORS) as caught:
        await text(client(library, guard), f"http://many.example:{server.port}")
    assert denied_in(caught.value) is None
    assert server.heads == []


async def test_an_unknown_name_is_a_failed_connection(library: str) -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(CONNECT_ERRORS) as caught:
        await text(client(library, Guard(resolve=unknown)), "http://unknown.example")
    assert denied_in(caught.value) is None


async def test_a_name_server_that_is_silent_runs_into_the_connect_timeout(library: str) -> None:
    async def silent(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises((httpx.ConnectTimeout, httpx2.ConnectTimeout)):
        await text(client(library, Guard(resolve=silent), timeout=0.05), "http://silent.example")


async def test_the_environments_proxy_is_not_used(
    library: str, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.9:9")
    assert await text(client(library, Guard(LOOPBACK)), server.url) == "here"


async def test_the_pool_has_the_callers_limits(server: RawServer) -> None:
    server.answers["/stall"] = server.stall
    guarded = transport2(Guard(LOOPBACK), limits=httpx2.Limits(max_connections=1))
    async with (
        httpx2.AsyncClient(transport=guarded, timeout=httpx2.Timeout(5.0, pool=0.05)) as used,
        used.stream("GET", f"{server.url}/stall"),
    ):
        with pytest.raises(httpx2.PoolTimeout):
            await used.get(server.url)


async def test_tls_proves_the_name_and_not_the_address(library: str, tmp_path: Path) -> None:
    ours, theirs = certificate("models.example", tmp_path)
    asked: list[str | None] = []
    ours.sni_callback = lambda _object, name, _context: asked.append(name)
    async with serving(tls=ours) as secure:
        secure.answers["/"] = answer(b"proved", "text/plain")
        guard = Guard(LOOPBACK, Names(["127.0.0.1"]))
        assert await text(client(library, guard, theirs), f"https://models.example:{secure.port}") == "proved"
        assert asked == ["models.example"]
        assert f"host: models.example:{secure.port}" in secure.heads[0].lower()
        with pytest.raises(CONNECT_ERRORS, match="CERTIFICATE_VERIFY_FAILED"):
            await text(client(library, guard, theirs), f"https://another.example:{secure.port}")
        assert len(secure.heads) == 1


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_an_answer_without_an_end_is_ended(
    library: str, server: RawServer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("o.guard.transport._MOST_STREAMED", 20 * 2**20)

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", kind, length=None))
        await server.flood(reader, writer)

    server.answers["/"] = flood
    with pytest.raises((httpx.ReadError, httpx2.ReadError)) as caught:
        await text(client(library, Guard(LOOPBACK)), server.url)
    assert "larger" in (denied_in(caught.value) or "")
    await asyncio.wait_for(server.left.wait(), 5)


async def test_packed_content_is_neither_asked_for_nor_unpacked(library: str, server: RawServer) -> None:
    server.answers["/"] = answer(gzip.compress(bytes(10**6)), headers="content-encoding: gzip\r\n")
    with pytest.raises((httpx.ReadError, httpx2.ReadError)) as caught:
        await text(client(library, Guard(LOOPBACK)), server.url)
    assert "packed" in (denied_in(caught.value) or "")
    assert "accept-encoding: identity" in server.heads[0].lower()


async def test_every_sdk_lets_the_refusal_be_told_from_other_failures() -> None:
    guard, url = Guard(), "http://10.0.0.1:8000/v1"
    message = {"role": "user", "content": "hello"}
    with pytest.raises(openai.APIConnectionError) as from_openai:
        async with openai.AsyncOpenAI(
            api_key="key",
            base_url=url,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(transport=transport2(guard), trust_env=False),
        ) as by_openai:
            await by_openai.models.list()
    with pytest.raises(anthropic.APIConnectionError) as from_anthropic:
        async with anthropic.AsyncAnthropic(
            api_key="key",
            base_url=url,
            max_retries=0,
            http_client=anthropic.DefaultAsyncHttpxClient(transport=transport2(guard), trust_env=False),
        ) as by_anthropic:
            await by_anthropic.models.list()
    with pytest.raises(groq.APIConnectionError) as from_groq:
        async with groq.AsyncGroq(
            api_key="key",
            base_url=url,
            max_retries=0,
            http_client=groq.DefaultAsyncHttpxClient(transport=transport(guard), trust_env=False),
        ) as by_groq:
            await by_groq.models.list()
    with pytest.raises(ConnectionError) as from_ollama:
        await ollama.AsyncClient(url, transport=transport(guard), trust_env=False).chat("m", [message])
    for caught in (from_openai, from_anthropic, from_groq, from_ollama):
        assert "10.0.0.1 is a private address" in (denied_in(caught.value) or "")


def test_other_errors_hold_no_refusal() -> None:
    circular = ValueError("a")
    circular.__cause__ = KeyError("b")
    circular.__cause__.__cause__ = circular
    assert denied_in(circular) is None


def certificate(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The TLS of a server with a fresh certificate for `name`, and that of a client that trusts it alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(path)
    return ours, ssl.create_default_context(cafile=str(path))
