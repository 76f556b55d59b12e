"""Signing in at an MCP server that wants it: OAuth 2.1, authorisation code with PKCE.

Who the authorisation server is comes from the MCP server (RFC 9728) and from that server's own metadata (RFC 8414); O
registers itself there (RFC 7591). Every request goes through the guard, whatever address the metadata names.
"""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

from mcp.client.auth.exceptions import OAuthFlowError
from mcp.client.auth.oauth2 import check_registration_usable
from mcp.client.auth.utils import (
    build_oauth_authorization_server_metadata_discovery_urls,
    build_protected_resource_metadata_discovery_urls,
    extract_resource_metadata_from_www_auth,
    extract_scope_from_www_auth,
    get_client_metadata_scopes,
    issuers_match,
)
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    ProtectedResourceMetadata,
)
from mcp.shared.auth_utils import check_resource_allowed, resource_url_from_server_url
from pydantic import AnyUrl, BaseModel, ConfigDict, ValidationError

from o.domain.json import JsonObject
from o.errors import McpFailure, McpUnreachable
from o.guard.policy import Guard
from o.keyring import Keyring
from o.mcp.tokens import Client, TokenKeeper, asked
from o.store.repositories.mcp_servers import sign_in_context
from o.store.session import Store

_GRANTS = ["authorization_code", "refresh_token"]
# Enough for any server that wants a sign-in to say so.
_GREETING: JsonObject = {"jsonrpc": "2.0", "id": 0, "method": "ping"}
_ACCEPTED = {"accept": "application/json, text/event-stream"}


