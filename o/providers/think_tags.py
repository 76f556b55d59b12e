"""Thoughts that a model writes into its text, between tags: read as reasoning."""

import re
from collections.abc import Iterator
from typing import Literal

from o.domain.model import ModelEvent, ReasoningDelta, TextDelta

_NAMES = ("think", "thinking", "reasoning")
_OPENING = tuple(f"<{name}>" for name in _NAMES)
_CLOSING = tuple(f"</{name}>" for name in _NAMES)
_LONGEST = max(map(len, _CLOSING))


class ThinkReader:
    """Splits a streamed text into reasoning and text at `<think>…</think>`, `<thinking>` or `<reasoning>`, in any case.

    Qwen3, DeepSeek-R1 and their distills write one block, at the start of the reply; a tag further on is something
    they talk about, and text. A block that is never closed is reasoning to its end. Line breaks at the start of
    either part are dropped: they belong to the form.

    Args:
        opened: the reply starts within a block, as with templates that put the opening tag into the prompt
            (DeepSeek-R1, Qwen3's thinking-only models): the closing tag comes alone. A model that writes the opening
            tag all the same is understood.
    """

    def __init__(self, *, opened: bool = False) -> None:
        self._at: Literal["start", "thought", "text"] = "start"
        self._closing = _CLOSING if opened else ()  # the tags that end the block
        self._fresh = opened  # nothing of the part has come yet: line breaks are dropped
        self._held = ""

    def read(self, text: str) -> Iterator[ModelEvent]:
        """The events of a further piece of text."""
        self._held += text
        return self._events(over=False)

    def finish(self) -> Iterator[ModelEvent]:
        """The events of what was held back because it might have become a tag."""
        return self._events(over=True)

    def _events(self, *, over: bool) -> Iterator[ModelEvent]:
        if self._at == "start":
            self._start(over=over)
        if self._at == "thought":
            closing = re.search("|".join(self._closing), self._held, re.IGNORECASE)
            end = closing.start() if closing else len(self._held) - (0 if over else self._begun())
            if thought := self._taken(end):
                yield ReasoningDelta(thought)
            if closing:
                self._held = self._held[len(closing.group()) :]
                self._at, self._fresh = "text", True
        if self._at == "text" and (text := self._taken(len(self._held))):
            yield TextDelta(text)

    def _start(self, *, over: bool) -> None:
        """Decide what the reply begins with, as soon as that is clear."""
        start = self._held.lstrip()
        head = start[:_LONGEST].lower()
        for tag in _OPENING:
            if head.startswith(tag):
                self._held = start[len(tag) :]
                self._at, self._closing, self._fresh = "thought", (tag.replace("<", "</"),), True
                return
        if over or not any(tag.startswith(head) for tag in _OPENING):
            self._at = "thought" if self._closing else "text"

    def _taken(self, end: int) -> str:
        text, self._held = self._held[:end], self._held[end:]
        if self._fresh:
            text = text.lstrip("\r\n")
            self._fresh = not text
        return text

    def _begun(self) -> int:
        """Characters at the end of what is held that may yet become a closing tag."""
        at = self._held.rfind("<", -_LONGEST)
        if at < 0:
            return 0
        tail = self._held[at:].lower()
        return len(tail) if any(tag.startswith(tail) for tag in self._closing) else 0
