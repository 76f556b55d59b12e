"""The tokens of a sign-in at an MCP server: read, refreshed when they run out, and kept encrypted on the row."""

import asyncio
import base64
import json
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from o.errors import McpFailure, McpSignInNeeded, McpUnreachable
from o.guard.policy import Denied, Guard
from o.guard.transport import denied_in
from o.keyring import Keyring
from o.mcp.http import Notes, http_client
from o.store.mcp_records import McpServerRecord
from o.store.repositories.mcp_servers import oauth_context
from o.store.session import Store

# Seconds a request to an authorisation server may take, and how much earlier a token counts as run out.
PATIENCE = 10.0
_EARLY = 60.0


class Client(BaseModel):
    """How O is known to an authorisation server."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    client_id: str
    client_secret: str | None = Field(default=None, repr=False)
    auth_method: str | None = None
    token_endpoint: str
    resource: str | None = None


class Tokens(BaseModel):
    """What a sign-in gave. `expires_at` is in seconds since 1970; None for a token that does not say."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    client: Client
    access_token: str = Field(repr=False)
    refresh_token: str | None = Field(default=None, repr=False)
    expires_at: float | None = None


class _Granted(BaseModel):
    """The answer of a token endpoint (RFC 6749 §5.1)."""

    model_config = ConfigDict(extra="ignore")

    access_token: str = Field(min_length=1, max_length=16_384, pattern=r"^[\x21-\x7e]+$")
    refresh_token: str | None = Field(default=None, max_length=16_384)
    expires_in: float | None = Field(default=None, ge=0, le=10 * 365 * 86400)


class TokenKeeper:
    """Gives the token that goes with a connection."""

    def __init__(self, store: Store, guard: Guard, keyring: Keyring | None) -> None:
        self._store, self._guard, self._keyring = store, guard, keyring

    async def token(self, server: McpServerRecord, *, refused: str | None = None) -> str | None:
        """The server's token, refreshed if it has run out; None where nobody has signed in.

        Args:
            refused: a token that the server did not take, whatever its time says.

        Raises:
            McpSignInNeeded: it has run out and there is no other. McpUnreachable: whoever refreshes it does not answer.
        """
        tokens = self._opened(server)
        if tokens is None:
            return None
        over = tokens.expires_at is not None and tokens.expires_at - _EARLY < self._store.now().timestamp()
        if not over and tokens.access_token != refused:
            return tokens.access_token
        if tokens.refresh_token is None:
            raise _sign_in(server)
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        try:
            fresh = await self.granted(tokens.client, form, keep=tokens.refresh_token)
        except McpSignInNeeded:
            # Where each refresh brings another refresh token, one of two workers comes too late.
            async with self._store.transaction(server.org_id) as tx:
                now = self._opened(await tx.mcp_servers.get(server.id))
            if now is not None and now.access_token not in (tokens.access_token, refused):
                return now.access_token
            raise _sign_in(server) from None
        await self.keep(server, fresh)
        return fresh.access_token

    async def keep(self, server: McpServerRecord, tokens: Tokens) -> None:
        """Store tokens, encrypted, on the server's row."""
        sealed = self._key.encrypt(tokens.model_dump_json(), context=oauth_context(server.id))
        async with self._store.transaction(server.org_id) as tx:
            await tx.mcp_servers.update(server.id, {"oauth": sealed})

    async def granted(self, client: Client, form: dict[str, str], *, keep: str | None = None) -> Tokens:
        """Ask a token endpoint (RFC 6749 §4.1.3, §6).

        Args:
            keep: the refresh token to go on with where the answer has none.

        Raises:
            McpSignInNeeded: it refuses. McpUnreachable: it does not answer as it should.
        """
        headers, form = _authenticated(client, form)
        if client.resource is not None:
            form["resource"] = client.resource
        answer = await asked(self._guard, "POST", client.token_endpoint, data=form, headers=headers)
        if 400 <= answer.status_code < 500:
            raise McpSignInNeeded(f"the authorisation server refuses (status {answer.status_code}): sign in again")
        try:
            granted = _Granted.model_validate_json(answer.content)
        except ValidationError:
            raise McpUnreachable("the authorisation server's answer is no token") from None
        expires = None if granted.expires_in is None else self._store.now().timestamp() + granted.expires_in
        return Tokens(
            client=client,
            access_token=granted.access_token,
            refresh_token=granted.refresh_token or keep,
            expires_at=expires,
        )

    @property
    def _key(self) -> Keyring:
        if self._keyring is None:
            raise McpFailure("tokens of MCP servers need a key file (O_KEY_FILE)")
        return self._keyring

    def _opened(self, server: McpServerRecord) -> Tokens | None:
        if server.oauth is None:
            return None
        return Tokens.model_validate(json.loads(self._key.decrypt(server.oauth, context=oauth_context(server.id))))


async def asked(
    guard: Guard,
    method: str,
    url: str,
    *,
    headers: dict[str, str] | None = None,
    data: dict[str, str] | None = None,
    json: object = None,
) -> httpx2.Response:
    """One guarded request of a sign-in, its answer read whole; redirects are answers like others.

    Raises:
        McpUnreachable: nobody answers there, or O may not ask there.
    """
    notes = Notes()
    try:
        guard.check(url)
        # The client's own timeout is for each piece that comes, however many there are.
        async with asyncio.timeout(PATIENCE), http_client(guard, notes, {}, read=PATIENCE) as http:
            return await http.request(method, url, headers=headers, data=data, json=json)
    except TimeoutError:
        raise McpUnreachable(f"a part of the sign-in took too long: more than {PATIENCE:g} s") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, Denied) as error:
        why = denied_in(error) or type(error).__name__
        raise McpUnreachable(f"a part of the sign-in cannot be reached: {why}") from None


def _authenticated(client: Client, form: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The headers and the form that say who asks (RFC 6749 §2.3.1)."""
    form = {**form, "client_id": client.client_id}
    if client.client_secret is None:
        return {}, form
    if client.auth_method == "client_secret_post":
        return {}, {**form, "client_secret": client.client_secret}
    pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}, form


def _sign_in(server: McpServerRecord) -> McpSignInNeeded:
    return McpSignInNeeded(
        f"the sign-in at the MCP server '{server.server_name}' has run out: sign in again (`o mcp connect`)"
    )
