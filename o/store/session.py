"""The connection to Postgres: a pool, and `transaction()`, the only place that begins and commits."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType

import orjson
import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from o.errors import Conflict, InvalidArgument, Unavailable
from o.ids import DEFAULT_ORG
from o.store.repositories.agents import Agents
from o.store.repositories.aliases import Aliases
from o.store.repositories.approvals import Approvals
from o.store.repositories.archives import Archives
from o.store.repositories.blocks import Blocks
from o.store.repositories.budgets import Budgets
from o.store.repositories.conversations import Conversations
from o.store.repositories.events import Events
from o.store.repositories.keys import Keys
from o.store.repositories.limits import Limits
from o.store.repositories.mcp_servers import McpServers, McpSignIns
from o.store.repositories.messages import Messages
from o.store.repositories.policies import Policies
from o.store.repositories.providers import Providers
from o.store.repositories.runs import Runs
from o.store.repositories.spend import Spend
from o.store.repositories.stalled import Stalled
from o.store.repositories.steps import Steps
from o.store.repositories.tool_runs import ToolRuns
from o.store.repositories.tools import Tools

# The role that row-level security binds; the migrations make it, every connection becomes it.
APP_ROLE = "o_app"

# How long to wait for a connection before the database counts as unavailable.
_POOL_TIMEOUT = 10.0

# Seconds that a process which stands still in the middle of a transaction may keep others from its rows; then the
# database ends the transaction. And how long anybody waits for a row.
_STANDSTILL = 10.0


Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of every process; tests hand in another."""
    return datetime.now(UTC)


class Transaction:
    """One open transaction of one organisation, and the repositories that speak through it."""

    def __init__(self, connection: AsyncConnection[DictRow], org_id: str, now: Clock, approval_ttl: float) -> None:
        self.org_id = org_id
        self.now = now
        self.approval_ttl = approval_ttl
        self.agents = Agents(connection, org_id)
        self.aliases = Aliases(connection, org_id)
        self.approvals = Approvals(connection, org_id)
        self.archives = Archives(connection, org_id)
        self.blocks = Blocks(connection, org_id)
        self.budgets = Budgets(connection, org_id)
        self.conversations = Conversations(connection, org_id)
        self.events = Events(connection, org_id)
        self.keys = Keys(connection, org_id)
        self.limits = Limits(connection, org_id)
        self.mcp_servers = McpServers(connection, org_id)
        self.mcp_sign_ins = McpSignIns(connection, org_id)
        self.messages = Messages(connection, org_id)
        self.policies = Policies(connection, org_id)
        self.providers = Providers(connection, org_id)
        self.runs = Runs(connection, org_id)
        self.stalled = Stalled(connection, org_id)
        self.spend = Spend(connection, org_id)
        self.steps = Steps(connection, org_id)
        self.tool_runs = ToolRuns(connection, org_id)
        self.tools = Tools(connection, org_id)


class Store:
    """The database, for one process. Open it once, close it at the end.

    Args:
        url: a libpq connection string (`postgresql://…`).
        size: most connections of this process, ≥ 1.
        clock: what time it is.
        approval_ttl: seconds a pending approval may wait, > 0; a week unless told otherwise.
    """

    def __init__(self, url: str, *, size: int = 10, clock: Clock = utc_now, approval_ttl: float = 604800.0) -> None:
        self.url = url
        self._clock = clock
        self._approval_ttl = approval_ttl
        self._pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=size,
            open=False,
            timeout=_POOL_TIMEOUT,
            configure=_configure,
            kwargs={"autocommit": True, "row_factory": dict_row},
            connection_class=AsyncConnection[DictRow],
        )

    async def __aenter__(self) -> "Store":
        await self._pool.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.close()

    def now(self) -> datetime:
        """The time by the store's clock, with its zone."""
        return self._clock()

    @asynccontextmanager
    async def transaction(self, org_id: str = DEFAULT_ORG) -> AsyncIterator[Transaction]:
        """One transaction that sees and writes only the rows of `org_id`; commits at the end, rolls back on error.

        Raises:
            Unavailable: the database cannot be reached or went away; nothing was written, or (at commit) it is not
                known. Whoever retries must be idempotent, as every activity is.
            InvalidArgument: a text that Postgres cannot hold (NUL, half a surrogate pair), or a number out of range.
            Conflict: a unique or foreign key, or a deadlock the database resolved against us.
        """
        try:
            async with self._begun(org_id) as connection:
                try:
                    yield Transaction(connection, org_id, self._clock, self._approval_ttl)
                except BaseException:
                    if not connection.closed:
                        await connection.execute(b"ROLLBACK")
                    raise
                await connection.execute(b"COMMIT")
        except (psycopg.errors.UniqueViolation, psycopg.errors.ForeignKeyViolation) as error:
            constraint = error.diag.constraint_name or "a constraint"
            raise Conflict(f"the change conflicts with what is stored ({constraint})") from error
        except (psycopg.DataError, UnicodeEncodeError):
            # Their words would repeat the value.
            raise InvalidArgument("the database cannot hold a value: a NUL or half a character, or too large") from None
        except psycopg.errors.DeadlockDetected as error:
            raise Unavailable("the database resolved a deadlock against this request; try again") from error
        except (psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout, PoolTimeout) as error:
            raise Unavailable("the database does not answer") from error

    @asynccontextmanager
    async def _begun(self, org_id: str) -> AsyncIterator[AsyncConnection[DictRow]]:
        """A connection with an open transaction. One that died in the pool is replaced: nothing was done on it yet."""
        begin = sql.SQL("BEGIN; SELECT set_config('o.org_id', {}, true)").format(sql.Literal(org_id))
        for spare in range(self._pool.max_size, -1, -1):
            connection = await self._pool.getconn()
            try:
                await connection.execute(begin)
            except psycopg.OperationalError:
                await self._pool.putconn(connection)
                if not spare:
                    raise
                continue
            try:
                yield connection
            finally:
                await self._pool.putconn(connection)
            return

    async def listen_connection(self) -> AsyncConnection[DictRow]:
        """A connection of its own for LISTEN, outside the pool; the caller closes it.

        Raises:
            Unavailable: the database does not answer.
        """
        try:
            return await AsyncConnection.connect(self.url, autocommit=True, row_factory=dict_row)
        except psycopg.OperationalError as error:
            raise Unavailable("the database does not answer") from error


async def _configure(connection: AsyncConnection[DictRow]) -> None:
    set_json_loads(orjson.loads, connection)  # half the time of listing messages went into the other reader
    most = sql.Literal(f"{_STANDSTILL * 1000:.0f}ms")
    await connection.execute(
        sql.SQL("SET ROLE {}; SET idle_in_transaction_session_timeout = {}; SET lock_timeout = {}").format(
            sql.Identifier(APP_ROLE), most, most
        )
    )
