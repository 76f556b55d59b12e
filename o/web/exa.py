"""Exa (docs.exa.ai, Search)."""

from o.domain.json import JsonObject
from o.web.search import SearchRequest, SearchResult, listed, words
from o.web.service import Service

_TEXT = 10_000  # characters of one page; more are paid for and cut


class Exa:
    """Searches by meaning; knows every wish the tool has."""

    name = "Exa"

    def __init__(self, key: str, url: str = "https://api.exa.ai") -> None:
        self._service = Service(self.name, url, "EXA_API_KEY", {"x-api-key": key})

    def ignored(self, request: SearchRequest) -> tuple[str, ...]:
        return ()

    async def ask(self, request: SearchRequest) -> list[SearchResult]:
        contents: JsonObject = {"highlights": True}
        if request.with_text:
            contents["text"] = {"maxCharacters": _TEXT}
        wishes: JsonObject = {
            "category": request.category,
            "includeDomains": list(request.include_domains),
            "excludeDomains": list(request.exclude_domains),
            "startPublishedDate": f"{request.start}T00:00:00.000Z" if request.start else None,
            "endPublishedDate": f"{request.end}T23:59:59.999Z" if request.end else None,
            "userLocation": request.country.upper() if request.country else None,
        }
        body = {"query": request.query, "numResults": request.limit, "type": "auto", "contents": contents}
        answer = await self._service.answer(
            "/search", body=body | {name: wish for name, wish in wishes.items() if wish}
        )
        return [
            SearchResult(
                words(each, "url"),
                words(each, "title"),
                _highlights(each),
                words(each, "publishedDate"),
                words(each, "text"),
            )
            for each in listed(answer, "results")
        ]


def _highlights(result: JsonObject) -> str:
    said = result.get("highlights")
    return " … ".join(each for each in said if isinstance(each, str)) if isinstance(said, list) else ""
