"""Timeouts, heartbeats and retries of every activity, and the border where our errors become Temporal's."""

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import TypedDict, TypeVar

from temporalio import activity
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.workflow import ActivityCancellationType

from o.contracts.tool_runs import ToolRunInput
from o.contracts.turn import Timing
from o.errors import ProjectError, Unavailable
from o.temporal import Queue

log = logging.getLogger(__name__)

# Attempts at one model request that may fail. Being told to wait is none, however often it happens.
MODEL_TRIES = 6

# What a tool call may take besides its tool: its libraries may have to be built first.
AROUND_TOOL = timedelta(minutes=11)


# Seconds for which what cannot be had again is held while the database does not take it, and between two tries.
_HOLD, _TRY_AGAIN = 60.0, 0.5

Written = TypeVar("Written")


class ActivityOptions(TypedDict, total=False):
    """The options of `workflow.execute_activity` that we set."""

    task_queue: str
    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType


def model(timing: Timing) -> ActivityOptions:
    """A model request, tried within the step's patience; a silent worker costs one heartbeat timeout.

    The activity itself counts the attempts that failed (`MODEL_TRIES`), since waiting for a provider's limits is none.
    A wait that would outlast the patience ends the request at once: the engine sees to that. The workflow waits for a
    cancelled request to end, so that the conversation is handed over after its last effect.
    """
    return {
        "start_to_close_timeout": timedelta(seconds=timing.model),
        "schedule_to_close_timeout": timedelta(seconds=timing.patience),
        "heartbeat_timeout": timedelta(seconds=timing.heartbeat),
        "retry_policy": RetryPolicy(
            initial_interval=timedelta(milliseconds=500),
            backoff_coefficient=3.0,
            maximum_interval=timedelta(seconds=45),
        ),
        "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    }


def tool(timing: Timing) -> ActivityOptions:
    """A tool call. A call that must not be repeated is not: its second attempt reports the outcome unknown.

    The tool's own time is kept by what runs it, which can say so to the model. This one is for what is not heard of
    any more, and leaves time to build a tool's libraries.
    """
    return {
        "task_queue": Queue.TOOLS,
        "start_to_close_timeout": timedelta(seconds=timing.tool) + AROUND_TOOL,
        "heartbeat_timeout": timedelta(seconds=timing.heartbeat),
        "retry_policy": RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=4),
        "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    }


def tool_run(asked: ToolRunInput) -> ActivityOptions:
    """A tool run by hand. Only an attempt that could not take its request is worth another."""
    return {
        "task_queue": Queue.TOOLS,
        "start_to_close_timeout": timedelta(seconds=asked.lasts),
        "heartbeat_timeout": timedelta(seconds=asked.heartbeat),
        "retry_policy": RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=2),
        "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    }


def rows() -> ActivityOptions:
    """A transaction that must happen: tried until it does, at most two seconds apart.

    It takes milliseconds; a worker that died with it is missed after ten seconds.
    """
    return {
        "start_to_close_timeout": timedelta(seconds=10),
        "retry_policy": RetryPolicy(
            initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=2)
        ),
    }


def asking() -> ActivityOptions:
    """Questions to other agents: as `rows`, but awaited through a cancellation, so that whatever was asked is known
    when the run is closed and cancelled with it."""
    return {**rows(), "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED}


def sweep() -> ActivityOptions:
    """The look for what was left behind: after a crash of everything there may be much of it."""
    return {
        "start_to_close_timeout": timedelta(minutes=5),
        "heartbeat_timeout": timedelta(seconds=10),
        "retry_policy": RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=5)),
    }


def question() -> ActivityOptions:
    """A look-up somebody waits for: two quick attempts."""
    return {
        "start_to_close_timeout": timedelta(seconds=10),
        "retry_policy": RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_attempts=2),
    }


def mcp() -> ActivityOptions:
    """A question to an MCP server, which keeps deadlines of its own; tried once more if its worker dies."""
    return {
        "task_queue": Queue.TOOLS,
        "start_to_close_timeout": timedelta(seconds=40),
        "heartbeat_timeout": timedelta(seconds=5),
        "retry_policy": RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=2),
        "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    }


@asynccontextmanager
async def heartbeating() -> AsyncIterator[None]:
    """Heartbeat three times per heartbeat timeout while the body runs."""
    timeout = activity.info().heartbeat_timeout
    beating = asyncio.create_task(_beat(timeout.total_seconds() / 3)) if timeout else None
    try:
        yield
    finally:
        if beating is not None:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating


async def held(write: Callable[[], Awaitable[Written]]) -> Written:
    """Write what cannot be had again, a reply that was paid for or the return of a tool that ran once: while the
    database is away it is held.

    Raises:
        Unavailable: it was away for a minute.
    """
    deadline = time.monotonic() + _HOLD
    while True:
        try:
            return await write()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(_TRY_AGAIN)


async def _beat(every: float) -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(every)


@contextmanager
def failing(*, for_good: bool = True) -> Iterator[None]:
    """Let errors leave an activity as Temporal's, without their causes: those may repeat content, which history keeps.

    Args:
        for_good: whether an error nobody foresaw is final. It would come again and again, and a transaction that is
            tried until it succeeds would never end.

    Raises:
        ApplicationError: ours by its `code`, retryable iff it says so; others as `internal_error`.
    """
    try:
        yield
    except ProjectError as error:
        raise as_failure(error) from None
    except ApplicationError:
        raise
    except Exception as error:
        kind = type(error).__name__
        log.error("unforeseen %s\n%s", kind, "".join(traceback.format_tb(error.__traceback__)))
        words = f"an error nobody foresaw ({kind}); the worker's log says where"
        raise ApplicationError(words, type=ProjectError.code, non_retryable=for_good) from None


def as_failure(error: ProjectError, *, for_good: bool = False) -> ApplicationError:
    """Our error as Temporal's: its code is the type, and it says whether and when to try again.

    Args:
        for_good: whether it is not to be tried again in any case.
    """
    delay = timedelta(seconds=error.retry_after) if error.retry_after is not None else None
    final = for_good or not error.retryable
    return ApplicationError(error.message, type=error.code, non_retryable=final, next_retry_delay=delay)
