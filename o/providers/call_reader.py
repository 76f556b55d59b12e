"""Tool calls that a model writes into its text, whether it was told to or does not know better: read as calls.

Read are JSON objects that name an offered tool, `{"tool" or "name": …, "arguments" or "parameters": {…}}` or such a
`function` within one, and lists of them: bare, in a code fence, or after the tags of Hermes and Qwen
(`<tool_call>{…}</tool_call>`), Mistral (`[TOOL_CALLS][…]`) and Llama 3 (`<|python_tag|>{…}`).
"""

import re
from collections.abc import Callable, Generator, Iterator, Sequence

from o.domain.call_repair import canonical, mended, misfit, parse, tool_name
from o.domain.json import JsonObject
from o.domain.model import ModelEvent, TextDelta, ToolCallDelta, ToolSpec
from o.errors import InvalidReply

_FENCE = "```"
# What may stand before a call, with what then stands after it. A call between two tags counts wherever it stands.
_LEADS = {"<tool_call>": "</tool_call>", "[TOOL_CALLS]": "", "<|python_tag|>": "", _FENCE: _FENCE}
_LONGEST = max(map(len, _LEADS))
_OPENING = re.compile(r"[{\[<`]")
_SPACE = re.compile(r"\s*")
_LABEL = re.compile(r"[\w-]*")  # the language of a fenced block
_BETWEEN = re.compile(r"[\s,;]*")  # two calls; Llama 3 writes semicolons
_QUOTES = ('"', "'", "“")
_WORD = re.compile(r"\w*")
_MARK = re.compile(r"""["'\\{}\[\]]""")

_NAMES = ("tool", "name", "function")
_ARGUMENTS = ("arguments", "parameters")
_BESIDE = ("id", "type")  # what OpenAI's form has beside them
_KEYS = (*_NAMES, *_ARGUMENTS, *_BESIDE)
_MOST_CUTS = 8  # commas at which a demanded call is cut back until the rest can be read

_Call = tuple[str, JsonObject]


