"""SearXNG, a search server people run themselves (docs.searxng.org, Search API)."""

from o.web.search import SearchRequest, SearchResult, listed, with_sites, words
from o.web.service import Service

_CATEGORIES = {"news": "news", "research paper": "science", "github": "it"}


class Searxng:
    """Asks other engines; its JSON must be allowed in its `search.formats`."""

    name = "SearXNG"

    def __init__(self, url: str) -> None:
        self._service = Service(self.name, url, "O_SEARXNG_URL, and allow the format json there")

    def ignored(self, request: SearchRequest) -> tuple[str, ...]:
        wishes = {
            "category": request.category and request.category not in _CATEGORIES,
            "include_text": request.with_text,
            "start_published_date": request.start,
            "end_published_date": request.end,
            "user_location": request.country,
        }
        return tuple(name for name, wish in wishes.items() if wish)

    async def ask(self, request: SearchRequest) -> list[SearchResult]:
        params: dict[str, str | int] = {
            "q": with_sites(request),
            "format": "json",
            "categories": _CATEGORIES.get(request.category or "", "general"),
        }
        answer = await self._service.answer("/search", params=params)
        return [
            SearchResult(words(each, "url"), words(each, "title"), words(each, "content"), words(each, "publishedDate"))
            for each in listed(answer, "results")
        ]
