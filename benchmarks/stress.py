"""Bounded load on one machine: `python -m benchmarks.stress [--seconds 20] [--kill]`.

Many conversations at once, posted, streamed and left to run, on a model that answers at once; with `--kill` workers
die by kill -9 all the while. In the end every message is looked for in the database: nothing may be lost or there
twice. Exit code 1 on a violation.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import httpx
import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from benchmarks.figures import percentile
from benchmarks.stack import Stack, StackFailed

Way = Literal["posted", "streamed", "left to run"]
_WAYS: tuple[Way, ...] = ("posted", "streamed", "left to run")

_MOST_SECONDS = 60.0
# Seconds between two kills, and seconds after the load within which every run must have ended.
_KILL_EVERY, _SETTLE = (2.0, 4.0), 60.0

_OPEN = "SELECT count(*) AS n FROM runs WHERE completed_at IS NULL"

# Each finds rows that must not be; the name says what they would mean.
_VIOLATIONS = {
    "runs that did not end as they should": "SELECT id FROM runs WHERE stop_reason IS DISTINCT FROM 'end_turn'",
    "conversations still held": "SELECT id FROM conversations WHERE active_run_id IS NOT NULL",
    "runs without exactly one question": """
        SELECT r.id FROM runs r LEFT JOIN messages m ON m.run_id = r.id AND m.role = 'user'
        GROUP BY r.id HAVING count(m.id) <> 1""",
    "runs without exactly one answer": """
        SELECT r.id FROM runs r LEFT JOIN messages m ON m.run_id = r.id AND m.role = 'assistant'
        GROUP BY r.id HAVING count(m.id) <> 1""",
    "answers to another question": """
        SELECT a.id FROM messages a JOIN messages q ON q.run_id = a.run_id AND q.role = 'user'
        WHERE a.role = 'assistant' AND a.text <> 'You said: ' || q.text""",
    "answers out of turn": """
        SELECT id FROM (SELECT id, role, run_id, lag(run_id) OVER line AS before FROM messages
        WHERE role IN ('user', 'assistant') WINDOW line AS (PARTITION BY conversation_id ORDER BY seq, position)) told
        WHERE role = 'assistant' AND run_id IS DISTINCT FROM before""",
    "runs without exactly one step": """
        SELECT r.id FROM runs r LEFT JOIN steps s ON s.run_id = r.id AND s.status = 'success'
        GROUP BY r.id HAVING count(s.id) <> 1""",
    "runs whose events have not one message and one end": """
        SELECT r.id FROM runs r LEFT JOIN run_events e ON e.run_id = r.id GROUP BY r.id
        HAVING count(*) FILTER (WHERE kind = 'end') <> 1 OR count(*) FILTER (WHERE kind = 'message') <> 1""",
    "texts of overtaken attempts": """
        SELECT e.run_id FROM run_events e LEFT JOIN messages m ON m.id = e.data->>'id'
        WHERE e.kind = 'delta' AND m.id IS NULL""",
}


@dataclass
class Load:
    """The clients: what they sent, how long it took, and what they got that they should not have."""

    http: httpx.AsyncClient
    agents: list[str]
    chance: random.Random
    sent: Counter[str] = field(default_factory=Counter)
    times: dict[Way, list[float]] = field(default_factory=lambda: {way: [] for way in _WAYS})
    wrong: list[str] = field(default_factory=list)
    kills: int = 0

    async def client(self, number: int, until: float) -> None:
        """One client: a message after another until the time is over."""
        count = 0
        while time.monotonic() < until:
            text, way = f"message {count} of client {number}", self.chance.choice(_WAYS)
            began = time.monotonic()
            try:
                got = await self._say(self.chance.choice(self.agents), way, text)
            except httpx.HTTPError as error:
                self.wrong.append(f"{way}: {type(error).__name__} {error}"[:200])
                continue
            finally:
                self.sent[text] += 1
                count += 1
            self.times[way].append(time.monotonic() - began)
            if got is not None and got != f"You said: {text}":
                self.wrong.append(f"{way}: asked {text!r}, got {got!r}"[:200])

    async def _say(self, agent: str, way: Way, text: str) -> str | None:
        path = f"/v1/agents/{agent}/messages"
        match way:
            case "posted":
                answer = (await self.http.post(path, json={"input": text})).raise_for_status().json()
                return "".join(message["content"] for message in answer["messages"])
            case "left to run":
                (await self.http.post(f"{path}/async", json={"input": text})).raise_for_status()
                return None
            case "streamed":
                return await self._stream(path, text)

    async def _stream(self, path: str, text: str) -> str:
        """The text of the last message id: one of an attempt that was cut off may have come before it."""
        said: dict[str, str] = {}
        body = {"input": text, "stream_tokens": True}
        async with self.http.stream("POST", f"{path}/stream", json=body) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                event = json.loads(line.removeprefix("data: ")) if line.startswith("data: {") else {}
                if event.get("message_type") == "assistant_message":
                    said[event["id"]] = said.get(event["id"], "") + event["content"]
        return list(said.values())[-1] if said else ""

    async def kill(self, stack: Stack, until: float) -> None:
        """kill -9 a worker now and then."""
        while (pause := self.chance.uniform(*_KILL_EVERY)) < until - time.monotonic():
            await asyncio.sleep(pause)
            if running := stack.worker_pids():
                stack.kill_worker(self.chance.choice(running))
                self.kills += 1


async def load(stack: Stack, options: argparse.Namespace) -> Load:
    """The whole load; returns when every client has its last answer."""
    limits = httpx.Limits(max_connections=options.concurrency, max_keepalive_connections=options.concurrency)
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=_SETTLE, limits=limits) as http:
        made = [
            (await http.post("/v1/agents/", json={"name": f"stress {number}"})).raise_for_status().json()["id"]
            for number in range(options.agents)
        ]
        running = Load(http, made, random.Random(options.seed))
        until = time.monotonic() + options.seconds
        async with asyncio.TaskGroup() as group:
            for number in range(options.concurrency):
                group.create_task(running.client(number, until))
            if options.kill:
                group.create_task(running.kill(stack, until))
    return running


def verify(stack: Stack, sent: Counter[str], journal: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Wait until every run has ended, then count; returns figures, and violations by what they mean."""
    with psycopg.connect(stack.database_url, autocommit=True, row_factory=dict_row) as connection:

        def rows(query: str) -> list[dict[str, Any]]:
            return connection.execute(query.encode()).fetchall()

        deadline = time.monotonic() + _SETTLE
        while rows(_OPEN)[0]["n"] and time.monotonic() < deadline:
            time.sleep(0.1)  # the end of a run is announced per run; here all are waited for
        found = {name: len(rows(query)) for name, query in _VIOLATIONS.items()}
        stored = Counter(row["text"] for row in rows("SELECT text FROM messages WHERE role = 'user'"))
        attempts = rows("SELECT count(*) AS steps, coalesce(sum(model_attempt), 0) AS attempts FROM steps")[0]
    found["messages lost"] = sum((sent - stored).values())
    found["messages doubled"] = sum((stored - sent).values())
    asked = len(journal.read_text().splitlines())
    # An answered step takes no further attempt, so a request beyond the attempts would be a second bill.
    found["model requests beyond the attempts"] = max(0, asked - int(attempts["attempts"]))
    figures = {
        "turns": sum(stored.values()),
        "model requests": asked,
        "attempts that were cut off": int(attempts["attempts"]) - int(attempts["steps"]),
    }
    return figures, found


