import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from o.errors import InvalidArgument, Unavailable
from o.guard.fetch import Fetched, fetch
from o.guard.policy import Denied, Guard, parse_allowed
from tests.o.guard.raw_server import RawServer, answer, redirect, serving

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)
GIF = b"GIF89a" + bytes(20)
WEBP = b"RIFF\x20\x00\x00\x00WEBPVP8 " + bytes(20)
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
ALLOWED = parse_allowed("127.0.0.1")
GUARD = Guard(ALLOWED)


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with serving() as running:
        yield running


async def fetched(
    server: RawServer,
    path: str = "/",
    *,
    guard: Guard = GUARD,
    limit: int = 1000,
    kinds: tuple[str, ...] = IMAGES,
    timeout: float = 10.0,
) -> Fetched:
    return await fetch(guard, server.url + path, limit=limit, kinds=kinds, timeout=timeout)


@pytest.mark.parametrize(
    ("kind", "content", "meant"),
    [
        ("image/png", PNG, "image/png"),
        ("image/jpeg", JPEG, "image/jpeg"),
        ("image/jpg", JPEG, "image/jpeg"),
        ("IMAGE/GIF; q=1", GIF, "image/gif"),
        ("image/gif", b"GIF87a", "image/gif"),
        ("image/webp", WEBP, "image/webp"),
        ("image/png", JPEG, "image/jpeg"),  # a wrong name for a wanted kind: its bytes say which
        ("application/octet-stream", PNG, "image/png"),
        ("", PNG, "image/png"),
    ],
)
async def test_an_image_is_what_its_bytes_say(server: RawServer, kind: str, content: bytes, meant: str) -> None:
    server.answers["/"] = answer(content, kind)
    assert await fetched(server) == Fetched(meant, content)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("image/png", b"<html>not an image</html>"),
        ("image/png", b""),
        ("image/webp", b"RIFF\x20\x00\x00\x00WAVEfmt "),
        ("image/svg+xml", b"<svg/>"),
        ("application/octet-stream", b"MZ"),
        ("", b"nothing known"),
        ("text/html", PNG),
    ],
)
async def test_a_lying_or_unwanted_type_is_refused(server: RawServer, kind: str, content: bytes) -> None:
    server.answers["/"] = answer(content, kind)
    with pytest.raises(InvalidArgument, match="is not one of image/gif, image/jpeg"):
        await fetched(server)


async def test_only_the_wanted_kinds_come_through(server: RawServer) -> None:
    server.answers["/"] = answer(GIF, "image/png")
    with pytest.raises(InvalidArgument, match="is not one of image/png"):
        await fetched(server, kinds=("image/png",))
    server.answers["/"] = answer(b"hello", "text/plain; charset=utf-8")
    assert await fetched(server, kinds=("text/plain",)) == Fetched("text/plain", b"hello", "utf-8")
    server.answers["/"] = answer(PNG, "text/plain")
    with pytest.raises(InvalidArgument, match="is not one of text/plain"):
        await fetched(server, kinds=("text/plain",))


async def test_an_unwanted_type_is_not_even_downloaded(server: RawServer) -> None:
    server.answers["/"] = answer(b"", "video/mp4", length=10**9)
    with pytest.raises(InvalidArgument, match="is not one of"):
        await fetched(server)


async def test_content_of_just_the_limit_is_taken_and_one_byte_more_is_not(server: RawServer) -> None:
    server.answers["/"] = answer(PNG)
    assert (await fetched(server, limit=len(PNG))).content == PNG
    with pytest.raises(InvalidArgument, match="is larger than 27 bytes"):
        await fetched(server, limit=len(PNG) - 1)


async def test_content_without_an_end_is_cut_off(server: RawServer) -> None:
    server.answers["/"] = server.flood
    with pytest.raises(InvalidArgument, match="is larger than 100000 bytes"):
        await fetched(server, limit=100_000)
    await server.left.wait()


async def test_a_length_that_is_too_short_gives_no_more_than_it_says(server: RawServer) -> None:
    server.answers["/"] = answer(PNG + bytes(10_000), length=len(PNG))
    assert (await fetched(server)).content == PNG


async def test_content_that_breaks_off_is_tried_again(server: RawServer) -> None:
    server.answers["/"] = answer(PNG, length=10_000)
    with pytest.raises(Unavailable):
        await fetched(server, limit=100_000)
    packed = gzip.compress(PNG)[:-4]
    server.answers["/"] = answer(packed, headers="content-encoding: gzip\r\n")
    with pytest.raises(Unavailable, match="broke off"):
        await fetched(server)


async def test_packed_content_is_measured_unpacked(server: RawServer) -> None:
    server.answers["/"] = answer(gzip.compress(PNG), headers="content-encoding: GZIP\r\n")
    assert (await fetched(server, limit=len(PNG) + 50)).content == PNG
    bomb = gzip.compress(PNG + bytes(50_000_000))
    assert len(bomb) < 100_000
    server.answers["/"] = answer(bomb, headers="content-encoding: gzip\r\n")
    with pytest.raises(InvalidArgument, match="is larger than 100000 bytes"):
        await fetched(server, limit=100_000)


async def test_packed_content_that_unpacks_to_nothing_is_measured_packed(server: RawServer) -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    empty = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH) + b"\x00\x00\x00\xff\xff" * 100_000
    server.answers["/"] = answer(empty, headers="content-encoding: gzip\r\n")
    with pytest.raises(InvalidArgument, match="is larger than 100000 bytes"):
        await fetched(server, limit=100_000)


