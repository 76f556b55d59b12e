"""The global `client` of tools that speak to O: the client library, loaded when it is first used."""

import importlib
from collections.abc import Mapping
from typing import Any

_KEY, _URL = "LETTA_API_KEY", "LETTA_BASE_URL"


class Client:
    """Becomes `letta_client.Letta` with the first attribute asked of it: few calls that may use it do."""

    def __init__(self, key: str, url: str) -> None:
        self._given, self._made = (key, url), None

    def __getattr__(self, name: str) -> Any:
        """Raises ImportError where the library is not installed; AttributeError for what the library does not have."""
        if self._made is None:
            key, url = self._given
            self._made = importlib.import_module("letta_client").Letta(api_key=key, base_url=url)
        return getattr(self._made, name)

    def __repr__(self) -> str:
        return "<client of O>"  # the key is nothing to print


def of(source: str, environment: Mapping[str, str]) -> dict[str, Client]:
    """The names to put before a source that may want them; what it defines itself replaces them."""
    if "client" not in source or not environment.get(_KEY) or not environment.get(_URL):
        return {}
    return {"client": Client(environment[_KEY], environment[_URL])}
