"""Tavily (docs.tavily.com, Search)."""

from o.domain.json import JsonObject
from o.web.search import SearchRequest, SearchResult, listed, words
from o.web.service import Service

_MOST = 20
_TOPICS = {"news": "news", "financial report": "finance"}


class Tavily:
    """Searches for models; of the categories it knows news and finance."""

    name = "Tavily"

    def __init__(self, key: str, url: str = "https://api.tavily.com") -> None:
        self._service = Service(self.name, url, "TAVILY_API_KEY", {"authorization": f"Bearer {key}"})

    def ignored(self, request: SearchRequest) -> tuple[str, ...]:
        category = ("category",) if request.category and request.category not in _TOPICS else ()
        return (*category, *(("user_location",) if request.country else ()))  # it wants the country's English name

    async def ask(self, request: SearchRequest) -> list[SearchResult]:
        wishes: JsonObject = {
            "topic": _TOPICS.get(request.category or ""),
            "include_raw_content": "markdown" if request.with_text else None,
            "include_domains": list(request.include_domains),
            "exclude_domains": list(request.exclude_domains),
            "start_date": str(request.start) if request.start else None,
            "end_date": str(request.end) if request.end else None,
        }
        body: JsonObject = {"query": request.query, "max_results": min(request.limit, _MOST)}
        answer = await self._service.answer(
            "/search", body=body | {name: wish for name, wish in wishes.items() if wish}
        )
        return [
            SearchResult(
                words(each, "url"),
                words(each, "title"),
                words(each, "content"),
                words(each, "published_date"),
                words(each, "raw_content"),
            )
            for each in listed(answer, "results")
        ]
