"""Rate limits of model requests, shared by all processes: who may ask now, and how long the others wait."""

from dataclasses import dataclass

from o.store.repositories.base import Repository

# Seconds over which vendors count requests and tokens.
_WINDOW = 60.0


@dataclass(frozen=True, slots=True)
class Granted:
    """The request may be made, at once; settle it when its usage is known."""

    grant_id: str


@dataclass(frozen=True, slots=True)
class Wait:
    """The request may not be made yet; ask again, with the same `request_id`, in `seconds`."""

    seconds: float


class Limits(Repository):
    """Grants of all organisations: a bucket belongs to whoever shares its key. By functions the migrations define."""

    async def take(
        self,
        bucket: str,
        *,
        agent_id: str,
        request_id: str,
        tokens: int,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        spread: float,
        returns: bool = True,
        window: float = _WINDOW,
    ) -> Granted | Wait:
        """Let a request through if the limits of the last minute and fairness between agents allow it.

        Room goes to the waiting agent that had the least of the bucket, so a busy one uses what others leave. The
        bucket is locked until the transaction ends: let it be a transaction of its own, and none of the request's.

        Args:
            bucket: what the vendor counts together (a provider and a key's fingerprint); no secret, no content.
            request_id: the same for all tries of one request, else it stands in line more than once.
            tokens: what prompt and reply may come to, ≥ 0. More than the limit waits for a window of its own.
            requests_per_minute, tokens_per_minute: ≥ 1; None: no such limit.
            spread: in [0, 1), by chance: keeps those who wait from coming back all at once.
            returns: whether who is told to wait will ask again, so that a place is kept for it. The places of those
                who are served elsewhere would fill the line, and nobody would be let through.
            window: seconds the limits are for, > 0.
        """
        row = await self._row(
            "SELECT grant_id, seconds FROM o_take_grant(%(bucket)s, %(agent)s, %(request)s, %(tokens)s::bigint, "
            "%(rpm)s::bigint, %(tpm)s::bigint, %(window)s, %(spread)s)",
            {
                "bucket": bucket,
                "agent": agent_id,
                "request": request_id,
                "tokens": tokens,
                "rpm": requests_per_minute,
                "tpm": tokens_per_minute,
                "window": window,
                "spread": spread,
            },
        )
        assert row is not None  # the function always returns one row
        if row["grant_id"] is not None:
            return Granted(row["grant_id"])
        if not returns:
            await self._execute(
                "SELECT o_leave_line(%(bucket)s, %(request)s)", {"bucket": bucket, "request": request_id}
            )
        return Wait(row["seconds"])

    async def settle(self, grant_id: str, tokens: int) -> None:
        """Let a grant count what its request really used, ≥ 0. One that is past its minute counts nothing any more."""
        await self._execute("SELECT o_settle_grant(%(id)s, %(tokens)s)", {"id": grant_id, "tokens": tokens})
