"""Brave Search (api-dashboard.search.brave.com, Web search)."""

import html
import re
from datetime import UTC, date, datetime

from o.web.search import SearchRequest, SearchResult, listed, with_sites, words
from o.web.service import Service

_MOST = 20
_TAG = re.compile(r"</?strong>")
_FIRST = date(1990, 1, 1)


class Brave:
    """Searches an index of its own; domains go into the query, and pages come without their text."""

    name = "Brave Search"

    def __init__(self, key: str, url: str = "https://api.search.brave.com") -> None:
        self._service = Service(self.name, url, "BRAVE_API_KEY", {"x-subscription-token": key})

    def ignored(self, request: SearchRequest) -> tuple[str, ...]:
        wishes = {"category": request.category, "include_text": request.with_text}
        return tuple(name for name, wish in wishes.items() if wish)

    async def ask(self, request: SearchRequest) -> list[SearchResult]:
        params: dict[str, str | int] = {
            "q": with_sites(request),
            "count": min(request.limit, _MOST),
            "result_filter": "web",
        }
        if request.start or request.end:
            params["freshness"] = f"{request.start or _FIRST}to{request.end or datetime.now(UTC).date()}"
        if request.country:
            params["country"] = request.country.upper()
        answer = await self._service.answer("/res/v1/web/search", params=params)
        return [
            SearchResult(
                words(each, "url"),
                _plain(words(each, "title")),
                _plain(words(each, "description")),
                words(each, "page_age"),
            )
            for each in listed(answer, "web", "results")
        ]


def _plain(text: str) -> str:
    """A text without the marks of the words that were found."""
    return html.unescape(_TAG.sub("", text))
