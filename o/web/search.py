"""Searching the web, whoever does it: what is asked, what comes back, and what no service may get wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol
from urllib.parse import urlsplit

from o.domain.base_specs.builtin import Category
from o.domain.json import JsonObject

# Characters of what is shown of one result, and of the texts of all.
_TITLE, _SNIPPET, _TEXTS, _LEAST_TEXT = 300, 1000, 30_000, 1000


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What to look for; None means any.

    Attributes:
        limit: most results, ≥ 1.
        include_domains: results are of these or their subdomains only; `exclude_domains`: of none of these.
        start: earliest day of publication; `end`: the latest.
        country: two letters, lower case: where to search from.
    """

    query: str
    limit: int = 10
    category: Category | None = None
    with_text: bool = False
    include_domains: tuple[str, ...] = ()
    exclude_domains: tuple[str, ...] = ()
    start: date | None = None
    end: date | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One page that was found; `published` as the service wrote it."""

    url: str
    title: str
    snippet: str = ""
    published: str = ""
    text: str = ""

    def document(self) -> JsonObject:
        """As a model reads it: what is empty is left out."""
        named = {
            "title": self.title,
            "url": self.url,
            "published": self.published,
            "snippet": self.snippet,
            "text": self.text,
        }
        return {name: value for name, value in named.items() if value}


class SearchEngine(Protocol):
    """One service that searches the web."""

    @property
    def name(self) -> str: ...

    def ignored(self, request: SearchRequest) -> tuple[str, ...]:
        """Which wishes of a request the service has no way to be told, by the names of the tool's arguments."""
        ...

    async def ask(self, request: SearchRequest) -> list[SearchResult]:
        """Ask once.

        Raises:
            InvalidArgument: the service refuses the key or the request. Unavailable: it is slow, broken or busy.
        """
        ...


async def found(engine: SearchEngine, request: SearchRequest) -> list[SearchResult]:
    """What an engine finds, cut to measure; domains are looked at here again, for some engines take them as a hint."""
    results = [
        result
        for result in await engine.ask(request)
        if _wanted(result.url, request.include_domains, request.exclude_domains)
    ][: request.limit]
    longest = max(_LEAST_TEXT, _TEXTS // max(1, len(results)))
    return [
        replace(
            result,
            title=result.title[:_TITLE],
            snippet=result.snippet[:_SNIPPET],
            published=result.published[:40],
            text=result.text[:longest] if request.with_text else "",
        )
        for result in results
    ]


def words(document: JsonObject, name: str) -> str:
    """A text of a service's answer; empty where there is none."""
    value = document.get(name)
    return value.replace("\0", "").strip() if isinstance(value, str) else ""


def listed(document: object, *path: str) -> list[JsonObject]:
    """The objects of a list within a service's answer; none where it is not there."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return [each for each in document if isinstance(each, dict)] if isinstance(document, list) else []


def with_sites(request: SearchRequest) -> str:
    """The query with its domains in the signs that most engines know."""
    only = " OR ".join(f"site:{domain}" for domain in request.include_domains)
    without = " ".join(f"-site:{domain}" for domain in request.exclude_domains)
    return " ".join(part for part in (request.query, f"({only})" if " OR " in only else only, without) if part)


def _wanted(url: str, included: Sequence[str], excluded: Sequence[str]) -> bool:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower().rstrip(".")
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not host:
        return False
    return (not included or _within(host, included)) and not _within(host, excluded)


def _within(host: str, domains: Sequence[str]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