@pytest.mark.parametrize("packing", ["gzip, gzip", "br", "deflate", "hunter2"])
async def test_other_packings_are_refused(server: RawServer, packing: str) -> None:
    server.answers["/"] = answer(gzip.compress(gzip.compress(PNG)), headers=f"content-encoding: {packing}\r\n")
    with pytest.raises(InvalidArgument, match="packed in a way that was not asked for"):
        await fetched(server)


async def test_what_only_claims_to_be_packed_is_refused(server: RawServer) -> None:
    server.answers["/"] = answer(PNG, headers="content-encoding: gzip\r\n")
    with pytest.raises(InvalidArgument, match="cannot be unpacked"):
        await fetched(server)


async def test_a_server_that_stalls_is_left_at_the_deadline(server: RawServer) -> None:
    server.answers["/"] = server.stall
    with pytest.raises(Unavailable, match=r"did not answer within 0\.2 s"):
        await fetched(server, timeout=0.2)
    await server.left.wait()


async def test_a_server_that_trickles_is_left_at_the_deadline(server: RawServer) -> None:
    """Each piece comes in time, the whole never does."""
    server.answers["/"] = server.flood
    with pytest.raises(Unavailable, match="did not answer within"):
        await fetched(server, limit=10**12, timeout=0.3)
    await server.left.wait()


async def test_redirects_are_followed(server: RawServer) -> None:
    for hop in range(5):
        server.answers[f"/{hop}"] = redirect(f"/{hop + 1}" if hop % 2 else f"{server.url}/{hop + 1}")
    server.answers["/5"] = answer(PNG)
    assert (await fetched(server, "/0")).content == PNG
    assert len(server.heads) == 6
    server.answers["/5"] = redirect("/6")
    with pytest.raises(InvalidArgument, match="more than 5 redirects"):
        await fetched(server, "/0")
    assert len(server.heads) == 12


async def test_the_body_of_a_redirect_is_not_read(server: RawServer) -> None:
    server.answers["/0"] = redirect("/1", b"begun", length=10**9)
    server.answers["/1"] = answer(PNG)
    assert (await fetched(server, "/0", timeout=5.0)).content == PNG


@pytest.mark.parametrize(
    "location",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/",
        "http://inward.example/",
        "http://me:secret@93.184.216.34/",
        "file:///etc/passwd",
        "ftp://93.184.216.34/",
    ],
)
async def test_a_redirect_inwards_is_refused(server: RawServer, location: str) -> None:
    async def inward(host: str, port: int) -> list[str]:
        return ["10.0.0.1"]

    server.answers["/"] = redirect(location)
    with pytest.raises(Denied):
        await fetched(server, guard=Guard(ALLOWED, inward))
    assert len(server.heads) == 1


@pytest.mark.parametrize("location", ["http://[1]/", "http://h:hunter2/", "http://h:" + "9" * 5000 + "/"])
async def test_a_redirect_to_no_url_is_refused(server: RawServer, location: str) -> None:
    server.answers["/"] = redirect(location)
    with pytest.raises(InvalidArgument, match="answered with status 302") as caught:
        await fetched(server)
    assert "hunter2" not in caught.value.message


async def test_nothing_is_asked_of_a_denied_address(server: RawServer) -> None:
    with pytest.raises(Denied, match=r"127\.0\.0\.1 is a loopback address"):
        await fetched(server, guard=Guard())

    async def inward(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    with pytest.raises(Denied, match=r"pictures\.example leads to a loopback address") as caught:
        await fetch(
            Guard(resolve=inward),
            f"http://pictures.example:{server.port}/a?signature=secret",
            limit=10,
            kinds=IMAGES,
            timeout=5.0,
        )
    assert caught.value.retryable is False
    assert server.heads == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("400 Bad Request", InvalidArgument),
        ("401 Unauthorized", InvalidArgument),
        ("404 Not Found", InvalidArgument),
        ("304 Not Modified", InvalidArgument),
        ("408 Request Timeout", Unavailable),
        ("429 Too Many Requests", Unavailable),
        ("500 Internal Server Error", Unavailable),
        ("503 Service Unavailable", Unavailable),
    ],
)
async def test_a_status_says_whether_trying_again_may_help(server: RawServer, status: str, kind: type) -> None:
    server.answers["/"] = answer(b"hunter2", "text/plain", status)
    with pytest.raises(kind, match=f"answered with status {status[:3]}") as caught:
        await fetched(server)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-hunter2\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: hunter2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 5000 + b"\r\ncontent-type: image/png\r\n\r\n" + PNG,
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000,
    ],
)
async def test_garbage_is_no_answer_and_is_not_repeated(server: RawServer, garbage: bytes) -> None:
    server.answers["/"] = garbage
    with pytest.raises(Unavailable) as caught:
        await fetched(server)
    assert "hunter2" not in caught.value.message
    assert caught.value.__suppress_context__


async def test_a_server_that_is_away_is_tried_again() -> None:
    async with serving() as gone:
        pass
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1 cannot be reached"):
        await fetched(gone)


async def test_the_environments_proxy_is_not_used(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.9:9")
    server.answers["/"] = answer(PNG)
    assert (await fetched(server)).content == PNG
    assert "accept: image/png, image/jpeg" in server.heads[0]
