"""What routes are handed: the parts of the process, and who is asking."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.catalogue import Catalogue, Catalogues
from api.events import RunEvents
from api.gateway import Gateway
from api.tool_scope import check_reach
from o import tool_key
from o.errors import InvalidArgument, Unauthorized
from o.guard.policy import Guard
from o.ids import DEFAULT_ORG, DEFAULT_USER, check
from o.keyring import Keyring
from o.store.session import Store, Transaction
from o.tool_key import ToolScope

# Seconds a key's owner is remembered: a revoked key works at most that much longer in this process.
_KEY_TTL = 1.0
_KEYS_REMEMBERED = 10_000

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Gatekeeper:
    """Who may come in: whoever shows a valid key, and anybody as long as only this machine can and no key exists."""

    def __init__(self, store: Store, *, loopback: bool) -> None:
        self._store = store
        self._loopback = loopback
        self._owners: dict[str, tuple[float, str | None]] = {}
        self._open: tuple[float, bool] = (float("-inf"), False)
        self._furnished = {DEFAULT_ORG}

    async def owner(self, key: str | None) -> str:
        """The organisation a request acts for. Raises Unauthorized."""
        now = time.monotonic()
        if key and key.startswith(tool_key.PREFIX):
            raise Unauthorized("a tool's key speaks for no organisation")  # not even where anybody may come in
        if key:
            known = self._owners.get(key)
            if known is None or now - known[0] > _KEY_TTL:
                async with self._store.transaction() as tx:
                    known = now, await tx.keys.owner(key)
                if len(self._owners) >= _KEYS_REMEMBERED:
                    self._owners.clear()
                self._owners[key] = known
            if known[1] is not None:
                await self._furnish(known[1])
                return known[1]
        if self._loopback and await self._is_open(now):
            return DEFAULT_ORG
        raise Unauthorized("Unauthorized")

    async def _furnish(self, org_id: str) -> None:
        """See to it that an organisation has the base tools; the default one got them when the process started."""
        if org_id not in self._furnished:
            async with self._store.transaction(org_id) as tx:
                await tx.tools.ensure_base()
            self._furnished.add(org_id)

    async def _is_open(self, now: float) -> bool:
        if now - self._open[0] > _KEY_TTL:
            async with self._store.transaction() as tx:
                self._open = now, not await tx.keys.any_active()
        return self._open[1]


@dataclass(frozen=True, slots=True)
class Defaults:
    """Handles of the models that agents get when they name none."""

    model: str
    embedding: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What the process is made of. One instance, in `app.state.parts`."""

    defaults: Defaults
    store: Store
    engine: Gateway
    catalogue: Catalogues
    events: RunEvents
    keyring: Keyring
    gate: Gatekeeper
    guard: Guard


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, and the parts to answer with.

    Attributes:
        sdk: a client library of the 1.x line, which some answers differ for (contract, section 1.2).
        scope: what the caller is confined to, if it is a tool with a key of its own (`api/tool_scope.py`).
    """

    parts: Parts
    org_id: str
    user_id: str
    sdk: bool
    scope: ToolScope | None = None

    @property
    def catalogue(self) -> Catalogue:
        """The models of the caller's organisation."""
        return self.parts.catalogue.of(self.org_id)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction of the caller's organisation."""
        return self.parts.store.transaction(self.org_id)


async def identify(request: Request) -> Caller:
    """The caller, by API key. What the `user_id` header says changes nothing, but it must be well-formed."""
    parts: Parts = request.app.state.parts
    headers = request.headers
    if (user := headers.get("user_id")) is not None:
        try:
            check("user", user)
        except InvalidArgument as error:
            raise InvalidArgument(f"user_id header: {error.message}") from error
    key = _shown_key(headers.get("authorization"), headers.get("x-bare-password"))
    scope = None
    if key and key.startswith(tool_key.PREFIX):
        scope = tool_key.read(parts.keyring.derive(tool_key.PURPOSE), key, datetime.now(UTC))
        check_reach(scope, request)
    org_id = scope.org_id if scope else await parts.gate.owner(key)
    user_id = DEFAULT_USER if org_id == DEFAULT_ORG else f"user-{org_id.removeprefix('org-')}"
    return Caller(parts, org_id, user_id, "x-stainless-package-version" in headers, scope)


Asking = Annotated[Caller, Depends(identify)]


def _shown_key(authorization: str | None, bare: str | None) -> str | None:
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        return key.strip() if scheme.lower() == "bearer" else None
    return bare.removeprefix("password ").strip() if bare is not None else None


class _JsonRequest(Request):
    """A request whose body is read by orjson: it refuses invalid UTF-8, lone surrogates, NaN and bottomless nesting."""

    async def json(self) -> Any:
        return orjson.loads(await self.body())


class JsonRoute(APIRoute):
    """A route whose body, where it takes one, must be declared as JSON.

    A browser may send other types across sites without asking first; no page shall talk to an agent on this machine.
    """

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            if request.method in _WITH_BODY and self.body_field is not None:
                kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
                sized = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
                if (
                    sized
                    and kind != "application/json"
                    and not (kind.startswith("application/") and kind.endswith("+json"))
                ):
                    raise HTTPException(415, "Content-Type: send the body as application/json")
            response: Response = await handle(_JsonRequest(request.scope, request.receive))
            return response

        return checked