class CallReader:
    """Splits a streamed text into text and calls: text passes at once, what may be a call is held until it is decided.

    Calls stand at the end of a reply; JSON that other words follow is an explanation, and text. So is JSON that names
    no offered tool, has other keys than a call has, or can be read in more than one way.

    Args:
        tools: those it may call; without any, everything passes.
        demanded: it must call one. Then all is held, and a call that was cut off is closed with what has come of it,
            whether or not that fits the tool: its error teaches the model more than a reply that failed.
        new_id: makes the id of a call.
        explains: it has another way to call, so that what it says may be about calls: after words only what stands in
            a model's own tags is one.
    """

    def __init__(
        self, tools: Sequence[ToolSpec], *, demanded: bool, new_id: Callable[[], str], explains: bool = False
    ) -> None:
        self._tools = {tool.name: tool.parameters for tool in tools}
        self._demanded = demanded
        self._explains = explains
        self._spoken = False
        self._new_id = new_id
        self._held = ""
        # Places in it: what is before them went out, is decided to be text, has been looked at.
        self._out = self._text = self._at = 0
        self._over = False
        self._cut_off = False
        self._events: list[ModelEvent] = []
        self._calls = 0
        self._reading = self._read()

    @property
    def called(self) -> bool:
        """Whether a call was read."""
        return self._calls > 0

    def read(self, text: str) -> Iterator[ModelEvent]:
        """The events of a further piece of text."""
        if not self._tools:
            yield TextDelta(text)
            return
        self._held += text
        if not self._demanded:
            yield from self._go_on()

    def finish(self, *, cut_off: bool = False) -> Iterator[ModelEvent]:
        """The events of what was held back.

        Args:
            cut_off: the reply ended at its token limit, so that what is not closed is not whole.

        Raises:
            InvalidReply: a call was demanded and none came.
        """
        if not self._tools:
            return
        self._over, self._cut_off = True, cut_off
        events = list(self._go_on())
        if self._demanded and not self.called:
            self._call(self._closed(self._held))
            events = list(self._taken())
        yield from events

    def release(self) -> Iterator[ModelEvent]:
        """What was held back, as text, and no more is held: for a model that turns out to make its calls properly."""
        self._tools = {}
        self._text = len(self._held)
        yield from self._taken()

    def _go_on(self) -> Iterator[ModelEvent]:
        next(self._reading, None)
        return self._taken()

    def _taken(self) -> Iterator[ModelEvent]:
        self._flush()
        events, self._events = self._events, []
        yield from events

    def _flush(self) -> None:
        if self._text > self._out:
            self._events.append(TextDelta(self._held[self._out : self._text]))
            self._out = self._text

    def _pass(self, end: int) -> None:
        self._spoken = self._spoken or bool(self._held[self._text : end].strip())
        self._text = self._at = end

    def _call(self, calls: Sequence[_Call]) -> None:
        """Make calls of all that is not yet out or text, up to where was looked."""
        self._flush()
        self._out = self._text = self._at
        for name, arguments in calls:
            self._events.append(ToolCallDelta(self._calls, self._new_id(), name, canonical(arguments)))
            self._calls += 1

    # The grammar. Its methods are generators that stop where they need more text and go on when that has come: what
    # they decide does not depend on how the text was cut into pieces.

    def _read(self) -> Generator[None]:
        yield from self._skip(_SPACE)  # at the start of a reply it goes with what follows
        while True:
            opening = _OPENING.search(self._held, self._at)
            if opening is None or opening.start() > self._at:
                self._pass(opening.start() if opening else len(self._held))
            if opening:
                yield from self._candidates()
            elif self._over:
                return
            else:
                yield
                self._held = self._held[self._out :]
                self._out = self._text = self._at = 0

    def _candidates(self) -> Generator[None]:
        """What begins with a bracket, a fence or a tag: calls to the end of the reply, or text."""
        calls: list[_Call] = []
        while True:
            closing = yield from self._lead()
            found = [] if closing is None else self._calls_in((yield from self._value(closing)))
            if not found:
                return self._pass(self._at)
            calls += found
            yield from self._skip(_SPACE)
            if closing and (yield from self._comes(closing)):
                self._at += len(closing)
                if closing != _FENCE and not self._explains:
                    self._call(calls)
                    calls = []
            yield from self._skip(_BETWEEN)
            if self._at == len(self._held):
                return self._call(calls)
            if not _OPENING.match(self._held, self._at):
                return self._pass(self._at)

    def _lead(self) -> Generator[None, None, str | None]:
        """What is to stand after the value, "" for nothing; None where no call begins: the sign is looked at then."""
        start = self._at
        while not self._over and any(lead.startswith(self._held[start : start + _LONGEST]) for lead in _LEADS):
            yield
        lead = next((lead for lead in _LEADS if self._held.startswith(lead, start)), "")
        self._at += len(lead)
        if lead == _FENCE:
            yield from self._skip(_LABEL)
        if lead:
            yield from self._skip(_SPACE)
        explained = self._explains and self._spoken and lead in ("", _FENCE)
        if not explained and (yield from self._begins()):
            return _LEADS.get(lead, "")
        self._at = start + (len(_FENCE) if lead == _FENCE else 1)
        return None

    def _begins(self) -> Generator[None, None, bool]:
        """Whether a value begins here whose first key is one of a call's."""
        start, word = self._at, ""
        if self._held.startswith("[", self._at):
            self._at += 1
            yield from self._skip(_SPACE)
        if self._held.startswith("{", self._at):
            self._at += 1
            yield from self._skip(_SPACE)
            if self._held[self._at : self._at + 1] in _QUOTES:
                self._at += 1
            word = self._word()
            while not self._over and self._at + len(word) == len(self._held) and _begun(word):
                yield
                word = self._word()
        self._at = start
        return word in _KEYS

    def _word(self) -> str:
        return self._held[self._at : _end(_WORD, self._held, self._at)]

    def _value(self, closing: str) -> Generator[None, None, str]:
        """The text of a JSON value; "" if it never ends, and what is missing is more than brackets."""
        start, looked, depth, quote = self._at, self._at, 0, ""
        while True:
            for mark in _MARK.finditer(self._held, looked):
                sign = mark.group()
                if mark.start() < looked:  # escaped
                    continue
                if sign == "\\":
                    looked = mark.end() + 1
                elif quote or sign in "\"'":
                    quote = "" if sign == quote else quote or sign
                else:
                    depth += 1 if sign in "{[" else -1
                    if depth == 0:
                        self._at = mark.end()
                        return self._held[start : self._at]
            looked = max(looked, len(self._held))
            if self._over:
                self._at = len(self._held)
                text = self._held[start:].rstrip().removesuffix(closing)
                return "" if quote or self._cut_off else text
            yield

    def _skip(self, pattern: re.Pattern[str]) -> Generator[None]:
        """Go behind what the pattern matches, as far as that may go."""
        while (end := _end(pattern, self._held, self._at)) == len(self._held) and not self._over:
            self._at = end
            yield
        self._at = end

    def _comes(self, text: str) -> Generator[None, None, bool]:
        while not self._over and len(rest := self._held[self._at : self._at + len(text)]) < len(text):
            if not text.startswith(rest):
                break
            yield
        return self._held.startswith(text, self._at)

    # What a value says.

    def _calls_in(self, text: str) -> list[_Call]:
        """The calls that a JSON text makes; none unless all of it is calls."""
        value, guessed = _value_of(text)
        entries = value if isinstance(value, list) else [value]
        calls = [self._call_in(entry, guessed=guessed) for entry in entries]
        return [call for call in calls if call is not None] if None not in calls else []

    def _call_in(self, entry: object, *, guessed: bool) -> _Call | None:
        if not isinstance(entry, dict):
            return None
        value = entry
        if isinstance(function := entry.get("function"), dict):
            if not entry.keys() <= {"function", *_BESIDE}:
                return None
            value = function
        names = [value[key] for key in _NAMES if key in value]
        given = [value[key] for key in _ARGUMENTS if key in value]
        if not value.keys() <= set(_KEYS) or len(names) != 1 or not isinstance(names[0], str) or len(given) > 1:
            return None
        name = tool_name(names[0], self._tools)
        if not given and value is entry and "name" in value:  # a record of whatever has a name looks the same
            guessed, name = True, name if name == names[0] else None
        arguments = {} if not given or given[0] is None else given[0]
        if isinstance(arguments, str):
            arguments, unsure = _value_of(arguments)
            guessed = guessed or unsure
        if name is None or not isinstance(arguments, dict) or (guessed and misfit(arguments, self._tools[name])):
            return None
        return name, arguments

    def _closed(self, text: str) -> list[_Call]:
        """The call that a text makes which was cut off: as much of it as can be kept by closing what is open."""
        text = text[max(text.find("{"), 0) :]
        for _ in range(_MOST_CUTS):
            value, _guessed = _value_of(text)
            if (call := self._call_in(value, guessed=False)) is not None:
                return [call]
            text = text.rpartition(",")[0]
        raise InvalidReply("the model was to call a tool and wrote something else")


def _value_of(text: str) -> tuple[object, bool]:
    """The value of a text and whether it is JSON only after a repair; None where it is none."""
    try:
        return parse(text), False
    except ValueError:
        pass  # repaired below, if it can be
    try:
        return mended(text.rstrip("` \t\r\n")), True
    except ValueError:
        return None, True


def _begun(word: str) -> bool:
    return any(key.startswith(word) for key in _KEYS)


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where a match of a pattern that also matches nothing ends."""
    match = pattern.match(text, start)
    return match.end() if match else start
