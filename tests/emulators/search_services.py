"""Services that search the web, as their documentation has them; all over one list of pages.

Exa: docs.exa.ai/reference/search. Tavily: docs.tavily.com, Search. Brave: api-dashboard.search.brave.com, Web search.
SearXNG: docs.searxng.org/dev/search_api.html.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.emulators.serving import serving

KEY = "search-key-8c1f"

PAGES = [
    {"url": "https://example.org/tea", "title": "Tea", "text": "All about tea.", "day": "2026-01-02"},
    {"url": "https://blog.example.org/black", "title": "Black tea", "text": "Leaves. " * 3000, "day": "2026-01-03"},
    {"url": "https://example.com/coffee", "title": "Coffee", "text": "No tea here.", "day": "2026-01-04"},
    {"url": "javascript:alert(1)", "title": "No page", "text": "", "day": ""},
]


@dataclass
class Emulator:
    """What it was asked, and how it shall fail: a status, or `garbage`."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    fails: int | str | None = None

    async def exa(self, request: Request) -> Response:
        body = await request.json()
        return self._answer(body, request.headers.get("x-api-key"), {"requestId": "1", "results": [
            {"id": page["url"], "url": page["url"], "title": page["title"], "publishedDate": page["day"],
             "highlights": ["about tea", "a cup"]} | ({"text": page["text"]} if "text" in body["contents"] else {})
            for page in PAGES
        ]})  # fmt: skip

    async def tavily(self, request: Request) -> Response:
        body = await request.json()
        assert 0 <= body["max_results"] <= 20
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self._answer(body, key, {"query": body["query"], "response_time": 1.0, "results": [
            {"url": page["url"], "title": page["title"], "content": "about tea", "score": 0.9,
             "raw_content": page["text"] if body.get("include_raw_content") else None}
            for page in PAGES
        ]})  # fmt: skip

    async def brave(self, request: Request) -> Response:
        params = dict(request.query_params)
        assert 1 <= int(params["count"]) <= 20
        return self._answer(params, request.headers.get("x-subscription-token"), {"type": "search", "web": {"results": [
            {"url": page["url"], "title": f"<strong>{page['title']}</strong> &amp; more", "description": "about tea",
             "page_age": page["day"]}
            for page in PAGES
        ]}})  # fmt: skip

    async def searxng(self, request: Request) -> Response:
        params = dict(request.query_params)
        assert params["format"] == "json"
        return self._answer(params, KEY, {"query": params["q"], "number_of_results": 0, "results": [
            {"url": page["url"], "title": page["title"], "content": "about tea", "publishedDate": None}
            for page in PAGES
        ]})  # fmt: skip

    def _answer(self, asked: dict[str, Any], key: str | None, document: dict[str, Any]) -> Response:
        self.asked.append(asked)
        if key != KEY:
            return JSONResponse({"error": f"no such key: {key}"}, 401)
        if isinstance(self.fails, int):
            return JSONResponse({"error": f"secret words {key}"}, self.fails)
        if self.fails == "garbage":
            return PlainTextResponse("<html>secret words")
        return JSONResponse([] if self.fails == "list" else document)


@contextmanager
def running() -> Iterator[Emulator]:
    """An emulator of all services in a thread, until the block ends; SearXNG is at `/searxng`."""
    emulator = Emulator()
    routes = [
        Route("/exa/search", emulator.exa, methods=["POST"]),
        Route("/tavily/search", emulator.tavily, methods=["POST"]),
        Route("/brave/res/v1/web/search", emulator.brave),
        Route("/searxng/search", emulator.searxng),
    ]
    with serving(Starlette(routes=routes)) as emulator.url:
        yield emulator
