"""Timeouts, heartbeats and retries of every activity, and the border where our errors become Temporal's."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import TypedDict

from temporalio import activity
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.workflow import ActivityCancellationType

from o.contracts.turn import Timing
from o.errors import ProjectError
from o.temporal import Queue

log = logging.getLogger(__name__)

# Seconds: what a provider asks for beyond that would hold the conversation while nobody knows why.
_LONGEST_WAIT = 60.0


class ActivityOptions(TypedDict, total=False):
    """The options of `workflow.execute_activity` that we set."""

    task_queue: str
    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType


def model(timing: Timing) -> ActivityOptions:
    """A model request: six attempts over about a minute of waiting; a silent worker costs one heartbeat timeout.

    The workflow waits for a cancelled request to end, so that the conversation is handed over after its last effect.
    """
    return {
        "start_to_close_timeout": timedelta(seconds=timing.model),
        "heartbeat_timeout": timedelta(seconds=timing.heartbeat),
        "retry_policy": RetryPolicy(
            initial_interval=timedelta(milliseconds=500), backoff_coefficient=3.0, maximum_attempts=6
        ),
        "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    }


def tool(timing: Timing) -> ActivityOptions:
    """A tool call. A call that must not be repeated is not: its second attempt reports the outcome unknown."""
    return {
        "task_queue": Queue.TOOLS,
        "start_to_close_timeout": timedelta(seconds=timing.tool),
        "heartbeat_timeout": timedelta(seconds=timing.heartbeat),
        "retry_policy": RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=4),
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
    except Exception as error:
        kind = type(error).__name__
        log.error("unforeseen %s\n%s", kind, "".join(traceback.format_tb(error.__traceback__)))
        words = f"an error nobody foresaw ({kind}); the worker's log says where"
        raise ApplicationError(words, type=ProjectError.code, non_retryable=for_good) from None


def as_failure(error: ProjectError) -> ApplicationError:
    """Our error as Temporal's: its code is the type, and it says whether and when to try again."""
    delay = timedelta(seconds=min(error.retry_after, _LONGEST_WAIT)) if error.retry_after is not None else None
    return ApplicationError(error.message, type=error.code, non_retryable=not error.retryable, next_retry_delay=delay)
