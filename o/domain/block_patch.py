"""Patches of one text: hunks of lines that are kept, removed and added, found by what they say.

A unified diff without its line numbers, which models get wrong. A hunk is made where its kept and removed lines stand,
if there is exactly one such place; everything else is refused, so that no patch changes what it did not mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from o.domain.blocks import EditRefused

_HUNK = "@@"
_HEADERS = ("--- ", "+++ ", "diff ", "index ")
_NO_NEWLINE = "\\ No newline"


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines of a patch: their sign (space, `-` or `+`) and what follows it."""

    lines: tuple[tuple[str, str], ...]

    @property
    def before(self) -> list[str]:
        """The lines as they must stand in the text."""
        return [line for sign, line in self.lines if sign != "+"]


def apply_hunks(value: str, patch: str) -> str:
    """The text with all hunks of a patch made in it.

    Raises:
        EditRefused: no patch, a hunk that fits nowhere or in several places, or hunks that overlap.
    """
    hunks = _hunks(patch.split("\n"))
    if not hunks:
        raise EditRefused("the patch changes nothing: it has no line that begins with + or -.")
    lines = value.split("\n") if value else []
    places = sorted((_place(lines, hunk, number), number) for number, hunk in enumerate(hunks, 1))
    end = 0
    patched: list[str] = []
    for start, number in places:
        if start < end:
            raise EditRefused(f"hunk {number} of the patch overlaps another; make one hunk of the two.")
        patched += lines[end:start]
        end = start
        for sign, line in hunks[number - 1].lines:
            if sign == "+":
                patched.append(line)
                continue
            if sign == " ":
                patched.append(lines[end])  # as it stands there: the patch may differ in blanks at its end
            end += 1
    return "\n".join([*patched, *lines[end:]])


def _hunks(patch: Sequence[str]) -> list[Hunk]:
    """The hunks of a patch that change something."""
    parts: list[list[str]] = [[]]
    for line in patch:
        if line.startswith(_HUNK):
            parts.append([])
        else:
            parts[-1].append(line)
    first, *others = parts
    if others and all(not line.strip() or line.startswith(_HEADERS) for line in first):
        parts = others
    hunks = [_hunk(part) for part in parts]
    return [hunk for hunk in hunks if any(sign != " " for sign, _ in hunk.lines)]


def _hunk(lines: Sequence[str]) -> Hunk:
    said = [line for line in lines if not line.startswith(_NO_NEWLINE)]
    while said and not said[-1]:  # blank lines between hunks, and at the end of the patch
        said = said[:-1]
    signed = []
    for line in said:
        sign = line[:1] or " "  # models leave out the space of an empty line
        if sign not in " +-":
            raise EditRefused(
                "every line of a hunk begins with a space (kept), - (removed) or + (added); this one does not: "
                f"{line[:80]!r}."
            )
        signed.append((sign, line[1:]))
    return Hunk(tuple(signed))


def _place(lines: Sequence[str], hunk: Hunk, number: int) -> int:
    """The index of the line where a hunk begins."""
    wanted = hunk.before
    if not wanted:
        if not lines:
            return 0
        raise EditRefused(f"hunk {number} of the patch says not where to add: begin it with the line before, kept.")
    found = _found(lines, wanted) or _found([line.rstrip() for line in lines], [line.rstrip() for line in wanted])
    if not found:
        raise EditRefused(
            f"hunk {number} of the patch fits nowhere: its kept and removed lines do not stand in the block, in this "
            "order and without others between them."
        )
    if len(found) > 1:
        raise EditRefused(f"hunk {number} of the patch fits {len(found)} places; keep more lines around the change.")
    return found[0]


def _found(lines: Sequence[str], wanted: Sequence[str]) -> list[int]:
    first, size = wanted[0], len(wanted)
    return [
        index
        for index in range(len(lines) - size + 1)
        if lines[index] == first and list(lines[index : index + size]) == list(wanted)
    ]
