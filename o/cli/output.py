"""What all commands print with: tables for people, one JSON document for programs."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

# What a terminal takes for an order to it, or turns the reading direction with: what others wrote may hide behind it.
_ORDERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

# On a pipe lines are as long as they need: nothing is cut or wrapped for a screen that is not there.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)
err = Console(stderr=True, highlight=False)


def emit(document: object) -> None:
    """Print the one JSON document of a command."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table."""
    grid = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(Text("" if cell is None else visible(str(cell))) for cell in row))
    out.print(grid)


def say(text: str, style: str = "") -> None:
    """Print a line whose text may hold anything, brackets of markup too."""
    out.print(Text(visible(text), style=style), soft_wrap=True)


def warn(text: str) -> None:
    """Print a line for people on stderr."""
    err.print(Text(visible(text), style="yellow"), soft_wrap=True)


def visible(text: str) -> str:
    """A text whose control characters, lines and tabs apart, are spelt out: `\\x1b`."""
    return _ORDERS.sub(_spelt, text.replace("\r\n", "\n"))


def short(text: str, limit: int = 200) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _spelt(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
