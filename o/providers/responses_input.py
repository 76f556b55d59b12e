"""The transcript as the input of OpenAI's Responses API, whoever wrote it.

The service refuses a transcript whose form is broken, whatever broke it, and would do so on every turn that follows. So
everything is brought into form here, by rules that look only backwards: what was sent once is sent the same way again,
for the sake of the prompt cache.
"""

import json

from o.domain.call_repair import parse, parse_arguments
from o.domain.json import JsonObject
from o.domain.messages import ImagePart, Message, ReasoningPart, TextPart, ToolCall, ToolReturn
from o.providers.sent_calls import sent_id

# Ids of calls have at most 64 characters: "string_above_max_length".
_NO_RETURN = "[this call has no return]"


def wire_input(messages: tuple[Message, ...], *, model: str, signer: str | None, phases: bool) -> list[JsonObject]:
    """The items of the transcript.

    System messages stand where they were said: the service takes them anywhere, and asks for the word JSON in the
    input, where a form of it is wanted, not in `instructions`.

    Args:
        model: who is asked; the thoughts of others are left out.
        signer: whose thoughts go back; None sends none.
        phases: whether texts are told apart as said beside a call, and as the answer
            (https://developers.openai.com/api/docs/guides/prompt-guidance).
    """
    items = _Items(model, signer, phases=phases)
    for message in messages:
        items.add(message)
    return items.finished()


class _Items:
    """The items as far as they came."""

    def __init__(self, model: str, signer: str | None, *, phases: bool) -> None:
        self._model, self._signer, self._phases = model, signer, phases
        self._items: list[JsonObject] = []
        self._ids: set[str] = set()  # of calls and thoughts: each may come once
        self._open: dict[str, str] = {}  # calls that wait for their return: their id, and the one they are sent under

    def add(self, message: Message) -> None:
        match message.role:
            case "system" if message.text.strip():
                self._items.append(_message("system", message.text))
            case "user" | "summary":
                self._answer_open_calls()
                self._user(_content(message))
            case "assistant":
                self._answer_open_calls()
                self._items += self._said(message)
            case "tool":
                for returned in message.tool_returns:
                    self._return(returned)
            case _:  # what was asked and answered reaches a model as the calls and returns it came to
                return

    def finished(self) -> list[JsonObject]:
        self._answer_open_calls()
        return self._items

    def _user(self, content: list[JsonObject]) -> None:
        if content:
            self._items.append(_message("user", content))

    def _answer_open_calls(self) -> None:
        """A call without its return would be refused for ever."""
        for call_id in list(self._open):
            self._return(ToolReturn(call_id, _NO_RETURN, "error"))

    def _said(self, message: Message) -> list[JsonObject]:
        """What an assistant thought, said and called, in the order in which it did.

        Every thought is followed by what it came to: the service refuses one that is not.
        """
        calls = [self._call(call) for call in message.tool_calls]
        phase = {"phase": "commentary" if calls else "final_answer"} if self._phases else {}
        items: list[JsonObject] = []
        placed = 0
        for part in message.content:
            match part:
                case TextPart() if part.text.strip():
                    content = [{"type": "output_text", "text": part.text}]
                    items.append(_message("assistant", content) | phase)
                case ReasoningPart():
                    thought, before = self._thought(part)
                    if thought:
                        items += [*calls[placed:before], thought]
                        placed = max(placed, before)
        items += calls[placed:]
        while items and items[-1]["type"] == "reasoning":
            items.pop()
        return items

    def _thought(self, part: ReasoningPart) -> tuple[JsonObject | None, int]:
        """The thought as it came, and how many calls came before it; None where it cannot go back."""
        if not part.signature or self._signer is None or part.signed_by != self._signer:
            return None, 0
        try:
            proof = parse(part.signature)
        except ValueError:
            return None, 0  # not written by us
        if not isinstance(proof, dict) or proof.get("model") != self._model or proof.get("id") in self._ids:
            return None, 0
        self._ids.add(proof["id"])
        summary = [{"type": "summary_text", "text": part.reasoning}] if part.reasoning else []
        thought = {"type": "reasoning", "id": proof["id"], "summary": summary}
        return thought | {"encrypted_content": proof["encrypted_content"]}, proof["calls"]

    def _call(self, call: ToolCall) -> JsonObject:
        """The call, under an id that fits and that no other has: some vendors count anew in every reply."""
        call_id = self._open[call.id] = sent_id(call.id, self._ids)
        return {"type": "function_call", "call_id": call_id, "name": call.name, "arguments": _arguments(call)}

    def _return(self, returned: ToolReturn) -> None:
        images = [_image(image) for image in returned.images]
        text = [{"type": "input_text", "text": returned.content}] if returned.content.strip() else []
        call_id = self._open.pop(returned.tool_call_id, None)
        if call_id is None:  # its call is gone, or has had its return
            self._user([*text, *images])
            return
        output = [*text, *images] if images else returned.content
        self._items.append({"type": "function_call_output", "call_id": call_id, "output": output})


def _message(role: str, content: str | list[JsonObject]) -> JsonObject:
    return {"type": "message", "role": role, "content": content}


def _content(message: Message) -> list[JsonObject]:
    parts: list[JsonObject] = []
    for part in message.content:
        match part:
            case TextPart() if part.text.strip():
                parts.append({"type": "input_text", "text": part.text})
            case ImagePart():
                parts.append(_image(part))
    return parts


def _image(part: ImagePart) -> JsonObject:
    url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data or ''}"
    return {"type": "input_image", "image_url": url, "detail": "auto"}


def _arguments(call: ToolCall) -> str:
    """Arguments that are a JSON object, whatever the model wrote."""
    try:
        parse_arguments(call)
    except ValueError:
        return json.dumps({"invalid_arguments": call.arguments})  # the model sees what it wrote, as one string
    return call.arguments
