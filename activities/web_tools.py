"""The base tools that look at the web: one page, or a search."""

import json
from datetime import date
from typing import Annotated

from pydantic import Field

from activities.tool_arguments import Arguments, Text
from activities.tools import NativeTool, ToolContext
from o.domain.base_specs.builtin import Category
from o.domain.json import JsonObject
from o.errors import InvalidArgument, Unavailable
from o.guard.policy import Guard
from o.web.pages import Pages
from o.web.search import SearchEngine, SearchRequest, found

_NO_ENGINE = (
    "web search is not set up here: whoever runs O can set one of EXA_API_KEY, TAVILY_API_KEY, BRAVE_API_KEY "
    "(a key of that service), or O_SEARXNG_URL (a SearXNG server of their own)"
)

_Domain = Annotated[Text, Field(max_length=253, pattern=r"^(https?://)?[^\s/]+/?$")]


class _Page(Arguments):
    url: Text = Field(min_length=1, max_length=4096)


class _Asked(Arguments):
    query: Text = Field(min_length=1, max_length=2000)
    num_results: int = Field(default=10, ge=1, le=100)
    category: Category | None = None
    include_text: bool = False
    include_domains: list[_Domain] = Field(default=[], max_length=50)
    exclude_domains: list[_Domain] = Field(default=[], max_length=50)
    start_published_date: Text | None = None
    end_published_date: Text | None = None
    user_location: Text | None = Field(default=None, pattern=r"^[A-Za-z]{2}$")


def web_tools(guard: Guard, engine: SearchEngine | None = None) -> dict[str, NativeTool]:
    """The tools `fetch_webpage` and `web_search`, by name.

    Args:
        guard: which addresses a page's URL may lead to.
        engine: what searches the web; None if nothing does, which the tool then says.
    """
    pages = Pages(guard)

    async def fetch_webpage(context: ToolContext, arguments: JsonObject) -> str:
        """Read one page; returns its title, its address and its text."""
        asked = _Page.read(arguments)
        try:
            page = await pages.page(asked.url)
        except (InvalidArgument, Unavailable) as error:
            raise ValueError(error.message) from error
        title = f"# {page.title}\n" if page.title else ""
        return f"{title}{page.url}\n\n{page.text or '(The page has no text.)'}"

    async def web_search(context: ToolContext, arguments: JsonObject) -> str:
        """Search the web; returns the results as JSON."""
        if engine is None:
            raise ValueError(_NO_ENGINE)
        asked = _Asked.read(arguments)
        request = SearchRequest(
            query=asked.query,
            limit=asked.num_results,
            category=asked.category,
            with_text=asked.include_text,
            include_domains=tuple(map(_host, asked.include_domains)),
            exclude_domains=tuple(map(_host, asked.exclude_domains)),
            start=_day(asked.start_published_date, "start_published_date"),
            end=_day(asked.end_published_date, "end_published_date"),
            country=asked.user_location.lower() if asked.user_location else None,
        )
        try:
            results = await found(engine, request)
        except (InvalidArgument, Unavailable) as error:
            raise ValueError(error.message) from error
        document = {
            "query": asked.query,
            "engine": engine.name,
            "results": [result.document() for result in results],
        }
        if ignored := engine.ignored(request):
            document["note"] = f"{engine.name} does not know, and so did not look at: {', '.join(ignored)}"
        return json.dumps(document, ensure_ascii=False)

    return {"fetch_webpage": fetch_webpage, "web_search": web_search}


def _host(domain: str) -> str:
    """A domain as it is compared: models write it as they see it."""
    return domain.lower().removeprefix("https://").removeprefix("http://").rstrip("/").removeprefix("www.")


def _day(text: str | None, name: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise ValueError(f"{name} must be a date in ISO 8601, like 2026-01-31") from None
