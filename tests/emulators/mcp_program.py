"""An MCP server as a program: `python -m tests.emulators.mcp_program MISDEED`, or one that behaves with `-`."""

import json
import sys
import time
from typing import cast

from tests.emulators.mcp_hostile import TOOL, Misdeed, answer


def main(misdeed: str) -> None:
    """Answer line by line, badly."""
    out = sys.stdout
    out.write("a greeting that is no message\n")
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        first = message["method"] == "initialize"
        if misdeed == "exit":
            return
        if misdeed == "huge" and not first:
            while True:
                out.write("x" * 2**20)
        if misdeed == "endless" and not first:
            note = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 10_000}})
            while True:
                out.write(note + "\n")
        said = answer(cast(Misdeed, misdeed), message)
        if said is None:
            time.sleep(3600)
        out.write(f"{said}\n")
        out.flush()


if __name__ == "__main__":
    assert TOOL
    main(sys.argv[1])
