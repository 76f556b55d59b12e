"""A conversation with an MCP server: from connecting to closing, for one listing or one call, then forgotten.

The SDK is imported when the first conversation begins: it takes 30 MB and a second, which most workers never need.
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from o.domain.json import JsonObject
from o.domain.mcp_pins import Offered
from o.domain.messages import ImagePart, ReturnStatus
from o.guard.policy import Guard
from o.mcp.access import Access
from o.sandbox.base import Egress, Sandbox

Answer = TypeVar("Answer")

# What kept a call from an answer of its server; None when there was one.
Failure = Literal["timeout", "unreachable", "sign_in_needed", "paused", "refused"]

# A way out of the sandbox to these hosts, for as long as the block lasts.
OpenEgress = Callable[[tuple[str, ...]], AbstractAsyncContextManager[Egress | None]]


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds a server is waited for: until it has greeted us, has listed its tools, and has said goodbye."""

    connect: float = 10.0
    list: float = 15.0
    close: float = 1.0


@dataclass(frozen=True, slots=True)
class McpResult:
    """What the model reads of a call."""

    content: str
    status: ReturnStatus = "success"
    images: tuple[ImagePart, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a server offers. `cut` tells that it offers more than is taken."""

    tools: tuple[Offered, ...]
    cut: bool = False


class Conversation(Protocol):
    """An open connection. Everything may raise McpFailure; what a tool itself refuses is a result."""

    async def tools(self) -> Listing:
        """All that the server offers, up to a bound."""
        ...

    async def tool(self, name: str) -> Offered | None:
        """One tool as the server describes it now; None if it has none of that name."""
        ...

    async def call(self, name: str, arguments: JsonObject, *, deadline: float) -> McpResult:
        """Call a tool; `deadline` is in seconds from now."""
        ...


class Dialer:
    """Opens conversations: over HTTP through the guard, with programs in the sandbox alone.

    Args:
        sandbox: None where there is none: then no server of type stdio can be used.
        egress: the way out for programs; None leaves them without a network.
    """

    def __init__(
        self,
        guard: Guard,
        sandbox: Sandbox | None = None,
        egress: OpenEgress | None = None,
        patience: Patience = Patience(),
    ) -> None:
        self.guard = guard
        self.sandbox = sandbox
        self._egress = egress
        self.patience = patience

    def egress(self, hosts: tuple[str, ...]) -> AbstractAsyncContextManager[Egress | None]:
        """The way out for a program that may reach these hosts; None where it may reach none, or nobody has one."""
        return self._egress(hosts) if hosts and self._egress is not None else nullcontext()

    async def converse(self, access: Access, work: Callable[[Conversation], Awaitable[Answer]]) -> Answer:
        """Connect, do the work, close. A cancelled task closes everything at once.

        Raises:
            McpFailure: the server cannot be reached, is too slow, or does not keep to the protocol.
        """
        session = await asyncio.to_thread(importlib.import_module, "o.mcp.session")
        answer: Answer = await session.converse(self, access, work)
        return answer
