"""Tools that are run by hand: the request on its way to a worker, the result on its way back."""

from o.store.repositories.base import Repository


def request_context(tool_run_id: str) -> str:
    """What a request is bound to when it is encrypted: it opens nowhere else."""
    return f"tool_runs/{tool_run_id}/request"


def result_context(tool_run_id: str) -> str:
    """What a result is bound to when it is encrypted."""
    return f"tool_runs/{tool_run_id}/result"


class ToolRuns(Repository):
    """The runs by hand of one organisation. Requests and results are ciphertext."""

    async def add(self, tool_run_id: str, request: str) -> None:
        """Store a request for a worker to take."""
        await self._execute(
            "INSERT INTO tool_runs (id, org_id, request) VALUES (%(id)s, %(org)s, %(request)s)",
            {"id": tool_run_id, "org": self._org_id, "request": request},
        )

    async def take(self, tool_run_id: str) -> str | None:
        """The request, for whoever asks first; None for all others, and where the row is gone."""
        row = await self._row(
            "WITH it AS (SELECT id, request FROM tool_runs WHERE id = %(id)s AND request IS NOT NULL FOR UPDATE) "
            "UPDATE tool_runs t SET request = NULL FROM it WHERE t.id = it.id RETURNING it.request",
            {"id": tool_run_id},
        )
        return None if row is None else str(row["request"])

    async def finish(self, tool_run_id: str, result: str) -> None:
        """Store what came back; nothing happens where the row is gone."""
        await self._execute(
            "UPDATE tool_runs SET result = %(result)s WHERE id = %(id)s", {"id": tool_run_id, "result": result}
        )

    async def withdraw(self, tool_run_id: str) -> bool:
        """Delete the row if no worker has taken its request; returns whether that is so: then none ever will."""
        return bool(
            await self._execute("DELETE FROM tool_runs WHERE id = %(id)s AND request IS NOT NULL", {"id": tool_run_id})
        )

    async def taken(self, tool_run_id: str) -> bool:
        """Whether a worker has the request, or had it."""
        waiting = "SELECT 1 FROM tool_runs WHERE id = %(id)s AND request IS NOT NULL"
        return await self._row(waiting, {"id": tool_run_id}) is None

    async def collect(self, tool_run_id: str) -> str | None:
        """The result, and the row is gone; None where there is none."""
        row = await self._row("DELETE FROM tool_runs WHERE id = %(id)s RETURNING result", {"id": tool_run_id})
        return None if row is None or row["result"] is None else str(row["result"])

    async def prune(self, *, older_than: float) -> int:
        """Delete rows that nobody came back for, older than so many seconds, in all organisations."""
        row = await self._row("SELECT o_prune_tool_runs(%(secs)s) AS n", {"secs": older_than})
        return int(row["n"]) if row else 0
