"""MCP over the stdin and stdout of a program in the sandbox; no program is ever started outside of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from o.mcp.http import MOST_OF_ANSWER, Notes
from o.sandbox.base import Process, SandboxUnavailable

# Seconds that ending the program may take, even in a task that was cancelled.
_CLOSING = 5.0

Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]


@asynccontextmanager
async def stdio_streams(process: Process, notes: Notes) -> AsyncIterator[Streams]:
    """The two streams of a session over a program, which is killed at the end."""
    incoming, read_stream = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write_stream, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with incoming, read_stream, write_stream, outgoing, anyio.create_task_group() as tasks:
            tasks.start_soon(_read, process, incoming, notes)
            tasks.start_soon(_write, process, outgoing, incoming)
            yield read_stream, write_stream
            tasks.cancel_scope.cancel()
    finally:
        with anyio.move_on_after(_CLOSING, shield=True):
            await process.close()


async def _read(process: Process, incoming: MemoryObjectSendStream[SessionMessage | Exception], notes: Notes) -> None:
    """Messages, one a line. Lines that are none are passed over: many programs print a greeting."""
    rest = bytearray()
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, SandboxUnavailable):
        async with incoming:
            while piece := await process.read():
                if not notes.take(len(piece)):
                    return
                rest += piece
                *lines, last = rest.split(b"\n")
                rest = last
                if len(rest) > MOST_OF_ANSWER:
                    notes.flooded = True
                    return
                for line in lines:
                    with suppress(ValueError):
                        message = jsonrpc_message_adapter.validate_json(bytes(line), by_name=False)
                        await incoming.send(SessionMessage(message))


async def _write(
    process: Process,
    outgoing: MemoryObjectReceiveStream[SessionMessage],
    incoming: MemoryObjectSendStream[SessionMessage | Exception],
) -> None:
    try:
        async for item in outgoing:
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            await process.write(text.encode() + b"\n")
    except SandboxUnavailable:
        await incoming.aclose()  # so that nobody waits for an answer of a program that has ended
