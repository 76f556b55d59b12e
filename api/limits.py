"""What a request may be before anything looks at it: pure ASGI, since every request passes through."""

from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import unprocessable
from api.responses import Json


class Paths:
    """One spelling for every path: `/latest` is `/v1`, and a trailing slash does not matter.

    Args:
        collections: paths that are routed with a trailing slash; all others are routed without.
    """

    def __init__(self, app: ASGIApp, collections: Iterable[str]) -> None:
        self._app = app
        self._collections = frozenset(path.rstrip("/") for path in collections)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith("/latest/"):
                path = "/v1/" + path.removeprefix("/latest/")
            if path.startswith("/v1/"):
                bare = path.rstrip("/")
                path = bare + "/" if bare in self._collections else bare
            if path != scope["path"]:
                scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)


class Limits:
    """Refuses bodies over `max_bytes` and NUL characters in the URL, which no identifier or text may hold."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            await unprocessable("url: must not contain NUL characters (%00); remove them")(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            await self._refuse(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_bytes:
                # The one kind of exception that passes through FastAPI's reading of a body unchanged.
                raise HTTPException(413, self._words)
            return message

        await self._app(scope, counted, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = Json({"detail": self._words}, 413)
        response.headers["connection"] = "close"
        await response(scope, receive, send)

    @property
    def _words(self) -> str:
        return f"the body is larger than {self._max_bytes} bytes (O_MAX_BODY_BYTES); send less at once"
