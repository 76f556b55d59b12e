"""What a turn costs: `python -m benchmarks.turns [--json]`.

A whole platform is started in a temporary folder, with a model that answers at once, so that what is measured is
the platform. The floor, bare workflows on the same server, is measured in turn with the turns: compare ratios within
one run, since machines are noisy.
"""

import argparse
import asyncio
import json
import os
import signal
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx
import psutil
from rich.console import Console

from benchmarks import floor
from benchmarks.figures import Report, percentile
from benchmarks.stack import Stack
from o.temporal import connect

_WARM_UP = 10
_ALONE = 100
_LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=200)


@dataclass
class Bench:
    """A running platform, a connection to it, and where the figures go."""

    stack: Stack
    http: httpx.AsyncClient
    report: Report
    say: Callable[[str], None]

    async def agent(self, **more: object) -> str:
        body = {"name": "bench", "model": "scripted/echo", "memory_blocks": [{"label": "human", "value": "x"}], **more}
        made = (await self.http.post("/v1/agents/", json=body)).raise_for_status()
        return str(made.json()["id"])

    async def turn(self, agent: str) -> float:
        started = time.perf_counter()
        answer = (await self.http.post(f"/v1/agents/{agent}/messages", json={"input": "Hello"})).raise_for_status()
        elapsed = time.perf_counter() - started
        assert answer.json()["stop_reason"]["stop_reason"] == "end_turn"
        return elapsed

    async def streamed(self, agent: str) -> tuple[float, float]:
        """Seconds to the first event of content, and to the end."""
        started, first = time.perf_counter(), 0.0
        body = {"input": "Hello", "stream_tokens": True, "streaming": True}
        async with self.http.stream("POST", f"/v1/agents/{agent}/messages/stream", json=body) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if not first and "assistant_message" in line:
                    first = time.perf_counter() - started
        return first, time.perf_counter() - started

    def cpu(self) -> float:
        """Processor seconds of the whole platform so far, its databases included."""
        total = 0.0
        for process in psutil.Process(self.stack.pid).children(recursive=True):
            times = process.cpu_times()
            total += times.user + times.system
        return total


async def alone(bench: Bench) -> None:
    """One turn at a time, in turn with the floor under it."""
    agent = await bench.agent()
    client = await connect(bench.stack.temporal_address, "default")

    async def bare(activities: int) -> float:
        started = time.perf_counter()
        await client.execute_workflow("FloorSteps", activities, id=f"floor-{uuid.uuid4()}", task_queue=floor.QUEUE)
        return time.perf_counter() - started

    turns: list[float] = []
    ones: list[float] = []
    twos: list[float] = []
    async with floor.worker(client):
        for number in range(_WARM_UP + _ALONE):
            measured = await bench.turn(agent), await bare(1), await bare(2)
            if number >= _WARM_UP:
                for samples, value in zip((turns, ones, twos), measured, strict=True):
                    samples.append(value)
    bench.report.times("turn, concurrency 1", turns, per_second=1 / percentile(turns, 0.5))
    bench.report.times("floor: workflow of one activity", ones)
    bench.report.times("floor: workflow of two activities", twos)
    bench.report.add("turn / floor of one activity", ratio=percentile(turns, 0.5) / percentile(ones, 0.5))


async def together(bench: Bench, concurrency: int, each: int) -> None:
    """Many conversations at once, one turn after the other in each."""
    agents = [await bench.agent() for _ in range(concurrency)]
    await asyncio.gather(*(bench.turn(agent) for agent in agents))

    async def chat(agent: str) -> list[float]:
        return [await bench.turn(agent) for _ in range(each)]

    before, started = bench.cpu(), time.perf_counter()
    turns = [turn for chat_turns in await asyncio.gather(*map(chat, agents)) for turn in chat_turns]
    elapsed = time.perf_counter() - started
    bench.report.times(
        f"turn, concurrency {concurrency}",
        turns,
        per_second=len(turns) / elapsed,
        cpu_ms_per_turn=(bench.cpu() - before) / len(turns) * 1000,
    )


