"""A platform of which every part can be killed: its own Postgres, Temporal, api and workers, with short time-outs."""

import asyncio
import json
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from o import ids
from o.domain.json import JsonObject
from o.embedded.layout import Layout
from o.sandbox.base import SandboxUnavailable
from o.sandbox.client import SocketSandbox
from o.store import migrate
from tests.support.servers import Platform, Postgres, Process, Temporal, environment, until

Row = dict[str, Any]

# What a letta-client of the 1.x line knows in a stream.
KNOWN_EVENTS = {
    "ping",
    "assistant_message",
    "reasoning_message",
    "tool_call_message",
    "tool_return_message",
    "stop_reason",
    "usage_statistics",
}


def script(*turns: JsonObject) -> str:
    """A user message that the model `scripted/json` plays."""
    return json.dumps({"turns": list(turns)})


def call(name: str, **arguments: object) -> JsonObject:
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


def texts_of(events: Iterable[JsonObject]) -> dict[str, str]:
    """What a reader of a stream has at its end: the assistant's texts by message id."""
    texts: dict[str, str] = defaultdict(str)
    for event in events:
        if event["message_type"] == "assistant_message":
            texts[event["id"]] += event["content"]
    return dict(texts)


def events_of(lines: Iterable[str]) -> Iterator[JsonObject]:
    """The data of server-sent events, without the closing mark."""
    for line in lines:
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


@dataclass
class Site:
    """The parts, and what tests ask of them."""

    layout: Layout
    postgres: Postgres
    temporal: Temporal
    database_url: str
    platform: Platform
    http: httpx.Client
    executor: Process
    others: list[Process] = field(default_factory=list)

    @property
    def worker(self) -> Process:
        return self.platform.workers[0]

    @property
    def api(self) -> Process:
        return self.platform.api

    def second_worker(self, *arguments: str) -> Process:
        """Another worker, started; it is stopped after the test."""
        started = self.platform.new_worker(f"other-{len(self.others)}", *arguments)
        started.start()
        self.others.append(started)
        return started

    def start_executor(self) -> None:
        """Have tools run in the sandbox, if they do not yet."""
        if not self.executor.running:
            self.executor.start()
            until(self._isolates, "the executor's self-test")

    def _isolates(self) -> bool:
        try:
            return asyncio.run(SocketSandbox(self.layout.run / "sandbox.sock").report()).sufficient
        except SandboxUnavailable:
            return False

    def heal(self) -> None:
        """Start whatever does not run, and stop what is too many."""
        for process in self.others:
            process.kill()
        self.others.clear()
        if self.worker.running:
            self.worker.signal(signal.SIGCONT)
        if not self.postgres.process.running:
            self.postgres.restart()
        if not self.temporal.process.running:
            self.temporal.start()
        if not self.api.running:
            self.platform.start_api()
        if not self.worker.running:
            self.worker.start()

    def close(self) -> None:
        for process in self.others:
            process.kill()
        self.http.close()
        self.platform.stop()
        self.executor.stop()
        self.temporal.process.stop()
        self.postgres.process.stop()

    def rows(self, query: str, **params: object) -> list[Row]:
        with psycopg.connect(self.database_url, row_factory=dict_row) as connection:
            return connection.execute(query.encode(), params).fetchall()

    def row(self, query: str, **params: object) -> Row:
        (found,) = self.rows(query, **params)
        return found

    def post(self, path: str, body: JsonObject, **headers: str) -> Any:
        answer = self.http.post(path, json=body, headers=headers)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def agent(self, **more: object) -> str:
        """An agent that plays scripts and has the tests' tools."""
        body = {
            "name": "Survivor",
            "model": "scripted/json",
            "memory_blocks": [{"label": "human", "value": "Name: unknown"}],
            "tools": ["look_up", "charge_card"],
            **more,
        }
        return str(self.post("/v1/agents/", body)["id"])

    def begin(self, agent_id: str, text: str) -> str:
        """Say something and do not wait; the run's id."""
        return str(self.post(f"/v1/agents/{agent_id}/messages/async", {"input": text})["id"])

    def run(self, run_id: str) -> Row:
        return self.row("SELECT * FROM runs WHERE id = %(id)s", id=run_id)

    def run_of(self, agent_id: str) -> str:
        """The agent's one run."""
        return str(self.row("SELECT id FROM runs WHERE agent_id = %(id)s", id=agent_id)["id"])

    def ended(self, run_id: str, deadline: float = 45.0) -> None:
        """Wait for the end of a run: whoever could tell may be the one that was killed."""
        until(lambda: self.run(run_id)["completed_at"] is not None, f"the end of {run_id}", deadline)

    def asked(self, more_than: int) -> None:
        """Wait until the model has had more requests than these."""
        until(lambda: self.platform.requests() > more_than, "the model being asked")

    def overtaken(self, run_id: str, attempts: int = 1) -> None:
        """Wait until the run's first step is at a later attempt than this."""
        query = "SELECT attempt FROM steps WHERE run_id = %(id)s AND index = 0"
        until(lambda: bool(self.row(query, id=run_id)["attempt"] > attempts), "the step being overtaken", 60)

    def began(self, mark: str) -> None:
        """Wait until the tool that was given this mark has begun."""
        until(lambda: self.effects(mark) > 0, "the tool running")

    def effects(self, mark: str) -> int:
        """How often the tool that was given this mark has begun."""
        noted = self.layout.data_dir / "effects"
        return noted.read_text().splitlines().count(mark) if noted.exists() else 0


