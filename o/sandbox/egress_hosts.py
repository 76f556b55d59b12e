"""Which hosts a tool may reach: its list of names, read once and asked for every connection."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

import httpx2

from o.errors import InvalidArgument

_DEFAULT_PORTS = frozenset({80, 443})
_ENTRY = re.compile(r"(?P<wild>\*\.)?(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:/@*\[\]?#]+)(:(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class HostRule:
    """One entry of a tool's `network`.

    Attributes:
        host: a name or an address, in the form in which hosts are compared.
        below: whether it stands for every name below `host`, but not for `host` itself.
        port: None means 80 and 443.
    """

    host: str
    below: bool = False
    port: int | None = None

    @classmethod
    def parse(cls, entry: str) -> "HostRule":
        """Read `api.example.com`, `*.example.com` or either with `:port`.

        Raises:
            InvalidArgument: it is none of these; says what to write.
        """
        found = _ENTRY.fullmatch(entry.strip())
        host = comparable(found["host"]) if found else None
        port = int(found["port"]) if found and found["port"] else None
        if found is None or host is None or (port is not None and not 0 < port < 65536):
            raise InvalidArgument(
                f"network: {entry[:80]!r} is no host: write api.example.com, *.example.com or host:port"
            )
        below = found["wild"] is not None
        if below and (_is_address(host) or "." not in host):
            raise InvalidArgument(f"network: {entry[:80]!r} is too wide: write *.example.com or the exact names")
        return cls(host, below, port)

    def allows(self, host: str, port: int) -> bool:
        """Whether this entry opens `host`, which is in its comparable form."""
        if port not in (_DEFAULT_PORTS if self.port is None else {self.port}):
            return False
        return host.endswith("." + self.host) if self.below else host == self.host


class Hosts:
    """The hosts of one call.

    Args:
        entries: see `HostRule.parse`.
        any_public: every host on the default ports; where it leads is still judged after it is resolved.
    """

    def __init__(self, entries: Iterable[str], *, any_public: bool = False) -> None:
        self._rules = tuple(HostRule.parse(entry) for entry in entries)
        self._any_public = any_public

    def allow(self, host: str, port: int) -> bool:
        """Whether a tool may ask for this host at all."""
        if self._any_public and port in _DEFAULT_PORTS:
            return True
        return any(rule.allows(host, port) for rule in self._rules)


def comparable(host: str) -> str | None:
    """A host as hosts are compared: lower case, punycode, no dot at the end, addresses in their one form.

    None if no library would read it as a host.
    """
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        name = httpx2.URL(scheme="http", host=host).raw_host.decode("ascii")
    except (httpx2.InvalidURL, ValueError):
        return None
    return name.lower().removesuffix(".") or None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
