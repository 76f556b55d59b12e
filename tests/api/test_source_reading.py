"""Long sources of tools are read beside the event loop, and one at a time."""

import ast
import threading

import httpx
import pytest

from api.source_reading import reading
from o.domain import tool_functions, tool_source

SHORT = """
def add(first: int) -> int:
    '''Add one.

    Args:
        first: The number.
    '''
    return first + 1
"""


async def test_a_long_source_is_read_in_another_thread() -> None:
    here = threading.get_ident()
    assert await reading("x = 1\n", threading.get_ident) == here
    assert await reading("x = 1\n" * 100_000, threading.get_ident) != here


async def test_routes_read_long_sources_beside_the_loop(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def seen(source: str, **more: object) -> ast.Module:
        threads.append(threading.get_ident())
        return ast.parse(source)

    for module in (tool_source, tool_functions):
        monkeypatch.setattr(module, "parse", seen)
    tool = (await http.post("/v1/tools/", json={"source_code": SHORT})).json()
    assert set(threads) == {threading.get_ident()}
    threads.clear()
    long = "# long\n" * 10_000 + SHORT
    for method, path, body in (
        ("POST", "/v1/tools/", {"source_code": long}),
        ("POST", "/v1/tools/generate-schema", {"code": long}),
        ("PATCH", f"/v1/tools/{tool['id']}", {"source_code": long}),
    ):
        answer = await http.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
    assert len(threads) == 3
    assert threading.get_ident() not in threads
