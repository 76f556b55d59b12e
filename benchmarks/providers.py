"""What the provider adapters cost: `python -m benchmarks.providers [--json FILE]`.

Every adapter reads canned replies through its vendor's real SDK; nothing but the network is missing. The floor, the
same replies read with the SDK's own streaming call, is measured in turn with the adapter: compare ratios within one
run, since machines are noisy. What the adapter adds is its time less that of the part of the SDK it uses, which gives
it JSON values instead of typed chunks. Times are processor time of the one thread that does it all, so that a busy
machine disturbs them less. Memory and stalls are measured in fresh processes, for each vendor its own.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from pathlib import Path
from statistics import median

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.provider_vendors import VENDORS, Vendor
from benchmarks.provider_wires import Server, words
from o.domain.model import ModelRequest, ReplyBuilder
from o.providers.base import Provider

Figures = dict[str, float]
Cost = tuple[float, float, float]

_WARM_UP = 5
_REQUESTS = 100  # rounds with a reply of one token
_STREAMS = 12  # rounds with a short reply and a long one, whose difference is the price of the tokens between them
_SHORT, _LONG = 200, 2_000
_PROCESSES = 3  # of each kind, for memory and stalls


class Lane:
    """One vendor's adapter and its floors, before the same server.

    Args:
        calls: whether the replies are calls of a tool instead of text.
    """

    def __init__(self, vendor: Vendor, *, calls: bool) -> None:
        self._server = Server(vendor.media_type)
        self._provider: Provider = vendor.provider(None, self._server)
        self._request: ModelRequest = vendor.request(calls=calls)
        self._bare, self._raw = vendor.floors(self._server)
        reply = vendor.call if calls else vendor.text
        self._replies = {tokens: reply(words(tokens)) for tokens in (1, _SHORT, _LONG)}
        self._calls = calls

    async def warm(self) -> None:
        """Load what is loaded on first use, and see that the adapter reads what was said."""
        self._server.chunks = self._replies[_SHORT]
        for _ in range(_WARM_UP):
            builder = ReplyBuilder()
            async for event in self._provider.stream(self._request):
                builder.add(event)
            body = self._server.body
            for floor in (self._bare, self._raw):
                async for _chunk in await floor(body):
                    pass
        reply = builder.reply()
        read = json.loads(reply.tool_calls[0].arguments)["text"] if self._calls else reply.content[0]
        assert (read if isinstance(read, str) else getattr(read, "text", "")).strip() == "".join(words(_SHORT)).strip()
        self._body = body

    async def cost(self, tokens: int) -> Cost:
        """Microseconds of one reply of so many tokens: by the adapter, by the bare SDK, by the part of it in use."""
        self._server.chunks = self._replies[tokens]
        return (
            await _microseconds(self._adapted),
            await _microseconds(lambda: self._bare(self._body)),
            await _microseconds(lambda: self._raw(self._body)),
        )

    async def _adapted(self) -> AsyncIterable[object]:
        return self._provider.stream(self._request)


async def _microseconds(opened: Callable[[], Awaitable[AsyncIterable[object]]]) -> float:
    started = time.thread_time_ns()
    async for _ in await opened():
        pass
    return (time.thread_time_ns() - started) / 1000


async def measure(vendor: Vendor, *, calls: bool) -> Figures:
    """Microseconds per request and per token, by the adapter and by the bare SDK; the ratio is that of each round."""
    lane = Lane(vendor, calls=calls)
    await lane.warm()
    requests = [await lane.cost(1) for _ in range(_REQUESTS)]
    tokens: list[Cost] = []
    for _ in range(_STREAMS):
        short, long = await lane.cost(_SHORT), await lane.cost(_LONG)
        adapter, bare, raw = ((after - before) / (_LONG - _SHORT) for before, after in zip(short, long, strict=True))
        tokens.append((adapter, bare, raw))
    return {**_medians("request", requests), **(_medians("token", tokens) if vendor.split or not calls else {})}


def _medians(name: str, rounds: list[Cost]) -> Figures:
    return {
        f"{name}_us": median(adapter for adapter, _, _ in rounds),
        f"{name}_bare_us": median(bare for _, bare, _ in rounds),
        f"{name}_ratio": median(adapter / bare for adapter, bare, _ in rounds),
        f"{name}_added_us": median(adapter - raw for adapter, _, raw in rounds),
    }


def alone(*what: str) -> Figures:
    """Medians of what fresh processes measure of themselves."""
    command = [sys.executable, "-m", "benchmarks.provider_memory", *what]
    # The server stands on this machine, whatever proxy there is.
    environment = os.environ | {"NO_PROXY": "*", "no_proxy": "*"}
    outputs = [
        subprocess.run(command, check=True, capture_output=True, env=environment).stdout for _ in range(_PROCESSES)
    ]
    samples: list[Figures] = [json.loads(output) for output in outputs]
    return {name: median(sample[name] for sample in samples) for name in samples[0]}


def times_table(times: dict[str, Figures]) -> Table:
    title = "µs of a request and of a token of its reply, and what of it the adapter adds"
    table = Table(box=None, title=title, title_justify="left")
    table.add_column("reply", no_wrap=True)
    for what in ("request", "token"):
        for column in (what, "SDK", "ratio", "adds"):
            table.add_column(column, justify="right")
    for name, figures in times.items():
        cells = [
            f"{figures[key]:.{digits}f}" if (key := f"{what}{end}") in figures else "-"
            for what, digits in (("request", 0), ("token", 2))
            for end, digits in (("_us", digits), ("_bare_us", digits), ("_ratio", 2), ("_added_us", digits))
        ]
        table.add_row(name, *cells)
    return table


def memory_table(memory: dict[str, Figures]) -> Table:
    """USS of a worker's modules, then what each SDK adds to them; how late the tick of a loop was meanwhile."""
    title = "a fresh process: MB it has and gets, ms that takes, ms its loop stands still"
    table = Table(box=None, title=title, title_justify="left")
    table.add_column("process", no_wrap=True)
    columns = {
        "whole_mb": "MB",
        "import_mb": "+import",
        "request_mb": "+request",
        "import_ms": "import",
        "request_ms": "request",
        "import_stall_ms": "stall: import",
        "request_stall_ms": "request",
        "idle_stall_ms": "idle",
    }
    for column in columns.values():
        table.add_column(column, justify="right")
    for name, figures in memory.items():
        table.add_row(name, *(f"{figures[key]:.1f}" if key in figures else "-" for key in columns))
    return table


async def adapters(say: Callable[[str], None]) -> dict[str, Figures]:
    times = {}
    for vendor in VENDORS:
        for kind in ("text", "call"):
            say(f"{vendor.name}, replies of {kind}")
            times[f"{vendor.name}, {kind}"] = await measure(vendor, calls=kind == "call")
    return times


def processes(say: Callable[[str], None]) -> dict[str, Figures]:
    say("memory of a worker's modules")
    memory = {"worker, no SDK": alone()}
    for vendor in VENDORS:
        say(f"memory with {vendor.name}")
        memory[vendor.name] = alone(vendor.name)
    return memory


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the provider adapters against the bare SDKs under them.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    wants = parser.parse_args()
    with Console(stderr=True).status("starting") as status:

        def say(what: str) -> None:
            status.update(f"measuring: {what}")

        memory = processes(say)
        times = uvloop.run(adapters(say))
    console = Console()
    console.print(times_table(times))
    console.print()
    console.print(memory_table(memory))
    if wants.json is not None:
        wants.json.write_text(json.dumps({"times": times, "memory": memory}, indent=1))


if __name__ == "__main__":
    main()
