"""Waiting children: that one is there again while the call that took the last still runs."""

import asyncio
import sys

import pytest

from o.sandbox import tree
from o.sandbox.base import CodeCall, Limits
from tests.support.sandbox import started
from tests.support.servers import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")


async def test_a_long_call_does_not_keep_the_next_from_a_warm_child() -> None:
    with started(pool=1, limits=Limits(wall=60)) as running:
        await running.sandbox.report()

        def children() -> int:
            return len(tree.descendants(running.process.pid)) - 1

        await asyncio.to_thread(until, lambda: children() > 0, "a child waiting")
        waiting = CodeCall(source="import time\ntime.sleep(60)", limits=Limits(wall=60))
        call = asyncio.create_task(running.sandbox.run(waiting))
        await asyncio.to_thread(until, lambda: children() in (4, 6), "two children, of two or three processes each")
        assert not call.done()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
