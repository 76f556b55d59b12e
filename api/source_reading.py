"""Reading the sources of tools without keeping everybody else waiting: a megabyte of Python takes seconds."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Found = TypeVar("_Found")

# Characters that are read at once: a hundredth of a second. All tools that people write are shorter.
_SHORT = 20_000
# One at a time: the tree of the longest takes half a gigabyte.
_READER = ThreadPoolExecutor(1, "source-reader")


async def reading(source: str, read: Callable[[], _Found]) -> _Found:
    """What `read` finds in a source, in a thread of its own where the source is long. Raises what `read` raises."""
    if len(source) <= _SHORT:
        return read()
    return await asyncio.get_running_loop().run_in_executor(_READER, read)
