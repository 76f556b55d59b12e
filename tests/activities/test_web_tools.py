"""The tools that look at the web, as a model calls them."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from activities.tools import ToolContext
from activities.web_tools import web_tools
from o import ids
from o.domain.json import JsonObject
from o.guard.policy import Guard, parse_allowed
from o.store.session import Store
from o.web.brave import Brave
from o.web.exa import Exa
from tests.emulators import search_services
from tests.emulators.search_services import KEY, Emulator
from tests.o.guard.raw_server import RawServer, answer, redirect, serving

LOOPBACK = Guard(parse_allowed("127.0.0.0/8"))
CONTEXT = ToolContext(ids.DEFAULT_ORG, "agent-1", Store("postgresql://unused"))


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with serving() as running:
        yield running


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    with search_services.running() as emulator:
        yield emulator


async def fetch(url: object, guard: Guard = LOOPBACK) -> str:
    return await web_tools(guard)["fetch_webpage"](CONTEXT, {"url": url})


async def test_a_page_is_told_with_its_title_and_where_it_was_found(server: RawServer) -> None:
    page = b"<title>Tea</title><p>Hot <a href='/more'>and more</a>"
    server.answers["/tea"] = answer(page, "text/html; charset=utf-8")
    server.answers["/old"] = redirect("/tea")
    told = f"# Tea\n{server.url}/tea\n\nHot [and more]({server.url}/more)"
    assert await fetch(f"{server.url}/old") == told


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://127.0.0.1:1/", "loopback"),
        ("http://169.254.169.254/latest/meta-data", "link-local"),
        ("http://[::ffff:10.0.0.1]/", "private"),
        ("http://2130706433/", "no plain address"),
        ("file:///etc/passwd", "only http"),
        ("http://user:pw@example.org/", "password"),
        ("", "argument url"),
        (None, "'url' is missing"),
        (7, "argument url"),
    ],
)
async def test_addresses_that_are_not_the_webs_are_refused(url: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        await fetch(url, Guard())


async def test_a_redirect_inwards_is_refused(server: RawServer) -> None:
    server.answers["/"] = redirect("http://10.0.0.1/secret")
    with pytest.raises(ValueError, match="private"):
        await fetch(server.url)


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (answer(b"%PDF-1.7", "application/pdf"), "is not one of"),
        (answer(b"x" * (5 * 2**20 + 1), "text/html"), "larger than"),
    ],
)
async def test_pages_that_cannot_be_read_are_refused(server: RawServer, reply: bytes, complaint: str) -> None:
    server.answers["/"] = reply
    with pytest.raises(ValueError, match=complaint):
        await fetch(server.url)


async def search(engine: Exa | Brave | None, **arguments: object) -> JsonObject:
    document: JsonObject = json.loads(await web_tools(LOOPBACK, engine)["web_search"](CONTEXT, arguments))
    return document


async def test_a_search_tells_what_was_found(service: Emulator) -> None:
    document = await search(
        Exa(KEY, f"{service.url}/exa"),
        query="tea",
        num_results=2,
        include_domains=["https://www.example.org/"],
        start_published_date="2026-01-01T00:00:00Z",
        category=None,
    )
    assert document["engine"] == "Exa" and "note" not in document
    assert document["results"][0] == {
        "title": "Tea",
        "url": "https://example.org/tea",
        "published": "2026-01-02",
        "snippet": "about tea … a cup",
    }
    assert service.asked[-1]["includeDomains"] == ["example.org"]


async def test_a_search_says_which_wishes_were_not_looked_at(service: Emulator) -> None:
    document = await search(Brave(KEY, f"{service.url}/brave"), query="tea", category="news", include_text=True)
    assert document["note"].endswith("category, include_text")


async def test_without_a_service_the_tool_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match=r"EXA_API_KEY, TAVILY_API_KEY, BRAVE_API_KEY .* O_SEARXNG_URL"):
        await search(None, query="tea")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "'query' is missing"),
        ({"query": "tea", "num_results": 0}, "num_results"),
        ({"query": "tea", "category": "recipes"}, "category"),
        ({"query": "tea", "include_domains": ["not a domain"]}, "include_domains.0"),
        ({"query": "tea", "start_published_date": "yesterday"}, "start_published_date must be a date"),
        ({"query": "tea", "user_location": "Germany"}, "user_location"),
    ],
)
async def test_what_cannot_be_searched(arguments: JsonObject, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        await search(Exa(KEY, "http://127.0.0.1:9"), **arguments)


async def test_a_refused_key_is_not_repeated(service: Emulator) -> None:
    with pytest.raises(ValueError, match="EXA_API_KEY") as refusal:
        await search(Exa("wrong-key-77", f"{service.url}/exa"), query="tea")
    assert "wrong-key-77" not in str(refusal.value)
