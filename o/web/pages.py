"""Web pages as text: fetched where the guard lets us, read by a process that may be lost."""

import asyncio
import json
import sys
from dataclasses import dataclass

from o.errors import InvalidArgument
from o.guard.fetch import Fetched, fetch
from o.guard.policy import Guard

KINDS = (
    *("text/html", "application/xhtml+xml", "text/plain", "text/markdown", "text/csv", "text/xml"),
    *("application/json", "application/xml", "application/rss+xml", "application/atom+xml"),
)
_BYTES = 5 * 2**20
_LONGEST = 200_000  # characters; whoever shows the text cuts it to its own measure
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says. `text` is Markdown where the page was HTML; `length` counts the characters before a cut."""

    url: str
    title: str
    text: str
    length: int


class Pages:
    """The pages of the web.

    Args:
        guard: which addresses a URL may lead to.
        at_once: most pages that are read at one time; each may take half a gigabyte.
        timeout: seconds for fetching one.
    """

    def __init__(self, guard: Guard, *, at_once: int = 4, timeout: float = 30.0) -> None:
        self._guard = guard
        self._places = asyncio.Semaphore(at_once)
        self._timeout = timeout

    async def page(self, url: str) -> Page:
        """Fetch a page and read it.

        Raises:
            InvalidArgument: the URL must be another: denied, not found, too large, no text, or too costly to read.
            Unavailable: the server is slow, broken or away.
        """
        fetched = await fetch(self._guard, url, limit=_BYTES, kinds=KINDS, timeout=self._timeout)
        async with self._places:
            return await read(fetched)


async def read(fetched: Fetched, *, patience: float = _PATIENCE) -> Page:
    """The text of what was fetched.

    Args:
        patience: seconds the reading may take.

    Raises:
        InvalidArgument: it cannot be read within the bounds.
    """
    asked = {"kind": fetched.media_type, "charset": fetched.charset, "url": fetched.url, "longest": _LONGEST}
    reader = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "o.web.page_program"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # it would repeat the page
        env={},
        cwd="/",
    )
    try:
        async with asyncio.timeout(patience):
            written, _ = await reader.communicate(json.dumps(asked).encode() + b"\n" + fetched.content)
    except TimeoutError:
        raise InvalidArgument("the page takes too long to read") from None
    finally:
        if reader.returncode is None:
            reader.kill()
            await reader.wait()
    if reader.returncode != 0:
        raise InvalidArgument("the page takes too much time or memory to read")
    document = json.loads(written)
    return Page(fetched.url, document["title"], document["text"], document["length"])
