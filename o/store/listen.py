"""LISTEN: hearing what other processes committed, over a connection of its own that never goes through a pooler."""

import asyncio
import logging
from collections.abc import Callable

import psycopg
from psycopg import sql

from o.errors import Unavailable
from o.store.session import Store

_RECONNECT_AFTER = 0.5  # seconds; listeners read again on a timer, so nothing is lost meanwhile

log = logging.getLogger(__name__)


async def listen(store: Store, channel: str, heard: Callable[[str], None], listening: asyncio.Event) -> None:
    """Call `heard` with the payload of every notification on `channel`, until cancelled.

    A lost connection is made again; `listening` is set while there is one, and `heard("")` is called after each
    (re)connection, since notifications may have been missed.
    """
    while True:
        try:
            async with await store.listen_connection() as connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                listening.set()
                heard("")
                async for notification in connection.notifies():
                    heard(notification.payload)
        except (psycopg.OperationalError, Unavailable):
            log.warning("lost the connection that listens on %s; connecting again", channel)
        finally:
            listening.clear()
        await asyncio.sleep(_RECONNECT_AFTER)
