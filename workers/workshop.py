"""What a worker runs tools with: the sandbox, its way out, the web, and the way to MCP servers."""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil
from pydantic import SecretStr

from activities.code_tools import code_tools
from activities.custom_tools import CustomTools
from activities.tools import NativeTool
from activities.web_tools import web_tools
from o.guard.policy import Guard
from o.keyring import Keyring
from o.mcp.base import Dialer
from o.sandbox.client import SocketSandbox
from o.sandbox.egress import EgressProxy
from o.sandbox.requirements import build_egress
from o.settings import Settings
from o.tool_key import PURPOSE
from o.web.engines import search_engine

_PROXY = "egress-"


@dataclass(frozen=True, slots=True)
class Workshop:
    """Tools in O's own code that need more than the store, and what runs the tools of others."""

    tools: Mapping[str, NativeTool]
    custom: CustomTools
    dialer: Dialer


@asynccontextmanager
async def open_workshop(
    settings: Settings, guard: Guard, keyring: Keyring, now: Callable[[], datetime]
) -> AsyncIterator[Workshop]:
    """Everything that runs tools, closed at the end. The executor need not be there yet: it is looked for by each call.

    Raises:
        SocketUnsafe: others may enter the folder of the proxy's socket.
    """
    ours = (settings.port, settings.temporal_port, settings.ui_port)
    async with EgressProxy(guard, _proxy_socket(settings.sandbox_socket.parent), own_ports=ours) as proxy:
        index = settings.package_index_url
        sandbox = SocketSandbox(settings.sandbox_socket, build_egress=build_egress(proxy, index), index=index)
        most = settings.sandbox_limits(settings.tool_timeout)
        engine = search_engine(
            exa=_secret(settings.exa_api_key),
            tavily=_secret(settings.tavily_api_key),
            brave=_secret(settings.brave_api_key),
            searxng=settings.searxng_url,
        )
        yield Workshop(
            tools={**code_tools(sandbox, most), **web_tools(guard, engine)},
            custom=CustomTools(
                sandbox, proxy, most, api_url=settings.base_url, key_secret=keyring.derive(PURPOSE), now=now
            ),
            dialer=Dialer(guard, sandbox, lambda hosts: proxy.grant(hosts)),
        )


def _proxy_socket(run: Path) -> Path:
    """A place for this process's proxy, in a folder of its own; those of processes that died are cleared away."""
    for left in run.glob(f"{_PROXY}*"):
        number = left.name.removeprefix(_PROXY)
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    return run / f"{_PROXY}{os.getpid()}" / "sock"


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value().strip() if value is not None else None