async def streaming(bench: Bench) -> None:
    agent = await bench.agent()
    for _ in range(_WARM_UP):
        await bench.streamed(agent)
    measured = [await bench.streamed(agent) for _ in range(_ALONE // 2)]
    bench.report.times("streamed turn: first event of content", [first for first, _ in measured])
    bench.report.times("streamed turn: whole", [whole for _, whole in measured])


async def requests(bench: Bench) -> None:
    """Plain requests, one at a time."""
    agents = [await bench.agent() for _ in range(200)]
    talker = agents[0]
    for _ in range(30):
        await bench.turn(talker)

    async def timed(name: str, call: Callable[[], Awaitable[httpx.Response]], count: int = 150) -> None:
        samples = []
        for number in range(_WARM_UP + count):
            started = time.perf_counter()
            (await call()).raise_for_status()
            if number >= _WARM_UP:
                samples.append(time.perf_counter() - started)
        bench.report.times(name, samples)

    sdk = {"X-Stainless-Package-Version": "1.12.1"}
    http = bench.http
    await timed("get agent", lambda: http.get(f"/v1/agents/{talker}", headers=sdk))
    await timed("list 50 of 200 agents", lambda: http.get("/v1/agents/?limit=50", headers=sdk))
    body = {"name": "bench", "model": "scripted/echo"}
    await timed("create agent", lambda: http.post("/v1/agents/", json=body))
    block = f"/v1/agents/{talker}/core-memory/blocks/human"
    await timed("patch block", lambda: http.patch(block, json={"value": uuid.uuid4().hex}))
    await timed("list 50 messages", lambda: http.get(f"/v1/agents/{talker}/messages?limit=50"))


def memory(bench: Bench, when: str) -> None:
    """Memory that belongs to each process alone (USS), in MB."""
    figures = {
        name.replace("-", "_"): psutil.Process(pid).memory_full_info().uss / 1e6
        for name, pid in bench.stack.pids().items()
    }
    bench.report.add(f"memory in MB, {when}", **figures)


async def recovery(bench: Bench, rounds: int = 5) -> None:
    """From kill -9 of the only worker, in the middle of a model request, to the next attempt at it."""
    gaps = []
    for _ in range(rounds):
        agent = await bench.agent(model="scripted/json")
        script = {"turns": [{"text": "Hello", "delay": 2.0}]}
        before = len(_asked(bench))
        turn = asyncio.create_task(bench.http.post(f"/v1/agents/{agent}/messages", json={"input": json.dumps(script)}))
        while len(_asked(bench)) == before:
            await asyncio.sleep(0.01)
        killed = time.monotonic_ns()
        bench.stack.kill_worker()
        answer = (await turn).raise_for_status()
        assert answer.json()["stop_reason"]["stop_reason"] == "end_turn"
        gaps.append((_asked(bench)[before + 1] - killed) / 1e9)
    bench.report.times("kill -9 of the worker to the next attempt", gaps)


def _asked(bench: Bench) -> list[int]:
    """When the model was asked, in monotonic nanoseconds, by the journal of the scripted model."""
    journal = bench.stack.data_dir / "journal"
    return [json.loads(line)["ns"] for line in journal.read_text().splitlines()] if journal.exists() else []


def cold_starts(stack: Stack, report: Report, rounds: int = 3) -> None:
    """From the command to a healthy API, in a data folder that has been used before."""
    seconds = []
    for _ in range(rounds):
        stack.stop()
        started = time.perf_counter()
        stack.start()
        seconds.append(time.perf_counter() - started)
    report.times("cold start to healthy, warm data folder", seconds)


async def measure(stack: Stack, report: Report, say: Callable[[str], None], load: Sequence[tuple[int, int]]) -> None:
    """All figures of a running platform."""
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=120, limits=_LIMITS) as http:
        bench = Bench(stack, http, report, say)
        memory(bench, "at rest")
        say("turns, one at a time")
        await alone(bench)
        for concurrency, each in load:
            say(f"turns, {concurrency} at once")
            await together(bench, concurrency, each)
        say("streamed turns")
        await streaming(bench)
        say("plain requests")
        await requests(bench)
        memory(bench, "after load")
        say("recovery from kill -9")
        await recovery(bench)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure turns against the floor under them.")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    wants = parser.parse_args()
    console = Console(stderr=True)
    report = Report()
    with Stack() as stack, console.status("starting the platform") as status:
        signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
        # The journal file needs the data folder, which the first start makes.
        stack.start(O_SCRIPTED_JOURNAL=str(stack.data_dir / "journal"))

        def say(what: str) -> None:
            status.update(f"measuring: {what}")

        asyncio.run(measure(stack, report, say, [(16, 15), (64, 5)]))
        say("cold starts")
        cold_starts(stack, report)
    report.print(as_json=wants.json)


if __name__ == "__main__":
    main()
