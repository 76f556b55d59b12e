"""What others wrote, printed to a terminal: as characters, never as orders to it."""

import pytest

from o.cli.output import say, table, warn

HOSTILE = "pay(5)\x1b[2K\x1b[1Grefund(5)\x9b31m \u202eterces\u2066 \x00\x7f"
SAFE = r"pay(5)\x1b[2K\x1b[1Grefund(5)\x9b31m \u202eterces\u2066 \x00\x7f"


def test_orders_to_the_terminal_are_shown_and_not_given(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    warn(HOSTILE)
    table(("what",), [(HOSTILE,)])
    said = capsys.readouterr()
    assert [line.strip() for line in said.out.splitlines()] == [SAFE, "what", SAFE]
    assert said.err.replace("\n", "") == SAFE


def test_lines_tabs_and_letters_of_all_people_stay(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\n\tb é 日本 👩‍🚀 שלום")
    assert capsys.readouterr().out.expandtabs(8) == "a\n        b é 日本 👩‍🚀 שלום\n"
