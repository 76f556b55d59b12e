"""An authorisation server (RFC 6749, 7591, 8414, 9207) before an MCP server that wants its tokens (RFC 9728)."""

import base64
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.emulators import mcp_server
from tests.emulators.serving import serving


@dataclass
class Emulator:
    """What it knows, and the faults it can be given.

    Attributes:
        lasts: seconds its tokens are said to be good for.
        issuer: what it calls itself; its address unless a test says otherwise.
    """

    mcp: mcp_server.Emulator
    url: str = ""
    lasts: int = 3600
    issuer: str | None = None
    clients: dict[str, dict[str, object]] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refresh: set[str] = field(default_factory=set)
    granted: int = 0

    def token(self) -> dict[str, object]:
        self.granted += 1
        self.mcp.token = f"access-{self.granted}-{secrets.token_hex(8)}"
        again = f"refresh-{secrets.token_hex(8)}"
        self.refresh = {again}  # each one works once
        return {
            "access_token": self.mcp.token,
            "token_type": "bearer",
            "expires_in": self.lasts,
            "refresh_token": again,
        }


def _routes(emulator: Emulator) -> list[Route]:
    async def resource(request: Request) -> Response:
        return JSONResponse({"resource": f"{emulator.url}/mcp", "authorization_servers": [emulator.url]})

    async def metadata(request: Request) -> Response:
        url = emulator.url
        return JSONResponse(
            {
                "issuer": emulator.issuer or url,
                "authorization_endpoint": f"{url}/authorize",
                "token_endpoint": f"{url}/token",
                "registration_endpoint": f"{url}/register",
                "scopes_supported": ["tools", "offline_access"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def register(request: Request) -> Response:
        wanted = await request.json()
        client_id = f"client-{len(emulator.clients)}"
        emulator.clients[client_id] = wanted
        return JSONResponse({**wanted, "client_id": client_id}, 201)

    async def authorize(request: Request) -> Response:
        asked = dict(request.query_params)
        client = emulator.clients[asked["client_id"]]
        assert asked["redirect_uri"] in client["redirect_uris"]  # type: ignore[operator]
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        emulator.codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"], "iss": emulator.url})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", 302)

    async def token(request: Request) -> Response:
        form = dict(await request.form())
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] not in emulator.refresh:
                return JSONResponse({"error": "invalid_grant"}, 400)
            return JSONResponse(emulator.token())
        asked = emulator.codes.pop(str(form["code"]), None)
        if asked is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (proof, form["resource"]) != (asked["code_challenge"], asked["resource"]):
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(emulator.token())

    return [
        Route("/.well-known/oauth-protected-resource/mcp", resource),
        Route("/.well-known/oauth-authorization-server", metadata),
        Route("/register", register, methods=["POST"]),
        Route("/authorize", authorize),
        Route("/token", token, methods=["POST"]),
    ]


@contextmanager
def running() -> Iterator[Emulator]:
    """Both servers at one address, until the block ends."""
    emulator = Emulator(mcp_server.Emulator(token="not yet given"))
    protected = mcp_server.application(emulator.mcp)
    own = Starlette(routes=_routes(emulator))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (protected if scope["path"].startswith("/mcp") else own)(scope, receive, send)

    with serving(app) as url:
        emulator.url = emulator.mcp.url = url
        emulator.mcp.challenge = f'Bearer resource_metadata="{url}/.well-known/oauth-protected-resource/mcp"'
        yield emulator
