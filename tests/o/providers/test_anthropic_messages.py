"""The transcript in Anthropic's words: what is said where, and what stays the same from one request to the next."""

import json
from typing import Any

import pytest

from o.domain.messages import ImagePart, Message, ReasoningPart, RedactedReasoningPart, TextPart, ToolCall, ToolReturn
from o.providers.adapt import NO_IMAGE
from o.providers.anthropic_messages import begins_with_thought, system_blocks, wire_messages, wire_name
from tests.emulators.requests import message

PNG = ImagePart(media_type="image/png", data="AAAA")
SENT_PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _turns(*said: Message, signer: str | None = "anthropic") -> list[tuple[str, list[dict[str, Any]]]]:
    return [(turn["role"], turn["content"]) for turn in wire_messages(said, signer=signer)]


def _called(*ids: str, name: str = "look_up", arguments: str = "{}") -> Message:
    return message("assistant", calls=tuple(ToolCall(each, name, arguments) for each in ids))


def test_the_first_system_messages_are_the_system_prompt_and_later_ones_stand_where_they_stood() -> None:
    said = (
        message("system", "Be brief."),
        message("system", " "),
        message("system", "Be kind."),
        message("user", "hi"),
        message("assistant", "Hello."),
        message("system", "It is late."),
        message("summary", "They talked."),
    )
    assert system_blocks(said) == [_text("Be brief."), _text("Be kind.")]
    assert _turns(*said) == [
        ("user", [_text("hi")]),
        ("assistant", [_text("Hello.")]),
        ("user", [_text("<system>\nIt is late.\n</system>"), _text("They talked.")]),
    ]


def test_the_user_begins_and_ends_and_nobody_speaks_twice() -> None:
    roles = [role for role, _ in _turns(message("assistant", "I am here."), message("assistant", "Still."))]
    assert roles == ["user", "assistant", "user"]
    assert _turns(message("system", "Be brief.")) == [("user", [_text("[the conversation begins]")])]
    assert _turns(message("user", "a"), message("approval"), message("assistant", "\n"), message("user", "b")) == [
        ("user", [_text("a"), _text("b")])
    ]


def test_all_returns_of_a_step_come_first_in_the_turn_after_it() -> None:
    turns = _turns(
        message("user", "go"),
        _called("a", "b"),
        message("user", "hurry"),
        message("tool", returns=(ToolReturn("b", "two", images=(PNG,)),)),
        message("tool", returns=(ToolReturn("a", "no", "error", images=(PNG,)),)),
    )
    assert turns[2] == (
        "user",
        [
            {"type": "tool_result", "tool_use_id": "b", "content": [_text("two"), SENT_PNG]},
            {"type": "tool_result", "tool_use_id": "a", "content": [_text("no")], "is_error": True},
            _text("hurry"),
            SENT_PNG,
        ],
    )


def test_a_call_without_return_and_a_return_without_call_end_nothing() -> None:
    turns = _turns(
        message("tool", returns=(ToolReturn("lost", "left over"),)),
        _called("a"),
        message("user", "well?"),
        message("assistant", "I wait."),
        message("tool", returns=(ToolReturn("a", "too late"),)),
    )
    missing = [_text("[this call has no return]")]
    assert [content for role, content in turns if role == "user"] == [
        [_text("left over")],
        [{"type": "tool_result", "tool_use_id": "a", "content": missing, "is_error": True}, _text("well?")],
        [_text("too late")],
    ]


def test_ids_fit_are_unique_and_stay_what_they_were() -> None:
    step = (_called("call_0", "functions.x:0"), message("tool", returns=(ToolReturn("functions.x:0", "1"),)))
    back = (message("tool", returns=(ToolReturn("call_0", "2"),)),)
    turns = _turns(*step, *back, *step, *back)
    ids = [[block["id"] for block in content if block["type"] == "tool_use"] for _, content in turns]
    results = [[block["tool_use_id"] for block in content if "tool_use_id" in block] for _, content in turns]
    (first, second) = [each for each in ids if each]
    assert [sorted(each) for each in results if each] == [sorted(first), sorted(second)]
    assert len({*first, *second}) == 4
    assert first[0] == "call_0"
    assert all(each.replace("_", "").isalnum() for each in (*first, *second))
    assert _turns(*step, *back)[:3] == turns[:3]  # what was sent once is sent the same way again


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"a": [1]}', {"a": [1]}),
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
        ("[1]", None),
        ('{"a": NaN}', None),
        ('{"a": "\\ud83d"}', None),
        ('{"a": 1e999}', None),
        ('{"a": ', None),
        ("[" * 100_000, None),
    ],
)
def test_arguments_are_an_object_that_can_be_sent(arguments: str, sent: dict[str, Any] | None) -> None:
    block = _turns(_called("a", arguments=arguments))[1][1][0]
    assert block["input"] == (sent if sent is not None else {"invalid_arguments": arguments})
    json.dumps(block, ensure_ascii=False, allow_nan=False).encode()


def test_tool_names_fit_and_stay_apart() -> None:
    assert wire_name("take_note") == "take_note"
    long = [wire_name("x" * 90), wire_name("x" * 91), wire_name("a.b"), wire_name("a/b"), wire_name("")]
    assert len(set(long)) == 5
    assert all(0 < len(each) <= 64 and each.replace("_", "").isalnum() for each in long)


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (PNG, SENT_PNG),
        (ImagePart(url="data:image/png;base64,AAAA"), SENT_PNG),
        (ImagePart(url="https://x/y"), {"type": "image", "source": {"type": "url", "url": "https://x/y"}}),
        (ImagePart(url="http://x/y"), _text(NO_IMAGE)),
        (ImagePart(media_type="image/bmp", data="AAAA"), _text(NO_IMAGE)),
        (ImagePart(), _text(NO_IMAGE)),
    ],
)
def test_images(part: ImagePart, sent: dict[str, Any]) -> None:
    assert _turns(message("user", (part,))) == [("user", [sent])]


THOUGHTS = (
    ReasoningPart("", "proof", "anthropic"),
    TextPart("Now."),
    RedactedReasoningPart("data", "anthropic"),
    ReasoningPart("mine", "other", "openai"),
    ReasoningPart("unproven"),
    ReasoningPart("proven by nobody", "proof"),
    RedactedReasoningPart("data", "openai"),
)


def test_only_the_servers_own_thoughts_go_back_in_their_places() -> None:
    said = message("assistant", THOUGHTS)
    assert _turns(said)[1][1] == [
        {"type": "thinking", "thinking": "", "signature": "proof"},
        _text("Now."),
        {"type": "redacted_thinking", "data": "data"},
    ]
    for signer in (None, "anthropic@proxy.example"):
        assert _turns(said, signer=signer)[1][1] == [_text("Now.")]


def test_whether_the_turn_that_goes_on_began_with_a_thought() -> None:
    thought = (ReasoningPart("hm", "proof", "anthropic"),)
    calls = (ToolCall("a", "look_up", "{}"),)
    back = message("tool", returns=(ToolReturn("a", "1"),))
    asked, thinking, calling = message("user", "go"), message("assistant", thought, calls=calls), _called("a")
    for said, began in (
        ((asked,), True),
        ((asked, thinking, back), True),
        ((asked, calling, back), False),
        ((asked, thinking, back, calling, back), True),
        ((asked, calling, back, thinking, back), False),
        ((asked, calling, back, message("assistant", "done"), asked), True),
    ):
        assert begins_with_thought(wire_messages(said, signer="anthropic")) is began
