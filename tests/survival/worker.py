"""A worker with two tools of the tests: one may be run again, the other must not; each notes that it began.

`python -m tests.survival.worker [--changed]`; with `--changed` its steps do something else than those of histories
that other workers began.
"""

import asyncio
import os
import sys

from activities.base_tools import NATIVE_TOOLS
from activities.tools import NativeTool, ToolContext
from o.domain.json import JsonObject
from o.settings import Settings
from tests.survival.changed_step import ChangedStep
from workers.serve import serve
from workflows.registry import ALL_WORKFLOWS
from workflows.step import StepWorkflow


def noting(settings: Settings) -> NativeTool:
    """A tool that writes its argument `mark` to a file, waits for `seconds` and answers."""

    async def tool(context: ToolContext, arguments: JsonObject) -> str:
        line = f"{arguments['mark']}\n".encode()
        descriptor = os.open(settings.data_dir / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
        await asyncio.sleep(arguments["seconds"])
        return "It is done."

    return tool


def main() -> None:
    settings = Settings.load()
    if "--changed" in sys.argv:
        ALL_WORKFLOWS[ALL_WORKFLOWS.index(StepWorkflow)] = ChangedStep
    tool = noting(settings)
    asyncio.run(serve(settings, tools={**NATIVE_TOOLS, "look_up": tool, "charge_card": tool}))


if __name__ == "__main__":
    main()