@contextmanager
def site_in(layout: Layout) -> Iterator[Site]:
    """Everything started; everything stopped at the end."""
    postgres, temporal = Postgres(layout), Temporal(layout)
    postgres.start()
    temporal.start()
    url = postgres.create("survival")
    migrate.upgrade(url)
    _add_tools(url)
    env = environment(
        *(layout.data_dir, url, temporal.address),
        O_HEARTBEAT_TIMEOUT="1",
        O_RECONCILE_EVERY="1",
        O_DATABASE_POOL="5",
        O_ALLOWED_HOSTS="127.0.0.0/8",
    )
    platform = Platform(layout.data_dir, env, worker=("-m", "tests.survival.worker"))
    executor = Process([sys.executable, "-m", "o.cli.app", "executor"], env, layout.data_dir / "executor.log")
    client = httpx.Client(base_url=platform.url, timeout=60)
    site = Site(layout, postgres, temporal, url, platform, client, executor)
    try:
        platform.start()
        yield site
    finally:
        site.close()


def _add_tools(url: str) -> None:
    schema = {"type": "object", "properties": {"mark": {"type": "string"}, "seconds": {"type": "number"}}}
    with psycopg.connect(url) as connection:
        for name, effect in (("look_up", "reads"), ("charge_card", "external")):
            connection.execute(
                "INSERT INTO tools (id, org_id, name, tool_type, description, json_schema, effect) "
                "VALUES (%s, %s, %s, 'custom', %s, %s, %s)",
                [
                    ids.new("tool"),
                    ids.DEFAULT_ORG,
                    name,
                    name,
                    json.dumps({"name": name, "parameters": schema}),
                    effect,
                ],
            )


def assert_whole(
    site: Site, run_id: str, said: list[tuple[str, str]], *, stop: str = "end_turn", again: bool = True
) -> None:
    """The run has ended as it would have without the crash, nothing of it is lost or there twice, and the agent lives.

    Args:
        said: role and text of every message of the run, in order; of a tool message the text of its one return.
        again: whether to send the next message too; nothing else may wait in the conversation then.
    """
    site.ended(run_id)
    run = site.run(run_id)
    assert run["stop_reason"] == stop, run["error"]
    _assert_messages(site, run_id, said)
    _assert_events(site, run)
    _assert_steps(site, run_id)
    thread = site.row("SELECT * FROM conversations WHERE id = %(id)s", id=run["conversation_id"])
    assert thread["active_run_id"] != run_id
    if again:
        assert thread["active_run_id"] is None
        waiting = "SELECT 1 FROM runs WHERE conversation_id = %(id)s AND completed_at IS NULL"
        assert site.rows(waiting, id=run["conversation_id"]) == []
        path = f"/v1/agents/{run['agent_id']}/messages"
        answer = site.post(path, {"input": script({"text": "Still here."})})
        assert [message["content"] for message in answer["messages"]] == ["Still here."]


def _assert_messages(site: Site, run_id: str, said: list[tuple[str, str]]) -> None:
    rows = site.rows("SELECT * FROM messages WHERE run_id = %(id)s ORDER BY seq, position", id=run_id)
    told = [
        (row["role"], row["text"] or "".join(returned["content"] for returned in row["tool_returns"])) for row in rows
    ]
    assert told[1:] == said
    assert [row["role"] for row in rows][:1] == ["user"]
    called = [each["id"] for row in rows for each in row["tool_calls"]]
    returned = [each["tool_call_id"] for row in rows for each in row["tool_returns"]]
    assert called == returned
    assert len(set(called)) == len(called)
    listed = site.http.get(f"/v1/runs/{run_id}/messages").json()
    shown = Counter((each["id"], each["message_type"]) for each in listed)
    assert set(shown.values()) == {1}


def _assert_events(site: Site, run: Row) -> None:
    events = site.rows("SELECT * FROM run_events WHERE run_id = %(id)s ORDER BY seq", id=run["id"])
    kinds = Counter(event["kind"] for event in events)
    assert kinds["end"] == 1
    assert events[-1]["kind"] == "end"
    assert events[-1]["seq"] == run["last_seq"]
    whole = Counter(event["data"]["otid"] for event in events if event["kind"] == "message")
    assert set(whole.values()) <= {1}
    rows = site.rows("SELECT id, role, text FROM messages WHERE run_id = %(id)s", id=run["id"])
    texts = {row["id"]: row["text"] for row in rows if row["role"] == "assistant" and row["text"]}
    deltas = {event["data"]["id"] for event in events if event["kind"] == "delta"}
    assert deltas <= {row["id"] for row in rows}  # nothing of an attempt that was overtaken
    if run["background"]:
        replay = site.http.post(f"/v1/runs/{run['id']}/stream", json={"include_pings": False})
        read = list(events_of(replay.text.splitlines()))
        assert {event["message_type"] for event in read} <= {*KNOWN_EVENTS, "error_message"}
        assert texts_of(read) == texts


def _assert_steps(site: Site, run_id: str) -> None:
    steps = site.rows("SELECT * FROM steps WHERE run_id = %(id)s ORDER BY index", id=run_id)
    assert [step["index"] for step in steps] == list(range(len(steps)))
    assert "pending" not in {step["status"] for step in steps}
    assert site.rows("SELECT 1 FROM tool_calls WHERE run_id = %(id)s AND status <> 'done'", id=run_id) == []
