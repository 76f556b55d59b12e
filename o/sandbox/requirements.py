"""What tools ask to have installed: checked, in one form, and the way out that installing them takes."""

import hashlib
import json
import platform
import sysconfig
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager

import httpx2
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from o.errors import InvalidArgument
from o.sandbox.base import MIB, Egress
from o.sandbox.egress import EgressProxy

_MOST = 50
_LONGEST = 200  # characters
_MOST_FETCHED = 4096 * MIB


def normalised(requirements: Iterable[str]) -> tuple[str, ...]:
    """PEP 508 requirements in one form and order, each once; what they mean is unchanged.

    Raises:
        InvalidArgument: one cannot be read, or names a URL or a path instead of a package of the index.
    """
    given = list(requirements)
    if len(given) > _MOST:
        raise InvalidArgument(f"pip_requirements: {len(given)} are more than the {_MOST} a tool may have")
    return tuple(sorted({_normalised(text) for text in given}))


def refuse_packages(packages: Iterable[str]) -> None:
    """npm's packages are not installed: there are no locked, script-free builds of them here.

    Raises:
        InvalidArgument: there are some.
    """
    if names := list(packages):
        raise InvalidArgument(
            f"npm_requirements: {', '.join(names)[:200]} cannot be installed: TypeScript tools have Node's own modules "
            "and no packages; take them out, or write the tool in Python with pip_requirements"
        )


def key_of(requirements: tuple[str, ...], index: str | None) -> str:
    """The name under which what these come to is kept: another Python, machine or index is another name."""
    libc = "-".join(platform.libc_ver())
    about = [platform.python_implementation(), sysconfig.get_python_version(), sysconfig.get_platform(), libc, index]
    return hashlib.sha256(json.dumps([about, requirements]).encode()).hexdigest()[:40]


def build_egress(proxy: EgressProxy, index: str | None) -> Callable[[], AbstractAsyncContextManager[Egress]]:
    """Opens the way out of a build: to any public host, since indexes send their clients on to others for the files.

    Args:
        index: URL of the operator's own index, whose host is open on its own port too.

    Raises:
        InvalidArgument: the index is no http URL with a host.
    """
    hosts: list[str] = []
    if index is not None:
        try:
            url = httpx2.URL(index)
        except (httpx2.InvalidURL, ValueError):
            raise InvalidArgument("O_PACKAGE_INDEX_URL is no URL: write it as https://host/simple") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise InvalidArgument("O_PACKAGE_INDEX_URL is no URL: write it as https://host/simple")
        host = f"[{url.host}]" if ":" in url.host else url.host
        hosts.append(f"{host}:{url.port or (443 if url.scheme == 'https' else 80)}")
    return lambda: proxy.grant(hosts, allow_any_public=True, transferred=_MOST_FETCHED)


def _normalised(text: str) -> str:
    try:
        requirement = Requirement(text if len(text) <= _LONGEST else "")
    except InvalidRequirement:
        raise InvalidArgument(
            f"pip_requirements: {text[:80]!r} is no requirement: write a name, or a name and a version like httpx==0.28"
        ) from None
    if requirement.url is not None:
        raise InvalidArgument(
            f"pip_requirements: {requirement.name} names a URL or a path, which is not installed: "
            "name a package of the index and its version"
        )
    extras = f"[{','.join(sorted(map(canonicalize_name, requirement.extras)))}]" if requirement.extras else ""
    marker = f"; {requirement.marker}" if requirement.marker else ""
    return f"{canonicalize_name(requirement.name)}{extras}{requirement.specifier}{marker}"
