"""Reads a reply as the model meant it: thoughts in tags become reasoning, calls written as text become calls."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Self

from o.domain.model import Finished, ModelEvent, ModelRequest, TextDelta, ToolCallDelta, ToolSpec
from o.providers.base import Profile
from o.providers.call_reader import CallReader
from o.providers.schema_tools import offered
from o.providers.think_tags import ThinkReader

_WRITTEN = 1_000  # numbers of calls that were written into the text; those of the wire count from 0


class ReplyReader:
    """Stands between an adapter's events and its caller; passes on what it has nothing to do with.

    Args:
        tools: those the model may call.
        demanded: whether it must write a call, having no other way to make one.
        weak: whether to look into its text at all.
        new_id: makes the id of a call.
        opened: whether its replies begin in the middle of a thought (`Profile.begins_thinking`).
        explains: whether it has another way to call (`CallReader`).
    """

    def __init__(
        self,
        tools: Sequence[ToolSpec],
        *,
        demanded: bool,
        weak: bool,
        new_id: Callable[[], str],
        opened: bool = False,
        explains: bool = False,
    ) -> None:
        self._thoughts = ThinkReader(opened=opened) if weak else None
        self._calls = CallReader(tools, demanded=demanded, new_id=new_id, explains=explains) if weak else None

    @classmethod
    def of(cls, request: ModelRequest, profile: Profile, *, weak: bool, new_id: Callable[[], str]) -> Self:
        """The reader of a reply to `adapted(request, profile)`; it always looks into texts that stand for calls."""
        schema = profile.tools == "schema"
        demanded = schema and request.tool_choice.mode in ("required", "named")
        weak = weak or schema or profile.begins_thinking
        opened, tools = profile.begins_thinking, offered(request)
        return cls(tools, demanded=demanded, weak=weak, new_id=new_id, opened=opened, explains=not schema)

    def read(self, event: ModelEvent) -> Iterator[ModelEvent]:
        """The events that one event stands for: none while it is not decided what the text is.

        Raises:
            InvalidReply: the reply has ended, a call was demanded and none came.
        """
        if isinstance(event, Finished):
            yield from self._finish(event)
            return
        if self._calls is not None and isinstance(event, ToolCallDelta):
            yield from self._calls.release()  # it has calls of its own, so its text is text
        if self._thoughts is None or not isinstance(event, TextDelta):
            yield event
            return
        yield from self._without_calls(self._thoughts.read(event.text))

    def _finish(self, end: Finished) -> Iterator[ModelEvent]:
        """What was held back, and the end of the reply."""
        if self._thoughts is None or self._calls is None:
            yield end
            return
        yield from self._without_calls(self._thoughts.finish())
        yield from map(_numbered, self._calls.finish(cut_off=end.reason == "length"))
        yield Finished("tool_calls", end.usage) if self._calls.called else end

    def _without_calls(self, events: Iterator[ModelEvent]) -> Iterator[ModelEvent]:
        assert self._calls is not None
        for event in events:
            if isinstance(event, TextDelta):
                yield from map(_numbered, self._calls.read(event.text))
            else:
                yield event


def _numbered(event: ModelEvent) -> ModelEvent:
    """A call from the text under a number that no call of the wire has."""
    return replace(event, index=event.index + _WRITTEN) if isinstance(event, ToolCallDelta) else event
