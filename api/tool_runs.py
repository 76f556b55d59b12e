"""Tools run by hand: a worker takes the request from its row, and the client that leaves takes its tool with it."""

import asyncio
from dataclasses import replace

from fastapi import Request
from pydantic import TypeAdapter

from api.deps import Caller
from o import ids
from o.contracts.tool_runs import ToolRunInput
from o.domain.messages import ToolReturn
from o.domain.tool_run import ToolRunRequest
from o.errors import Unavailable
from o.store.repositories.events import CANCEL_CHANNEL
from o.store.repositories.tool_runs import request_context, result_context

# Seconds a request waits for a worker before it is withdrawn.
_PATIENCE = 15.0
# Seconds a run may take beyond its tool's own limit: to prepare it, and to bring back what it said.
_AROUND = 30.0
# Seconds that libraries may take to be fetched and built the first time.
_BUILD = 600.0

_RETURN = TypeAdapter(ToolReturn)


async def run_by_hand(caller: Caller, request: Request, asked: ToolRunRequest) -> ToolReturn:
    """Run a tool and wait for it; whatever goes wrong once it has begun is a return with status error.

    Raises:
        Unavailable: nothing was run: no worker took it, or the engine or the database does not answer.
    """
    run_id = ids.new("tool_run")
    sealed = caller.parts.keyring.encrypt(asked.model_dump_json(), context=request_context(run_id))
    async with caller.transaction() as tx:
        await tx.tool_runs.add(run_id, sealed)
    words = "no worker took the tool; is one running (`o worker`), and not too busy?"
    try:
        await _carried_out(caller, request, run_id, asked)
    except Unavailable as error:
        words = error.message
    async with caller.transaction() as tx:
        begun = not await tx.tool_runs.withdraw(run_id)
        result = await tx.tool_runs.collect(run_id)
    if not begun:
        raise Unavailable(words)
    if result is None:
        words = "ended without a result: it took too long, or its worker broke off. What it did by then is unknown."
        returned = ToolReturn("null", f"{asked.function} {words}", "error")
    else:
        returned = _RETURN.validate_json(caller.parts.keyring.decrypt(result, context=result_context(run_id)))
    return replace(returned, tool_call_id="null", name=asked.function)


async def _carried_out(caller: Caller, request: Request, run_id: str, asked: ToolRunRequest) -> None:
    """Wait until the run has ended, or end it: its client has left, or no worker takes it.

    Raises:
        Unavailable: the engine does not answer.
    """
    timing = caller.parts.engine.timing
    lasts = (asked.limits.timeout or timing.tool) + _AROUND
    if asked.requirements or asked.packages:
        lasts += _BUILD
    what = ToolRunInput(org_id=caller.org_id, tool_run_id=run_id, lasts=lasts, heartbeat=timing.heartbeat)
    work = asyncio.create_task(caller.parts.engine.run_tool(what))
    leaving = asyncio.create_task(_left(request))
    ended = False
    try:
        await asyncio.wait({work, leaving}, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if await _taken(caller, run_id):
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await work
            ended = True
    finally:
        leaving.cancel()
        work.cancel()
        if not ended:
            await _stopped(caller, run_id)
        await asyncio.gather(work, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    """Wait until the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _stopped(caller: Caller, run_id: str) -> None:
    """Tell the worker that has the run to end it, within moments; the engine tells it too."""
    async with caller.transaction() as tx:
        await tx.events.notify(CANCEL_CHANNEL, run_id)


async def _taken(caller: Caller, run_id: str) -> bool:
    async with caller.transaction() as tx:
        return await tx.tool_runs.taken(run_id)