class SignInData(BaseModel):
    """What is known of a sign-in under way; encrypted on its row.

    Attributes:
        url: where a person has to go.
        code: what came back, with the issuer that said it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    redirect_uri: str
    url: str | None = None
    verifier: str | None = None
    client: Client | None = None
    issuer: str | None = None
    says_issuer: bool = False
    code: str | None = None
    code_issuer: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """Who protects a server, and what it is called there."""

    metadata: OAuthMetadata
    resource: str
    scope: str | None


class SignIns:
    """Begins and finishes sign-ins; in between, a person is elsewhere."""

    def __init__(self, store: Store, guard: Guard, keyring: Keyring | None) -> None:
        self._store, self._guard, self._keyring = store, guard, keyring
        self._tokens = TokenKeeper(store, guard, keyring)

    async def begin(self, org_id: str, sign_in_id: str) -> None:
        """Find out where a person has to go, and keep it on the sign-in's row.

        Raises:
            NotFound: the sign-in or its server is gone. McpFailure: the server wants no sign-in, or none that works.
        """
        async with self._store.transaction(org_id) as tx:
            row = await tx.mcp_sign_ins.get(sign_in_id, now=tx.now())
            server = await tx.mcp_servers.get(row.server_id)
        data = self._opened(sign_in_id, row.data)
        if server.server_type == "stdio":
            raise McpFailure(f"the MCP server '{server.server_name}' is a program: it wants no sign-in")
        try:
            found = await self._found(str(server.config["server_url"]))
            client = await self._registered(found, data.redirect_uri)
        except (ValidationError, OAuthFlowError):
            raise McpUnreachable(
                f"what the MCP server '{server.server_name}' says of its sign-in makes no sense"
            ) from None
        verifier = secrets.token_urlsafe(64)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        wanted = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": data.redirect_uri,
            "state": row.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "resource": found.resource,
        }
        if found.scope:
            wanted["scope"] = found.scope
        endpoint = str(found.metadata.authorization_endpoint)
        known = data.model_copy(
            update={
                "url": f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(wanted)}",
                "verifier": verifier,
                "client": client,
                "issuer": str(found.metadata.issuer),
                "says_issuer": bool(found.metadata.authorization_response_iss_parameter_supported),
            }
        )
        async with self._store.transaction(org_id) as tx:
            await tx.mcp_sign_ins.keep(sign_in_id, self._sealed(sign_in_id, known))

    async def finish(self, org_id: str, sign_in_id: str) -> None:
        """Turn the code that came back into tokens, kept with the server. A sign-in ends either way.

        Raises:
            NotFound: the sign-in is gone. McpFailure: the code is not taken, or another issuer gave it.
        """
        async with self._store.transaction(org_id) as tx:
            row = await tx.mcp_sign_ins.get(sign_in_id, now=tx.now())
            server = await tx.mcp_servers.get(row.server_id)
        if row.status != "authorized":
            return  # finished by an attempt before this one
        done = False
        try:
            data = self._opened(sign_in_id, row.data)
            if data.client is None or data.verifier is None or data.code is None:
                raise McpFailure("the sign-in was never begun")
            # RFC 9207: a code of one server must not be shown to another.
            if (data.code_issuer is None and data.says_issuer) or data.code_issuer not in (None, data.issuer):
                raise McpFailure("the answer of the sign-in comes from somebody else than was asked")
            form = {
                "grant_type": "authorization_code",
                "code": data.code,
                "redirect_uri": data.redirect_uri,
                "code_verifier": data.verifier,
            }
            await self._tokens.keep(server, await self._tokens.granted(data.client, form))
            done = True
        finally:
            async with self._store.transaction(org_id) as tx:
                await tx.mcp_sign_ins.end(sign_in_id, done=done)
                if done:
                    await tx.mcp_servers.succeeded(server.id)

    async def _found(self, server_url: str) -> _Found:
        refusal = await asked(self._guard, "POST", server_url, headers=_ACCEPTED, json=_GREETING)
        described: ProtectedResourceMetadata | None = None
        hint = extract_resource_metadata_from_www_auth(refusal)
        for url in build_protected_resource_metadata_discovery_urls(hint, server_url):
            answer = await asked(self._guard, "GET", url)
            if answer.status_code == 200:
                described = ProtectedResourceMetadata.model_validate_json(answer.content)
                break
        resource = resource_url_from_server_url(server_url)
        if described is not None:
            if not check_resource_allowed(requested_resource=resource, configured_resource=str(described.resource)):
                raise McpFailure("the MCP server says that it is another one than was asked")
            resource = str(described.resource)
        issuer = str(described.authorization_servers[0]) if described is not None else None
        metadata = await self._metadata(issuer, server_url)
        scope = get_client_metadata_scopes(extract_scope_from_www_auth(refusal), described, metadata, _GRANTS)
        return _Found(metadata, resource, scope)

    async def _metadata(self, issuer: str | None, server_url: str) -> OAuthMetadata:
        for url in build_oauth_authorization_server_metadata_discovery_urls(issuer, server_url):
            answer = await asked(self._guard, "GET", url)
            if answer.status_code != 200:
                continue
            metadata = OAuthMetadata.model_validate_json(answer.content)
            if issuer is not None and not issuers_match(str(metadata.issuer), issuer):
                raise McpFailure("the authorisation server says that it is another one than was asked")
            methods = metadata.code_challenge_methods_supported
            if methods is not None and "S256" not in methods:
                raise McpFailure("the authorisation server knows no PKCE with S256")
            return metadata
        raise McpUnreachable("the MCP server names no authorisation server that describes itself")

    async def _registered(self, found: _Found, redirect_uri: str) -> Client:
        endpoint = found.metadata.registration_endpoint
        wanted = OAuthClientMetadata(
            client_name="O",
            redirect_uris=[AnyUrl(redirect_uri)],
            grant_types=list(_GRANTS),
            token_endpoint_auth_method="none",  # noqa: S106 - it says that there is no password
            scope=found.scope,
        )
        url = str(endpoint) if endpoint is not None else urljoin(str(found.metadata.issuer), "/register")
        body = wanted.model_dump(by_alias=True, mode="json", exclude_none=True)
        answer = await asked(self._guard, "POST", url, json=body)
        if answer.status_code not in (200, 201):
            raise McpUnreachable(f"the authorisation server does not register O (status {answer.status_code})")
        made = OAuthClientInformationFull.model_validate_json(answer.content)
        check_registration_usable(made)
        return Client(
            client_id=made.client_id,
            client_secret=made.client_secret,
            auth_method=made.token_endpoint_auth_method,
            token_endpoint=str(found.metadata.token_endpoint),
            resource=found.resource,
        )

    def _opened(self, sign_in_id: str, sealed: str | None) -> SignInData:
        if sealed is None or self._keyring is None:
            raise McpFailure("the sign-in has ended, or this worker has no key file (O_KEY_FILE)")
        return SignInData.model_validate(json.loads(self._keyring.decrypt(sealed, context=sign_in_context(sign_in_id))))

    def _sealed(self, sign_in_id: str, data: SignInData) -> str:
        if self._keyring is None:
            raise McpFailure("sign-ins need a key file (O_KEY_FILE)")
        return self._keyring.encrypt(data.model_dump_json(), context=sign_in_context(sign_in_id))
