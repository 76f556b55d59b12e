"""The story, played to a person on the real local model: `make demo`.

An agent is made, learns something, loses its worker in the middle of a sentence and finishes it all the same; then
its memory, its prompt and its steps in Temporal are shown. Exits 0 only if all of that happened.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

from benchmarks.stack import Stack, StackFailed
from o.cli.chat_view import TurnView
from o.temporal import connect

_LEARN = "My name is Ada and I build sailing boats in Lisbon."
_FACTS = ("Ada", "Lisbon", "boat")
_TELL = "Tell me a short story about a sailing boat."
_RECALL = "What do you know about me?"

# How a turn of this model may end: it seldom finds an end before its limit.
_ENDS = ("end_turn", "max_tokens_exceeded")

# A note may be nonsense, and a short answer over before the worker is dead: then another one is asked for.
_TRIES = 3

# Characters of an answer after which the worker is killed.
_ENOUGH = 40

Event = dict[str, Any]


class NotShown(Exception):
    """Something the story promises did not happen."""


@dataclass
class Turn:
    """What one turn showed."""

    run_id: str = ""
    stop: str = ""
    resets: int = 0
    texts: dict[str, str] = field(default_factory=dict)
    edits: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def hear(self, event: Event) -> None:
        self.run_id = event.get("run_id") or self.run_id
        match event["message_type"]:
            case "assistant_message":
                self.texts[event["id"]] = self.texts.get(event["id"], "") + event["content"]
            case "tool_return_message" if event["status"] == "success":
                self.edits.append(event["tool_return"])
            case "reset":
                self.resets += 1
            case "stop_reason":
                self.stop = event["stop_reason"]


class Demo:
    """The story over one running platform."""

    def __init__(self, stack: Stack, console: Console) -> None:
        self._stack = stack
        self._console = console
        self._http = httpx.Client(base_url=stack.base_url, timeout=httpx.Timeout(60, read=120))
        self._agent = ""
        self._turns: list[Turn] = []

    def play(self) -> None:
        """All chapters. Raises NotShown."""
        with self._http:
            self._introduce()
            self._learn()
            self._survive()
            self._remember()
            asyncio.run(self._steps())

    def _introduce(self) -> None:
        self._chapter(
            "An agent", "The local model is SmolLM2 with 135 million parameters: a real model, but a tiny one."
        )
        self._say(
            "It seldom calls a tool of its own accord, so this agent begins with a rule: before it answers, it notes "
            "something about the person in its memory. What it notes is the model's own choice, nonsense included."
        )

    def _learn(self) -> None:
        self._chapter(
            "It learns", "The answer is streamed: from the model's process, through Postgres, to this terminal."
        )
        for left in reversed(range(_TRIES)):
            self._make_agent()
            before = self._block()
            turn = self._turn(_LEARN)
            after = self._block()
            if any(word in after for word in _FACTS) or not left:
                break
            self._say("That note has nothing to do with what was said. A new agent, another try.")
        self._check(turn.stop in _ENDS, "the turn ended as it should")
        self._check(bool(turn.edits) and after != before, "the model edited its memory block")
        table = Table("memory block human", "", show_lines=True)
        table.add_row("before", Text(before))
        table.add_row("after", Text(after))
        self._console.print(table)
        self._say("That rule has done its work: from here on the agent has no tool and only talks.")
        path = f"/v1/agents/{self._agent}"
        self._http.patch(path, json={"tool_rules": [], "tool_ids": []}).raise_for_status()

    def _make_agent(self) -> None:
        body = {
            "name": "Demo",
            "system": "You are a friendly agent. You answer in a few short sentences.\n\n{CORE_MEMORY}",
            "memory_blocks": [{"label": "human", "value": "I know nothing about this person yet."}],
            "tools": ["memory_insert"],
            "include_base_tools": False,
            "tool_rules": [
                {"type": "run_first", "tool_name": "memory_insert", "args": {"label": "human"}},
                {"type": "max_count_per_step", "tool_name": "memory_insert", "max_count_limit": 1},
            ],
            "model_settings": {"provider_type": "llamacpp", "max_output_tokens": 200},
        }
        made = self._http.post("/v1/agents/", json=body).raise_for_status().json()
        self._agent = made["id"]
        self._say(f"{made['name']} on {made['model']}, {self._agent}")

    def _survive(self) -> None:
        self._chapter(
            "It loses its worker", "kill -9, in the middle of a sentence. Nothing else is done: watch it finish."
        )
        for _ in range(_TRIES):
            said: list[str] = []
            killed: list[float] = []

            def kill(event: Event, said: list[str] = said, killed: list[float] = killed) -> None:
                said.append(event["content"] if event["message_type"] == "assistant_message" else "")
                if len("".join(said)) > _ENOUGH and not killed:
                    pid = self._stack.kill_worker()
                    killed.append(time.monotonic())
                    self._console.print(f"\nkill -9 {pid} (the worker)", style="bold red")

            turn = self._turn(_TELL, on_event=kill)
            if turn.resets:
                break
            self._say("The answer was complete before the worker was dead; once more.")
        self._check(turn.resets > 0, "the model request was cut off and made again by another worker")
        self._check(turn.stop in _ENDS, f"the run finished by itself, {time.monotonic() - killed[0]:.1f} s later")
        listed = self._get(f"/v1/runs/{turn.run_id}/messages")
        answers = [message for message in listed if message["message_type"] == "assistant_message"]
        whole = len(answers) == 1 and turn.texts.get(answers[0]["id"]) == answers[0]["content"]
        self._check(whole, "its answer is stored once, as it was streamed")
        asked = [message["content"] for message in listed if message["message_type"] == "user_message"]
        self._check(asked == [_TELL], "the question is there once")

    def _remember(self) -> None:
        self._chapter("It remembers", "The next turn's prompt holds the block as the model left it.")
        block = self._block()
        turn = self._turn(_RECALL)
        self._check(turn.stop in _ENDS, "the next message works")
        system = self._get(f"/v1/agents/{self._agent}/messages", order="asc", limit=1)[0]
        prompt = str(system["content"])
        held = system["message_type"] == "system_message" and all(line in prompt for line in block.splitlines())
        self._check(held, "the system prompt contains every line of the block")
        start = prompt.find("<memory_blocks>")
        self._console.print(Panel(Text(prompt[max(start, 0) :][:900]), title="from the system prompt", expand=False))

    async def _steps(self) -> None:
        self._chapter(
            "Its steps", "Each step is one durable workflow. The links open in Temporal's own UI while O runs."
        )
        client = await connect(self._stack.temporal_address, "default")
        table = Table("run", "step", "status", "activities and their attempts", "Temporal")
        closed = True
        for turn in self._turns:
            steps = self._get(f"/v1/runs/{turn.run_id}/steps", order="asc")
            for index, step in enumerate(steps):
                workflow = f"{turn.run_id}/step-{index}"
                handle = client.get_workflow_handle(workflow)
                await handle.result()
                tried = _attempts(await handle.fetch_history())
                closed &= step["status"] == "success" and bool(tried)
                link = f"{self._stack.ui_url}/namespaces/default/workflows/{quote(workflow, safe='')}"
                shown = Text("history", style=f"link {link}")
                table.add_row(turn.run_id[:12] + "…", str(index), step["status"], ", ".join(tried), shown)
        self._console.print(table)
        self._say(f"All of them: {self._stack.ui_url}/namespaces/default/workflows")
        self._check(closed, "every step has its workflow, and each of them closed")

    def _turn(self, text: str, on_event: Callable[[Event], None] | None = None) -> Turn:
        """Say something, print the answer as it comes."""
        self._console.print(f"> {text}", style="bold")
        turn, view, began = Turn(), TurnView(), time.monotonic()
        body = {"input": text, "stream_tokens": True}
        # The marker tells when a model request is made again; an unchanged letta-client does without.
        headers = {"X-O-Reset-Marker": "1"}
        path = f"/v1/agents/{self._agent}/messages/stream"
        with self._http.stream("POST", path, json=body, headers=headers) as answer:
            answer.raise_for_status()
            for event in _events(answer.iter_lines()):
                turn.hear(event)
                view.show(event)
                if on_event is not None:
                    on_event(event)
        view.close()
        turn.seconds = time.monotonic() - began
        self._say(f"{turn.seconds:.1f} s")
        self._turns.append(turn)
        return turn

    def _block(self) -> str:
        return str(self._get(f"/v1/agents/{self._agent}/core-memory/blocks/human")["value"])

    def _get(self, path: str, **params: str | int) -> Any:
        return self._http.get(path, params=params).raise_for_status().json()

    def _chapter(self, title: str, words: str) -> None:
        self._console.print()
        self._console.rule(f"[bold]{title}", align="left")
        self._say(words)

    def _say(self, words: str) -> None:
        self._console.print(words, style="dim", highlight=False)

    def _check(self, happened: bool, what: str) -> None:
        if not happened:
            raise NotShown(f"this did not happen: {what}")
        self._console.print(f"✓ {what}", style="green", highlight=False)


def _events(lines: Iterator[str]) -> Iterator[Event]:
    for line in lines:
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def _attempts(history: WorkflowHistory) -> list[str]:
    """The activities of a workflow, in order, each with the attempt that did it."""
    names: dict[int, str] = {}
    tried: dict[int, int] = {}
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            names[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            started = event.activity_task_started_event_attributes
            tried[started.scheduled_event_id] = started.attempt
    return [f"{name} ×{tried.get(number, 0)}" for number, name in names.items()]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Exit code 0 if everything happened, 1 if not, 130 after Ctrl-C. Whatever was started is stopped."""
    console = Console()
    began = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Stack() as stack:
            with console.status("starting O in a temporary folder"):
                stack.start()
            rows = {"API": stack.base_url, "Temporal UI": stack.ui_url, "data folder": str(stack.data_dir)}
            console.print(f"O is ready in {time.monotonic() - began:.1f} s", style="bold green")
            for name, value in rows.items():
                console.print(f"  {name:12} {value}", highlight=False)
            Demo(stack, console).play()
            with console.status("stopping"):
                stack.stop()
    except KeyboardInterrupt:
        console.print("\nstopped; nothing is left", style="yellow")
        return 130
    except (NotShown, StackFailed, httpx.HTTPError) as error:
        console.print(f"✗ {error}", style="bold red", highlight=False)
        return 1
    console.print(
        f"All of it happened, in {time.monotonic() - began:.0f} s. Nothing is left running.", style="bold green"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
