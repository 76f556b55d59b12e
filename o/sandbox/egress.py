"""The only way out of the sandbox: an HTTP proxy in the trusted worker, reached over a unix socket.

It resolves names itself and connects to nothing but the addresses it judged, so neither a redirect nor a name that
changes its mind leads inwards. A call gets a token, which ends with it.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import secrets
import ssl
import stat
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Self

import h11
import httpx2

from o.errors import ProjectError
from o.guard.policy import Denied, Guard
from o.sandbox.base import Egress
from o.sandbox.egress_grants import ApiAccess, EgressLimits, Grant
from o.sandbox.egress_hosts import Hosts
from o.sandbox.egress_peers import Peer, Refusal, forward, tunnel
from o.sandbox.egress_targets import Target, first_that_answers, header

# What a tool calls O's own API; no name that anybody could register.
API_HOST = "o.internal"
_MOST_ADDRESSES = 4

_log = logging.getLogger(__name__)


class SocketUnsafe(ProjectError):
    """The folder of the proxy's socket is one that others may enter."""

    code = "socket_unsafe"


class EgressProxy:
    """The proxy of one worker process.

    Args:
        guard: which addresses may be connected to, and who resolves their names.
        path: of the unix socket. Its folder is made if need be and must be ours alone: the socket itself is open to
            all, since the sandbox's children, which have other uids, get it through a bind mount.
        own_ports: ports of O's own parts on this machine, closed whatever else is open.
    """

    def __init__(
        self, guard: Guard, path: Path, *, limits: EgressLimits | None = None, own_ports: Collection[int] = ()
    ) -> None:
        self._guard, self._path = guard, path
        self._limits = limits or EgressLimits()
        self._own_ports = frozenset(own_ports)
        self._grants: dict[bytes, Grant] = {}
        self._serving: set[asyncio.Task[object]] = set()
        self._waiting: Counter[int] = Counter()

    async def __aenter__(self) -> Self:
        """Begin to listen. Raises SocketUnsafe, or OSError where no socket can be made."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._path.parent.stat().st_mode & 0o077:
            raise SocketUnsafe(f"others may enter {self._path.parent}: run `chmod 700 {self._path.parent}`")
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(self._path.lstat().st_mode):
                self._path.unlink()
        self._server = await asyncio.start_unix_server(self._accept, self._path)
        self._path.chmod(0o666)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await _end(self._serving)
        await self._server.wait_closed()
        with suppress(FileNotFoundError):
            self._path.unlink()

    @asynccontextmanager
    async def grant(
        self,
        hosts: Collection[str],
        api: ApiAccess | None = None,
        *,
        allow_any_public: bool = False,
        transferred: int | None = None,
    ) -> AsyncIterator[Egress]:
        """Open the way out for one call; at the end its token is worth nothing and its connections are closed.

        Args:
            transferred: bytes it may move, if not as many as every call.

        Raises:
            InvalidArgument: an entry of `hosts` is no host.
        """
        limits = self._limits
        grant = Grant(Hosts(hosts, any_public=allow_any_public), api, limits)
        grant.left = limits.transferred if transferred is None else transferred
        token = secrets.token_urlsafe(32)
        self._grants[_digest(token)] = grant
        try:
            yield Egress(socket=str(self._path), token=token)
        finally:
            del self._grants[_digest(token)]
            await _end(grant.tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(Peer(h11.SERVER, reader, writer)))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, client: Peer) -> None:
        try:
            await self._answer(client)
        except Refusal as refusal:
            await client.refuse(refusal)
        except Exception as error:
            _log.error("the egress proxy failed: %s", type(error).__name__)
            await client.refuse(Refusal(502, "the proxy failed"))
        finally:
            await client.close()

    async def _answer(self, client: Peer) -> None:
        user = client.user()
        if len(self._serving) > self._limits.total or self._waiting[user] >= self._limits.waiting:
            raise Refusal(503, "too many connections of tools at once: try again later")
        self._waiting[user] += 1
        try:
            request = await self._request(client)
        finally:
            self._waiting -= Counter({user: 1})  # which also forgets those who have none
        if request is None:
            return
        grant = self._grant_of(request)
        if len(grant.tasks) >= self._limits.connections:
            raise Refusal(429, f"more than {self._limits.connections} connections of one call at once")
        task = asyncio.current_task()
        assert task is not None
        grant.tasks.add(task)
        try:
            await self._pass_on(client, request, grant)
        finally:
            grant.tasks.discard(task)

    async def _request(self, client: Peer) -> h11.Request | None:
        """What a client wants; None if it left."""
        try:
            async with asyncio.timeout(self._limits.head):
                request = await client.receive()
        except TimeoutError:
            raise Refusal(408, "no request came") from None
        except h11.RemoteProtocolError:
            raise Refusal(400, "this is no HTTP request") from None
        except OSError:
            return None
        return request if isinstance(request, h11.Request) else None

    def _grant_of(self, request: h11.Request) -> Grant:
        """The call whose token this is. Looked up by its hash: how long that takes tells nothing of a token."""
        scheme, _, value = header(request, b"proxy-authorization").partition(b" ")
        try:
            shown = base64.b64decode(value.strip(), validate=True).decode() if scheme.lower() == b"basic" else ""
        except (binascii.Error, ValueError):
            shown = ""
        user, _, token = shown.partition(":")
        grant = self._grants.get(_digest(token)) if user == "o" else None
        if grant is None:
            raise Refusal(407, "the proxy's token is missing, wrong or of an ended call: use HTTP_PROXY unchanged")
        return grant

    async def _pass_on(self, client: Peer, request: h11.Request, grant: Grant) -> None:
        target = Target.of(request)
        if target.host == API_HOST:
            target, server = await self._dial_api(target, request, grant)
        else:
            server = await self._dial(target, grant)
        idle = self._limits.idle
        try:
            async with asyncio.timeout(idle) as clock:
                loop = asyncio.get_running_loop()

                def moved(count: int) -> None:
                    grant.spend(count)
                    if not clock.expired():
                        clock.reschedule(loop.time() + idle)

                client.moved = server.moved = moved
                if target.path is None:
                    await tunnel(client, server)
                else:
                    await forward(client, server, target.head(request))
        except TimeoutError:
            raise Refusal(504, f"{target.host} sent nothing for {idle:g} s") from None
        except (h11.RemoteProtocolError, OSError):
            raise Refusal(502, f"{target.host} broke off or does not speak HTTP") from None
        finally:
            await server.close()

    async def _dial(self, target: Target, grant: Grant) -> Peer:
        host, port = target.host, target.port
        if not grant.hosts.allow(host, port):
            shown = host if port in (80, 443) else f"{host}:{port}"
            raise Refusal(403, f"{shown[:200]} is not open to this tool: add it to the tool's `network`")
        try:
            async with asyncio.timeout(self._limits.connect):
                addresses = (await self._guard.addresses(host, port))[:_MOST_ADDRESSES]
                if port in self._own_ports and not all(ip_address(address).is_global for address in addresses):
                    raise Refusal(403, f"port {port} of {host} is O's own: a tool reaches O as http://{API_HOST}")
                return await first_that_answers(addresses, port, self._limits.connect / len(addresses))
        except Denied as denied:
            raise Refusal(403, denied.message) from None
        except TimeoutError:
            raise Refusal(504, f"{host} did not answer within {self._limits.connect:g} s") from None
        except OSError:
            raise Refusal(502, f"{host} cannot be resolved or does not answer") from None

    async def _dial_api(self, target: Target, request: h11.Request, grant: Grant) -> tuple[Target, Peer]:
        """Where O's API really is, and a connection to it; its address is the operator's word and not judged."""
        if grant.api is None:
            raise Refusal(403, "O's API is not open to this tool")
        if target.path is None:
            raise Refusal(403, f"O's API is reached as http://{API_HOST}, without a tunnel")
        if not hmac.compare_digest(header(request, b"authorization"), b"Bearer " + grant.api.key.encode()):
            raise Refusal(403, "O's API takes only the key that this call was given, as `Authorization: Bearer KEY`")
        url = httpx2.URL(grant.api.base_url)
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        try:
            async with asyncio.timeout(self._limits.connect):
                reader, writer = await asyncio.open_connection(
                    url.host, port, ssl=ssl.create_default_context() if secure else None
                )
        except (OSError, TimeoutError):
            raise Refusal(502, "O's API does not answer") from None
        return Target(url.host, port, url.path.rstrip("/").encode() + target.path), Peer(h11.CLIENT, reader, writer)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def _end(tasks: set[asyncio.Task[object]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
