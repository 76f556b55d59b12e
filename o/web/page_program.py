"""The programme that makes text of one page, in a process of its own: `python -I -m o.web.page_program`.

A page can be made to cost minutes and gigabytes to read. Here it costs this process, which bounds itself, holds no
secret, and is killed at a deadline by who started it.

On stdin: a line of JSON (kind, charset, url, longest), then the page. On stdout: one JSON document (title, text).
"""

import codecs
import json
import os
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urljoin

from bs4 import BeautifulSoup, Tag
from bs4.dammit import EncodingDetector
from markdownify import MarkdownConverter

_MEMORY = 512 * 2**20  # bytes of addresses
_SECONDS = 15
# Characters of HTML that are read: what stands before the bounds is better than nothing. Long articles have a million.
_MOST_HTML = 2_000_000
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

# What people do not read as the page's text: what they do not see might be meant for the model alone.
_UNREAD = (
    *(
        "head",
        "title",
        "script",
        "style",
        "noscript",
        "template",
        "svg",
        "math",
        "iframe",
        "object",
        "embed",
        "canvas",
        "audio",
    ),
    *("video", "dialog", "input", "button", "select", "textarea", "nav", "footer"),
)
_UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![\d.])", re.IGNORECASE)


def decoded(content: bytes, charset: str | None, *, html: bool) -> str:
    """The page's characters: by its mark, its header, its own word, else UTF-8, else what browsers take."""
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    declared = EncodingDetector.find_declared_encoding(content, is_html=html)
    for name in (marked, charset, declared, "utf-8"):
        with suppress(LookupError, UnicodeError):
            if name:
                return content.decode(name)
    return content.decode("windows-1252", errors="replace")


def page(text: str, url: str) -> tuple[str, str]:
    """The title of an HTML page, and its text as Markdown."""
    soup = BeautifulSoup(text, "html.parser")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for tag in list(_unread(soup)):
        if not tag.decomposed:
            tag.decompose()
    body = soup.find("main") or soup.find("article") or soup.body or soup
    for image in body.find_all("img"):
        image.replace_with(str(image.get("alt") or ""))
    for link in body.find_all("a", href=True):
        link["href"] = _absolute(url, str(link["href"]))
    try:
        converter = MarkdownConverter(
            heading_style="ATX", bullets="-", escape_asterisks=False, escape_underscores=False, escape_misc=False
        )
        made = str(converter.convert_soup(body))
    except RecursionError:
        made = body.get_text("\n", strip=True)
    lines = (line.rstrip() for line in made.split("\n"))
    return title, re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _unread(soup: BeautifulSoup) -> Iterator[Tag]:
    yield from soup.find_all(_UNREAD)
    for tag in soup.find_all(True):
        hidden = tag.get("hidden") is not None or tag.get("aria-hidden") == "true"
        if hidden or _UNSEEN.search(str(tag.get("style") or "")):
            yield tag


def _absolute(url: str, link: str) -> str:
    """Where a link leads; nowhere, if not to a page."""
    try:
        found = urljoin(url, link)
    except ValueError:
        return ""
    return found if found.startswith(("http://", "https://")) else ""


def main() -> None:
    for kind, most in ((resource.RLIMIT_CPU, _SECONDS), (resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # macOS has no bound of addresses
            resource.setrlimit(kind, (most, most))
    asked = json.loads(sys.stdin.buffer.readline())
    html = asked["kind"] in _HTML
    title, text = "", decoded(sys.stdin.buffer.read(), asked["charset"], html=html)
    if html:
        title, text = page(text[:_MOST_HTML], asked["url"])
    text = text.replace("\0", "\ufffd")
    document = {"title": title[:500].replace("\0", ""), "text": text[: asked["longest"]], "length": len(text)}
    sys.stdout.buffer.write(json.dumps(document).encode())
    sys.stdout.buffer.flush()
    os._exit(0)  # taking a deep tree apart takes as long as building it


if __name__ == "__main__":
    main()
