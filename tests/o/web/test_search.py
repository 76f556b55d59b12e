"""Searching the web: every service is asked as it wants to be, and what it answers is looked at."""

from collections.abc import Callable, Iterator
from datetime import date

import pytest

from o.errors import InvalidArgument, ProjectError, Unavailable
from o.web.brave import Brave
from o.web.engines import search_engine
from o.web.exa import Exa
from o.web.search import SearchEngine, SearchRequest, found
from o.web.searxng import Searxng
from o.web.tavily import Tavily
from tests.emulators import search_services
from tests.emulators.search_services import KEY, Emulator

ENGINES: dict[str, Callable[[str, str], SearchEngine]] = {
    "exa": lambda url, key: Exa(key, f"{url}/exa"),
    "tavily": lambda url, key: Tavily(key, f"{url}/tavily"),
    "brave": lambda url, key: Brave(key, f"{url}/brave"),
    "searxng": lambda url, key: Searxng(f"{url}/searxng"),
}
EVERYTHING = SearchRequest(
    "tea",
    limit=7,
    category="news",
    with_text=True,
    include_domains=("example.org", "example.com"),
    exclude_domains=("blog.example.org",),
    start=date(2026, 1, 1),
    end=date(2026, 1, 31),
    country="de",
)


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with search_services.running() as emulator:
        yield emulator


@pytest.fixture
def service(running: Emulator) -> Emulator:
    running.asked.clear()
    running.fails = None
    return running


@pytest.fixture(params=ENGINES)
def engine(service: Emulator, request: pytest.FixtureRequest) -> SearchEngine:
    return ENGINES[request.param](service.url, KEY)


async def test_pages_come_in_order_and_nothing_else_does(engine: SearchEngine) -> None:
    results = await found(engine, SearchRequest("tea"))
    assert [result.url for result in results] == [
        *("https://example.org/tea", "https://blog.example.org/black", "https://example.com/coffee")
    ]
    assert results[0].title.startswith("Tea")
    assert "<strong>" not in results[0].title and "&amp;" not in results[0].title
    assert "about tea" in results[0].snippet
    assert results[0].text == ""


async def test_the_limit_and_the_domains_hold_whatever_the_service_does(engine: SearchEngine) -> None:
    assert len(await found(engine, SearchRequest("tea", limit=2))) == 2
    results = await found(engine, SearchRequest("tea", include_domains=("example.org",)))
    assert [result.title[:3] for result in results] == ["Tea", "Bla"]
    results = await found(engine, SearchRequest("tea", exclude_domains=("example.org",)))
    assert [result.title[:3] for result in results] == ["Cof"]


async def test_texts_are_cut_to_what_a_model_can_read(engine: SearchEngine) -> None:
    results = await found(engine, SearchRequest("tea", with_text=True))
    if "include_text" in engine.ignored(SearchRequest("tea", with_text=True)):
        assert {result.text for result in results} == {""}
    else:
        assert results[0].text == "All about tea."
        assert len(results[1].text) == 10_000


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, InvalidArgument), (403, InvalidArgument), (422, InvalidArgument), (429, Unavailable), (503, Unavailable)],
)
async def test_failures_are_told_without_the_key(
    service: Emulator, engine: SearchEngine, status: int, kind: type[ProjectError]
) -> None:
    service.fails = status
    with pytest.raises(kind, match=f"status {status}") as failure:
        await found(engine, SearchRequest("tea"))
    assert KEY not in str(failure.value) and "secret" not in str(failure.value)
    assert KEY not in repr(engine)


@pytest.mark.parametrize("answer", ["garbage", "list"])
async def test_answers_of_another_shape_are_no_results(service: Emulator, engine: SearchEngine, answer: str) -> None:
    service.fails = answer
    if answer == "list":
        assert await found(engine, SearchRequest("tea")) == []
    else:
        with pytest.raises(Unavailable, match="no JSON"):
            await found(engine, SearchRequest("tea"))


@pytest.mark.parametrize("name", ENGINES)
async def test_nobody_there_is_told(name: str) -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        await found(ENGINES[name]("http://127.0.0.1:9", KEY), SearchRequest("tea"))


async def test_what_exa_is_asked(service: Emulator) -> None:
    engine = ENGINES["exa"](service.url, KEY)
    await engine.ask(EVERYTHING)
    assert service.asked == [
        {
            "query": "tea",
            "numResults": 7,
            "type": "auto",
            "contents": {"highlights": True, "text": {"maxCharacters": 10_000}},
            "category": "news",
            "includeDomains": ["example.org", "example.com"],
            "excludeDomains": ["blog.example.org"],
            "startPublishedDate": "2026-01-01T00:00:00.000Z",
            "endPublishedDate": "2026-01-31T23:59:59.999Z",
            "userLocation": "DE",
        }
    ]
    assert engine.ignored(EVERYTHING) == ()


async def test_what_tavily_is_asked(service: Emulator) -> None:
    engine = ENGINES["tavily"](service.url, KEY)
    await engine.ask(EVERYTHING)
    assert service.asked == [
        {
            "query": "tea",
            "max_results": 7,
            "topic": "news",
            "include_raw_content": "markdown",
            "include_domains": ["example.org", "example.com"],
            "exclude_domains": ["blog.example.org"],
            "start_date": "2026-01-01",
            "end_date": "2026-01-31",
        }
    ]
    assert engine.ignored(EVERYTHING) == ("user_location",)


async def test_what_brave_is_asked(service: Emulator) -> None:
    engine = ENGINES["brave"](service.url, KEY)
    await engine.ask(EVERYTHING)
    (asked,) = service.asked
    assert asked["q"] == "tea (site:example.org OR site:example.com) -site:blog.example.org"
    assert (asked["freshness"], asked["country"], asked["count"]) == ("2026-01-01to2026-01-31", "DE", "7")
    assert engine.ignored(EVERYTHING) == ("category", "include_text")


async def test_what_searxng_is_asked(service: Emulator) -> None:
    engine = ENGINES["searxng"](service.url, KEY)
    await engine.ask(EVERYTHING)
    (asked,) = service.asked
    assert asked["categories"] == "news"
    assert engine.ignored(EVERYTHING) == (
        *("include_text", "start_published_date", "end_published_date", "user_location"),
    )


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, None),
        ({"searxng": "http://searxng:8080"}, Searxng),
        ({"brave": "k", "searxng": "http://searxng:8080"}, Brave),
        ({"tavily": "k", "brave": "k"}, Tavily),
        ({"exa": "k", "tavily": "k"}, Exa),
    ],
)
def test_the_first_that_is_set_up_is_asked(given: dict[str, str], kind: type | None) -> None:
    keys = {"exa": None, "tavily": None, "brave": None, "searxng": None, **given}
    engine = search_engine(**keys)
    assert (engine is None) if kind is None else isinstance(engine, kind)
