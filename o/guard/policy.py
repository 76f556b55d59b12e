"""Which addresses O connects to when a user named them.

A provider's base URL, an image's URL: whoever may write one could otherwise make the server speak to its own machine,
to the network around it, or to the cloud's metadata service. Only addresses that the whole internet can reach are let
through, and what the operator opens with O_ALLOWED_HOSTS.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx2

from o.errors import InvalidArgument

Address = IPv4Address | IPv6Address
Allowed = IPv4Network | IPv6Network | str
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

# What the IANA special-purpose registries (RFC 6890 and its successors) call not globally reachable, and what is no
# address of one host. Spelt out because `is_global` knows the registry of the day its Python was released: 3.11.7 takes
# 192.0.0.192 (Oracle's metadata service) and every multicast group for global.
_SPECIAL: tuple[tuple[IPv4Network | IPv6Network, str], ...] = tuple(
    (ip_network(block), kind)
    for kind, blocks in {
        "a loopback address": "127.0.0.0/8 ::1/128",
        "a private address": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10",
        "a link-local address": "169.254.0.0/16 fe80::/10",
        "a carrier's private address": "100.64.0.0/10",
        "an unspecified address": "0.0.0.0/8 ::/128",
        "a multicast address": "224.0.0.0/4 ff00::/8",
        # Azure's own host agent has a public address, reached from its machines only
        # (learn.microsoft.com, "What is IP address 168.63.129.16?").
        "a cloud's internal address": "168.63.129.16/32",
        "a reserved address": "192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 "
        "240.0.0.0/4 2001::/23 2001:db8::/32 2002::/16 3fff::/20",
    }.items()
    for block in blocks.split()
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291 §2.4 and IANA: nothing outside is given out
_MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291 §2.5.5.2
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
# What C libraries read as an IPv4 address: 2130706433, 0x7f.1, 0177.0.0.1 (WHATWG URL, "ends in a number checker").
_ENDS_IN_NUMBER = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
_FIX = "whoever runs O can allow it with O_ALLOWED_HOSTS"


class Denied(InvalidArgument):
    """An address that O does not connect to because a user says so."""


def parse_allowed(text: str) -> tuple[Allowed, ...]:
    """Read O_ALLOWED_HOSTS: networks, addresses and exact host names, with commas between them.

    Raises:
        ValueError: names the entry that is none of these, and what to write instead.
    """
    return tuple(_allowed(entry) for entry in map(str.strip, text.split(",")) if entry)


async def resolve_host(host: str, port: int) -> list[str]:
    """The addresses of a host name, in the order in which the system would try them.

    Raises:
        OSError: there is no such name, or nobody who could tell.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Guard:
    """Tells what may be connected to.

    A network-specific NAT64 prefix (RFC 6052 §2.2) looks like any public network; an operator who has one must keep it
    from leading inwards.

    Args:
        allowed: what is let through besides public addresses. A host name is trusted wherever it leads.
        resolve: finds the addresses of a name.
    """

    def __init__(self, allowed: Iterable[Allowed] = (), resolve: Resolver = resolve_host) -> None:
        entries = tuple(allowed)
        self._networks = tuple(entry for entry in entries if not isinstance(entry, str))
        self._names = frozenset(entry for entry in entries if isinstance(entry, str))
        self._resolve = resolve

    def check(self, url: str) -> None:
        """Refuse a URL that can never be connected to; for routes, before anything is stored. Resolves no name.

        Raises:
            Denied: the message says what is wrong and never repeats more of the URL than its host.
        """
        try:
            parsed = httpx2.URL(url)  # the reading of those who will connect, not another one
        except (httpx2.InvalidURL, ValueError):
            raise Denied("this is no URL: write it as https://host or http://host:port") from None
        if parsed.scheme not in ("http", "https") or not parsed.raw_host:
            raise Denied("only http and https are spoken here: write the URL as https://host or http://host:port")
        if parsed.userinfo:
            raise Denied("a URL must not hold a user name or a password: leave out what stands before the @")
        host = _host(parsed.raw_host.decode("ascii"))
        _check_port(parsed.port)
        if isinstance(host, str):
            loopback = host == "localhost" or host.endswith(".localhost")  # RFC 6761 §6.3
            if loopback and not self._open(host, [IPv4Address("127.0.0.1"), IPv6Address("::1")]):
                raise Denied(f"{host} is a loopback address; {_FIX}")
        elif kind := self._kind(host):
            raise Denied(f"{host} is {kind}; {_FIX}")

    async def addresses(self, host: str, port: int) -> list[str]:
        """Resolve a host, once, and give those of its addresses that may be connected to.

        Whoever connects must connect to these and not to the name: asked again, the name may lead elsewhere.

        Raises:
            Denied: none of them may.
            OSError: the name cannot be resolved.
        """
        known = _host(host)
        _check_port(port)
        if not isinstance(known, str):
            if kind := self._kind(known):
                raise Denied(f"{known} is {kind}; {_FIX}")
            return [str(known)]
        found = [ip_address(address) for address in await self._resolve(known, port)]
        if not found:
            raise OSError("the name has no address")
        if opened := self._open(known, found):
            return [str(address) for address in opened]
        raise Denied(f"{known} leads to {self._kind(found[0])}; {_FIX}")

    def _open(self, name: str, addresses: Iterable[Address]) -> list[Address]:
        return [address for address in addresses if name in self._names or not self._kind(address)]

    def _kind(self, address: Address) -> str | None:
        """What keeps an address from being connected to; None if nothing does."""
        meant = _meant(address)
        if any(meant in network for network in self._networks):
            return None
        for network, kind in _SPECIAL:
            if meant in network:
                return kind
        # `is_global` for blocks younger than the list above.
        if not meant.is_global or (meant.version == 6 and meant not in _GLOBAL_UNICAST):
            return "a reserved address"
        return None


def _meant(address: Address) -> Address:
    """The IPv4 address that is reached through an IPv6 form of it, else the address itself."""
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _host(text: str) -> Address | str:
    """An address, or a host name in the one form in which names are compared."""
    name = text.lower().removesuffix(".")
    try:
        return ip_address(name)
    except ValueError:
        pass
    if not _NAME.fullmatch(name):
        raise Denied("this is no host name: it has letters, digits, dots and hyphens only")
    if _ENDS_IN_NUMBER.fullmatch(name):
        raise Denied(f"{name} is no plain address: write four decimal numbers without leading zeros, like 192.0.2.1")
    return name


def _check_port(port: int | None) -> None:
    if port is not None and not 0 < port < 65536:
        raise Denied("a port is a number from 1 to 65535")


def _allowed(entry: str) -> Allowed:
    try:
        network = ip_network(entry.strip("[]"))
    except ValueError:
        pass
    else:
        if isinstance(network, IPv6Network) and (network.subnet_of(_MAPPED) or network.subnet_of(_NAT64)):
            raise ValueError(f"{entry}: write the IPv4 network that it stands for")
        return network
    try:
        wider = ip_network(entry, strict=False)
    except ValueError:
        pass
    else:
        raise ValueError(f"{entry} has bits set outside its mask: write {wider}")
    try:
        host = _host(httpx2.URL(scheme="http", host=entry).raw_host.decode("ascii"))
    except (httpx2.InvalidURL, Denied, ValueError):
        host = None
    if not isinstance(host, str):
        raise ValueError(f"{entry} is neither a network (10.0.0.0/8), an address, nor a host name (vllm.internal)")
    return host
