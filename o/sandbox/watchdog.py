"""Watches one sandboxed process for what rlimits cannot cap: the memory, processes and files of all of it together."""

import asyncio
from typing import Literal

from o.sandbox import folders, tree
from o.sandbox.base import Limits
from o.sandbox.process import Sandboxed

_EVERY = 0.1  # seconds; a second of one core can fill some GiB
_OURS = 2  # processes of ours in each tree: bubblewrap's monitor and init, or the reaper

Breach = Literal["memory", "processes", "disk"]


async def breach(process: Sandboxed, limits: Limits) -> Breach:
    """Wait until the process and its descendants use more than they may."""
    while True:
        await asyncio.sleep(_EVERY)
        pids = tree.descendants(process.pid)
        if tree.resident(pids) > limits.memory and tree.proportional(pids) > limits.memory:
            return "memory"
        if tree.threads(pids) > limits.processes + _OURS:
            return "processes"
        if process.folder is not None and await asyncio.to_thread(folders.too_full, process.folder, limits.disk, pids):
            return "disk"