def show(console: Console, done: Load, seconds: float, figures: dict[str, int], violations: dict[str, int]) -> None:
    """The table, and whatever is wrong."""
    table = Table("what", "figure")
    for name, value in {**figures, "workers killed": done.kills}.items():
        table.add_row(name, str(value))
    table.add_row("turns per second", f"{figures['turns'] / seconds:.1f}")
    for way, times in done.times.items():
        if times:
            shown = " / ".join(f"{1000 * percentile(times, share):.0f}" for share in (0.5, 0.95))
            table.add_row(f"{way}: {len(times)}, p50 / p95 ms", shown)
    console.print(table)
    checks = Table("looked for", "found")
    for name, count in {"wrong answers to clients": len(done.wrong), **violations}.items():
        checks.add_row(name, str(count), style="red" if count else None)
    console.print(checks)
    for words in done.wrong[:5]:
        console.print(words, style="red", highlight=False)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most {_MOST_SECONDS:g}")
    return value


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Exit code 0 if nothing was lost or doubled, 1 if something was, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stress", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=_seconds, default=20.0, help="how long clients send, at most 60")
    parser.add_argument("--agents", type=int, default=48, help="how many agents they talk to")
    parser.add_argument("--concurrency", type=int, default=32, help="how many clients there are")
    parser.add_argument("--workers", type=int, default=2, help="how many worker processes there are")
    parser.add_argument("--seed", type=int, default=1, help="of the choices the clients and kills make")
    parser.add_argument("--kill", action="store_true", help="kill -9 a random worker every few seconds")
    options = parser.parse_args()
    console = Console()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Stack() as stack:
            journal = stack.data_dir / "journal"
            env = {"O_DEFAULT_MODEL": "scripted/echo", "O_SCRIPTED_JOURNAL": str(journal), "O_LOG_LEVEL": "warning"}
            quick = {"O_HEARTBEAT_TIMEOUT": "2", "O_RECONCILE_EVERY": "2"} if options.kill else {}
            with console.status("starting O in a temporary folder"):
                stack.start(workers=options.workers, **env, **quick)
            with console.status(f"{options.concurrency} clients for {options.seconds:g} s"):
                began = time.monotonic()
                done = asyncio.run(load(stack, options))
                took = time.monotonic() - began
            with console.status("looking at what is stored"):
                figures, violations = verify(stack, done.sent, journal)
    except KeyboardInterrupt:
        console.print("\nstopped; nothing is left", style="yellow")
        return 130
    except StackFailed as error:
        console.print(str(error), style="red", highlight=False)
        return 1
    show(console, done, took, figures, violations)
    failed = bool(done.wrong) or any(violations.values())
    console.print(
        "something is wrong" if failed else "nothing lost, nothing doubled", style="red" if failed else "green"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
