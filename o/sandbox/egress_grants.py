"""What one call may have of the network."""

import asyncio
from dataclasses import dataclass, field

from o.sandbox.base import MIB
from o.sandbox.egress_hosts import Hosts
from o.sandbox.egress_peers import Refusal


@dataclass(frozen=True)
class ApiAccess:
    """O's own API for one call.

    Attributes:
        base_url: where it listens, seen from the worker.
        key: the only key that is let through. An API on loopback may be open to all who show none.
    """

    base_url: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class EgressLimits:
    """What calls may use of the network.

    Attributes:
        connections: of one call, at one time.
        waiting: of one user of this machine, before they say whose call they are: where each call has a user of its
            own, none can keep the others out.
        total: of all calls, at one time; each takes two descriptors of the worker.
        transferred: bytes of one call, both directions together.
        head: seconds a client has to say what it wants.
        connect: seconds to resolve and connect.
        idle: seconds without a byte until an exchange is ended.
    """

    connections: int = 32
    waiting: int = 64
    total: int = 256
    transferred: int = 256 * MIB
    head: float = 10.0
    connect: float = 10.0
    idle: float = 120.0


class Grant:
    """What one call may reach, and its connections."""

    def __init__(self, hosts: Hosts, api: ApiAccess | None, limits: EgressLimits) -> None:
        self.hosts, self.api, self.limits = hosts, api, limits
        self.left = limits.transferred
        self.tasks: set[asyncio.Task[object]] = set()

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise Refusal(403, f"this call has moved all the {self.limits.transferred} bytes it may")
