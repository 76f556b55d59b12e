import pytest

from o.cli.chat_view import TurnView


def _printed(capsys: pytest.CaptureFixture[str], *events: dict[str, object]) -> tuple[str, str, TurnView]:
    view = TurnView()
    for event in events:
        view.show(event)
    view.close()
    captured = capsys.readouterr()
    return captured.out, captured.err, view


def _call(identity: str, name: str | None, arguments: str, kind: str = "tool_call_message") -> dict[str, object]:
    return {"message_type": kind, "tool_call": {"tool_call_id": identity, "name": name, "arguments": arguments}}


def test_deltas_run_together_and_other_kinds_begin_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    out, _, view = _printed(
        capsys,
        {"message_type": "ping", "run_id": "run-1"},
        {"message_type": "reasoning_message", "reasoning": "Let me "},
        {"message_type": "reasoning_message", "reasoning": "think."},
        {"message_type": "assistant_message", "content": "Hello [bold]"},
        {"message_type": "assistant_message", "content": [{"type": "text", "text": "world[/bold]"}]},
        {"message_type": "stop_reason", "stop_reason": "end_turn"},
        {"message_type": "usage_statistics", "total_tokens": 3},
    )
    assert out == "Let me think.\nHello [bold]world[/bold]\n"
    assert view.run_id == "run-1"
    assert not view.failed


def test_a_tool_call_is_one_line_with_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    out, _, _ = _printed(
        capsys,
        _call("c1", "memory_insert", '{"label": '),
        _call("c1", None, '"human"}'),
        {"message_type": "tool_return_message", "tool_call_id": "c1", "status": "success", "tool_return": "done\nwell"},
    )
    assert out == 'memory_insert({"label": "human"}) → done well\n'


def test_parallel_calls_keep_apart(capsys: pytest.CaptureFixture[str]) -> None:
    returns = [{"tool_call_id": name, "status": "error", "tool_return": f"no {name}"} for name in ("a", "b")]
    out, _, _ = _printed(
        capsys,
        {"message_type": "tool_call_message", "tool_calls": [{"tool_call_id": "a", "name": "f", "arguments": "1"}]},
        {"message_type": "tool_call_message", "tool_calls": [{"tool_call_id": "b", "name": "g", "arguments": "2"}]},
        {"message_type": "tool_return_message", "tool_returns": returns},
    )
    assert out == "f(1) → no a\ng(2) → no b\n"


def test_what_waits_for_approval_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, view = _printed(
        capsys,
        _call("c1", "send_mail", '{"to": ', "approval_request_message"),
        _call("c1", None, '"x"}', "approval_request_message"),
        {"message_type": "stop_reason", "stop_reason": "requires_approval"},
    )
    assert view.approvals == {"c1": 'send_mail({"to": "x"})'}


def test_a_retry_is_told_and_forgets_what_was_called(capsys: pytest.CaptureFixture[str]) -> None:
    out, _, view = _printed(
        capsys,
        {"message_type": "assistant_message", "content": "Hel"},
        _call("c1", "f", "{", "approval_request_message"),
        {"message_type": "reset", "id": "message-1"},
        {"message_type": "assistant_message", "content": "Hello"},
    )
    assert out == "Hel\nconnection to the model was lost, trying again\nHello\n"
    assert view.approvals == {}


@pytest.mark.parametrize(
    ("reason", "words"), [("max_steps", "step limit"), ("cancelled", "cancelled"), ("something_new", "something_new")]
)
def test_an_unusual_end_is_said_in_words(capsys: pytest.CaptureFixture[str], reason: str, words: str) -> None:
    out, _, _ = _printed(capsys, {"message_type": "stop_reason", "stop_reason": reason})
    assert words in out


def test_an_error_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    out, err, view = _printed(
        capsys,
        {"message_type": "stop_reason", "stop_reason": "error"},
        {"message_type": "error_message", "error_type": "llm_timeout", "message": "too slow", "detail": "after 60 s"},
    )
    assert out == ""
    assert err == "error: too slow (after 60 s)\n"
    assert view.failed
