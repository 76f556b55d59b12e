"""Which service searches the web: the first that is set up."""

from o.web.brave import Brave
from o.web.exa import Exa
from o.web.search import SearchEngine
from o.web.searxng import Searxng
from o.web.tavily import Tavily


def search_engine(
    *, exa: str | None, tavily: str | None, brave: str | None, searxng: str | None
) -> SearchEngine | None:
    """The engine to ask; None without any.

    Args:
        exa: key of that service; `tavily`, `brave` likewise.
        searxng: address of a server.
    """
    if exa:
        return Exa(exa)
    if tavily:
        return Tavily(tavily)
    if brave:
        return Brave(brave)
    return Searxng(searxng) if searxng else None
