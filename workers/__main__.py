"""`python -m workers [queue …]`: a worker process for these task queues (all of them, if none is named)."""

import logging
import os
import sys

import uvloop

from o.errors import ProjectError
from o.settings import Settings
from o.temporal import Queue
from workers.serve import serve


def main() -> int:
    """Run until stopped. Exit code 0 after a clean stop, 1 with one line on stderr when it cannot work."""
    try:
        settings = Settings.load()
        logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
        queues = [Queue(name) for name in sys.argv[1:]] or list(Queue)
        for http in ("httpx", "httpx2"):
            logging.getLogger(http).setLevel(logging.WARNING)  # they log a line for every model request
        uvloop.run(serve(settings, queues))
    except (ProjectError, ValueError) as error:
        print(f"worker: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    # The engine's client has threads that now and then crash an interpreter that shuts down in order.
    os._exit(code)
