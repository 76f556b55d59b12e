"""llama.cpp's own HTTP server, which nobody here wrote, as a process: `python -m tests.support.llama_server SOCKET`.

It speaks OpenAI's wire and Anthropic's. The process ends when its standard input does.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from o.embedded.llama import LanguageFile

MODEL = "smollm2-135m"


def main() -> None:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as o.embedded.llama does, and for its reason
    import xllamacpp

    file = LanguageFile.of(None)
    params = xllamacpp.CommonParams()
    params.model.path = str(file.path)
    params.model_alias = {MODEL}
    params.hostnames = [sys.argv[1]]
    params.ui = False
    params.use_jinja = True
    params.n_parallel = 2
    params.n_ctx = 2 * file.context_window
    params.n_batch = params.n_ubatch = 256
    params.cache_ram_mib = 0
    params.warmup = False
    params.verbosity = -1
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)  # its threads outlive an interpreter that shuts down in order


@contextmanager
def running() -> Iterator[Path]:
    """The server's socket, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="o-llama-") as folder:
        path = Path(folder) / "llama.sock"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.llama_server", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline(), "llama.cpp's server did not start"
            yield path
        finally:
            process.stdin.close()
            process.wait(20)
            process.stdout.close()


if __name__ == "__main__":
    main()
