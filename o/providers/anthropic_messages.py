"""The transcript in the words of Anthropic's Messages API, whoever wrote it.

The service refuses a transcript whose form is broken, whatever broke it, and would do so on every turn that follows. So
everything is brought into form here, by rules that look only backwards: what was sent once is sent the same way again,
since its prompt cache, and the proofs of its models' thoughts, need that.
"""

import hashlib
import re

from o.domain.json import JsonObject
from o.domain.messages import (
    ImagePart,
    Message,
    ReasoningPart,
    RedactedReasoningPart,
    TextPart,
    ToolCall,
    ToolReturn,
)
from o.providers.adapt import NO_IMAGE
from o.providers.sent_calls import sent_arguments, sent_id

# What the service takes as the id of a call and as the name of a tool.
_FIT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MEDIA_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,(.*)", re.DOTALL)

_BEGIN = "[the conversation begins]"
_GO_ON = "[go on]"
_NO_RETURN = "[this call has no return]"


def wire_name(name: str) -> str:
    """The name of a tool as the service takes it; another name stays another name."""
    return name if _FIT.fullmatch(name) else f"{re.sub('[^A-Za-z0-9_-]', '_', name)[:50]}_{_digest(name)[:12]}"


def system_blocks(messages: tuple[Message, ...]) -> list[JsonObject]:
    """The system prompt: every system message before anybody else speaks."""
    return [_text(message.text) for message in _opening(messages) if message.text.strip()]


def wire_messages(messages: tuple[Message, ...], *, signer: str | None) -> list[JsonObject]:
    """The turns of user and assistant, which take turns; the first and the last are the user's.

    System messages that come later are told to the user's turn in which they stand, in tags: by no means every model
    takes them as messages.

    Args:
        signer: whose thoughts go back, with their proofs; None sends none.
    """
    turns = _Turns(signer)
    for message in messages[len(_opening(messages)) :]:
        turns.add(message)
    return turns.finished()


def begins_with_thought(turns: list[JsonObject]) -> bool:
    """Whether the assistant's part of the turn that goes on begins with a thought, or is not yet begun.

    A turn of the service's own counting goes on while nothing but tool returns answers the assistant.
    """
    first = len(turns)
    while first >= 2 and any(block["type"] == "tool_result" for block in turns[first - 1]["content"]):
        first -= 2
    return first == len(turns) or turns[first]["content"][0]["type"] in ("thinking", "redacted_thinking")


class _Turns:
    """The turns as far as they came."""

    def __init__(self, signer: str | None) -> None:
        self._signer = signer
        self._turns: list[JsonObject] = []
        self._ids: set[str] = set()
        self._open: dict[str, str] = {}  # calls that wait for their return: their id, and the one they are sent under

    def add(self, message: Message) -> None:
        match message.role:
            case "assistant":
                if self._turns and self._turns[-1]["role"] == "user":
                    self._answer_open_calls()
                self._say("assistant", [*self._said(message), *map(self._call, message.tool_calls)])
            case "user" | "summary":
                self._say("user", [block for part in message.content if (block := _shown(part)) is not None])
            case "system":
                if message.text.strip():
                    self._say("user", [_text(f"<system>\n{message.text}\n</system>")])
            case "tool":
                for returned in message.tool_returns:
                    self._return(returned)
            case "approval":  # what was asked and answered reaches a model as the calls and returns it came to
                return

    def finished(self) -> list[JsonObject]:
        self._answer_open_calls()
        if not self._turns:
            self._say("user", [_text(_BEGIN)])
        if self._turns[-1]["role"] == "assistant":
            # Most models refuse to go on with a text of their own.
            self._say("user", [_text(_GO_ON)])
        return self._turns

    def _say(self, role: str, blocks: list[JsonObject]) -> None:
        if not blocks:
            return
        if not self._turns and role == "assistant":
            self._turns.append({"role": "user", "content": [_text(_BEGIN)]})
        if not self._turns or self._turns[-1]["role"] != role:
            self._turns.append({"role": role, "content": []})
        self._turns[-1]["content"] += blocks

    def _answer_open_calls(self) -> None:
        """A call without its return would be refused for ever."""
        for call_id in list(self._open):
            self._return(ToolReturn(call_id, _NO_RETURN, "error"))

    def _said(self, message: Message) -> list[JsonObject]:
        blocks: list[JsonObject] = []
        for part in message.content:
            match part:
                case TextPart() if part.text.strip():
                    blocks.append(_text(part.text))
                case ReasoningPart() if part.signature and self._signer and part.signed_by == self._signer:
                    thought = {"type": "thinking", "thinking": part.reasoning, "signature": part.signature}
                    blocks.append(thought)
                case RedactedReasoningPart() if part.signed_by == self._signer:
                    blocks.append({"type": "redacted_thinking", "data": part.redacted})
        return blocks

    def _call(self, call: ToolCall) -> JsonObject:
        """The call, under an id that fits and that no other has: some vendors count anew in every reply."""
        call_id = self._open[call.id] = sent_id(call.id, self._ids)
        return {"type": "tool_use", "id": call_id, "name": wire_name(call.name), "input": sent_arguments(call)}

    def _return(self, returned: ToolReturn) -> None:
        """The return, before everything else in the user's turn: it must follow its call directly."""
        call_id = self._open.pop(returned.tool_call_id, None)
        images = [_image(image) for image in returned.images]
        if call_id is None:  # its call is gone, or has had its return
            said = [_text(returned.content)] if returned.content.strip() else []
            self._say("user", [*said, *images])
            return
        failed = returned.status == "error"
        content = [_text(returned.content)] if returned.content.strip() else []
        result: JsonObject = {"type": "tool_result", "tool_use_id": call_id}
        if shown := [*content, *(() if failed else images)]:
            result["content"] = shown
        if failed:
            result["is_error"] = True
        if self._turns[-1]["role"] == "assistant":
            self._turns.append({"role": "user", "content": []})
        blocks = self._turns[-1]["content"]
        blocks.insert(sum(block["type"] == "tool_result" for block in blocks), result)
        if failed:
            blocks += images  # an error that holds anything but text is refused


def _opening(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    for index, message in enumerate(messages):
        if message.role != "system":
            return messages[:index]
    return messages


def _shown(part: object) -> JsonObject | None:
    """What the user says or shows; a blank text is refused."""
    match part:
        case TextPart() if part.text.strip():
            return _text(part.text)
        case ImagePart():
            return _image(part)
    return None


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _image(part: ImagePart) -> JsonObject:
    """The image, or words in its place if the service does not take its kind."""
    media_type, encoded = part.media_type or "image/png", part.data
    if part.url and (found := _DATA_URL.fullmatch(part.url)):
        media_type, encoded = found[1], found[2]
    if encoded and media_type in _MEDIA_TYPES:
        return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": encoded}}
    if part.url and part.url.startswith("https://"):
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    return _text(NO_IMAGE)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
