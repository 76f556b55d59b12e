"""`o chat`: a conversation with an agent in the terminal, streamed."""

import importlib
import json as jsonlib
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from o.cli.agents import find, print_blocks
from o.cli.chat_view import TurnView
from o.cli.client import Api
from o.cli.output import Json, emit, out, say, warn
from o.errors import ProjectError, Unavailable
from o.settings import Settings

_HELP = "/memory shows the memory blocks, /help this line; Ctrl-C stops an answer, Ctrl-D leaves"


def chat(
    agent: Annotated[str | None, typer.Argument(help="Id or name of the agent; the newest one if not given.")] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Say this, print the answer, leave.")] = None,
    json: Json = False,
) -> None:
    """Talk to an agent. Without a terminal on stdin every line of it is one message."""
    with Api(Settings.load()) as api:
        found = find(api, agent)
        talk = _Talk(api, found["id"])
        if json:
            answers = [talk.whole(text) for text in _given(message)]
            emit(answers[0] if message is not None else answers)
        elif message is not None or not sys.stdin.isatty():
            failed = [talk.turn(text) for text in _given(message)].count(False)
            if failed:
                raise typer.Exit(1)
        else:
            say(f"{found['name']} on {found['model']}. {_HELP}", "dim")
            talk.interactive()


def _given(message: str | None) -> Iterator[str]:
    if message is not None:
        yield message
    else:
        yield from (line.strip() for line in sys.stdin if line.strip())


class _Talk:
    def __init__(self, api: Api, agent_id: str) -> None:
        self._api = api
        self._path = f"/v1/agents/{agent_id}"

    def interactive(self) -> None:
        """Read, answer, until Ctrl-D."""
        try:
            importlib.import_module("readline")  # gives input() its line editing; not every Python has it
        except ImportError:
            warn("line editing is not available in this Python")
        while True:
            try:
                text = input("> ").strip()
            except EOFError:
                out.print()
                return
            except KeyboardInterrupt:
                out.print()
                continue
            try:
                self._act(text)
            except ProjectError as error:
                warn(error.message)

    def whole(self, text: str) -> Any:
        """One turn, not streamed: the API's answer as it is."""
        return self._api.post(f"{self._path}/messages", {"input": text}, timeout=None)

    def turn(self, text: str) -> bool:
        """One streamed turn, with its approvals; tells whether it went well."""
        view = self._stream({"messages": [{"role": "user", "content": text}]})
        while view.approvals and sys.stdin.isatty():
            answers = [self._ask(call, words) for call, words in view.approvals.items()]
            view = self._stream({"messages": [{"type": "approval", "approvals": answers}]})
        for words in view.approvals.values():
            warn(f"waits for approval: {words}; answer it in `o chat` on a terminal")
        return not view.failed

    def _act(self, text: str) -> None:
        if text == "/memory":
            print_blocks(self._api.get(f"{self._path}/core-memory/blocks"))
        elif text.startswith("/"):
            say(_HELP, "dim")
        elif text:
            self.turn(text)

    def _ask(self, call_id: str, words: str) -> dict[str, Any]:
        approve = typer.confirm(f"{words}: run it?")
        reason = None if approve else "The user denied this call."
        return {"type": "approval", "tool_call_id": call_id, "approve": approve, "reason": reason}

    def _stream(self, body: dict[str, Any]) -> TurnView:
        view = TurnView()
        try:
            with self._api.stream(f"{self._path}/messages/stream", {**body, "stream_tokens": True}) as lines:
                for event in _events(lines):
                    view.show(event)
        except KeyboardInterrupt:
            self._cancel(view)
        except Unavailable:
            if view.run_id is None:
                raise
            view.failed = True
            warn(f"the connection to the API was lost; the run goes on, see it with: o runs show {view.run_id}")
        view.close()
        return view

    def _cancel(self, view: TurnView) -> None:
        view.close()
        view.failed = True
        view.approvals.clear()
        try:
            self._api.post(f"{self._path}/messages/cancel", {"run_ids": [view.run_id]} if view.run_id else {})
        except ProjectError as error:
            warn(f"not cancelled: {error.message}")
        else:
            say("cancelled", "dim")


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The JSON events of a server-sent event stream, up to its end marker."""
    for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        event = jsonlib.loads(data)
        if isinstance(event, dict):
            yield event
