"""What a docstring says of a function and of its parameters: Google, NumPy and Sphinx style, also mixed.

Read line by line, so in linear time whatever is written. The libraries for this work with expressions that backtrack:
2000 parentheses in one line kept one of them busy for minutes.
"""

import inspect
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

_PARAMETERS = frozenset(
    {"args", "arguments", "params", "parameters", "keyword args", "keyword arguments", "other parameters", "attributes"}
)
_EXAMPLES = frozenset({"example", "examples"})
_OTHERS = frozenset({"returns", "return", "yields", "yield", "raises", "raise", "except", "exceptions", "warns"})
_TITLES = _PARAMETERS | _EXAMPLES | _OTHERS
_PARAMETER_FIELDS = frozenset({"param", "parameter", "arg", "argument", "key", "keyword", "kwarg", "ivar", "var"})
_OTHER_FIELDS = frozenset(
    {"type", "raises", "raise", "except", "exception", "return", "returns", "rtype", "yield", "yields", "ytype"}
    | {"cvar", "vartype", "meta"}
)
_FIELD = re.compile(r":([a-z]+)(?=[\s:])([^:]*):(?!`)(.*)")
_NAME = re.compile(r"\*{0,2}([^\W\d]\w*)\s*")


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring, read.

    Attributes:
        text: its prose and its examples; what it says of parameters, returns and exceptions is left out.
        parameters: descriptions by name, without the empty ones.
    """

    text: str
    parameters: dict[str, str]


def read(docstring: str, names: Collection[str]) -> Docstring:
    """Read a docstring of a function (or class) whose parameters (or fields) have these names."""
    lines = inspect.cleandoc(docstring).splitlines()
    strict = _Reader(frozenset(names), lenient=False).read(lines)
    if all(name in strict.parameters for name in names):
        return strict
    # Entries that are indented more than the first one read as part of the one before; where that leaves a parameter
    # without description, they are meant as entries.
    lenient = _Reader(frozenset(names), lenient=True).read(lines)
    return max(strict, lenient, key=lambda each: len(each.parameters.keys() & set(names)))


@dataclass(slots=True)
class _Reader:
    names: frozenset[str]
    lenient: bool
    text: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    entries: dict[str, list[str]] = field(default_factory=dict)
    # Of the section being read: what it is, whether NumPy's, its heading's indentation and its first entry's.
    section: str = "text"
    underlined: bool = False
    heading: int = 0
    entry_indent: int | None = None
    open_entries: tuple[str, ...] = ()

    def read(self, lines: list[str]) -> Docstring:
        skip = False
        for index, line in enumerate(lines):
            if skip:
                skip = False
                continue
            following = lines[index + 1] if index + 1 < len(lines) else ""
            indent = len(line) - len(line.lstrip())
            title, underlined = _heading(line, following)
            inside = self.section != "text" and indent > self.heading
            if title is not None and not inside:
                self._begin(title, indent, underlined)
                skip = underlined
            elif not inside and (found := _FIELD.match(line.strip())) and self._begin_field(found, indent):
                pass
            else:
                self._take(line, indent)
        text = "\n".join(_squeezed(self.text)).strip()
        examples = inspect.cleandoc("\n" + "\n".join(self.examples)).strip()
        whole = f"{text}\n\nExamples:\n{examples}" if examples else text
        described = {name: inspect.cleandoc("\n".join(said)).strip() for name, said in self.entries.items()}
        return Docstring(whole.strip(), {name: said for name, said in described.items() if said})

    def _begin(self, section: str, indent: int, underlined: bool) -> None:
        self.section, self.underlined, self.heading = section, underlined, indent
        self.entry_indent, self.open_entries = None, ()
        if section == "text":
            self.text.append("")

    def _begin_field(self, found: re.Match[str], indent: int) -> bool:
        """Begin a Sphinx field (`:param int x: …`); False if the line is none."""
        kind, subject, said = found.groups()
        if kind not in _PARAMETER_FIELDS | _OTHER_FIELDS:
            return False
        self._begin("field", indent, underlined=False)
        if kind in _PARAMETER_FIELDS and (words := subject.split()):
            name = words[-1].lstrip("*\\")
            self.entries[name] = [said.strip()]
            self.open_entries = (name,)
        return True

    def _take(self, line: str, indent: int) -> None:
        if not line.strip():
            self._blank(line)
        elif self.section == "field":
            self._continue_entry(line)
        elif self.section == "parameters":
            self._take_parameter(line, indent)
        elif self.section == "text" or (indent <= self.heading and not self.underlined):
            if self.section != "text":
                self._begin("text", indent, underlined=False)
            self.text.append(line)
        elif self.section == "examples":
            self.examples.append(line)

    def _blank(self, line: str) -> None:
        if self.section == "text":
            self.text.append(line)
        elif self.section == "examples":
            self.examples.append(line)
        elif self.section == "field":
            self._begin("text", 0, underlined=False)
        else:
            self._continue_entry(line)

    def _take_parameter(self, line: str, indent: int) -> None:
        first = self.entry_indent is None
        deeper = self.entry_indent is not None and indent > self.entry_indent
        entry = _numpy_entry(line) if self.underlined else _google_entry(line)
        wanted = entry is not None and any(name in self.names for name in entry[0])
        if self.underlined:
            begins = entry is not None and (not deeper or (self.lenient and wanted and " :" in line))
        else:
            inside = indent > self.heading
            begins = entry is not None and (wanted if not inside or deeper else True)
            begins = begins and (not deeper or self.lenient)
            if not begins and not inside:
                self._begin("text", indent, underlined=False)
                self.text.append(line)
                return
        if entry is None or not begins:
            self._continue_entry(line)
            return
        if first:
            self.entry_indent = indent
        self.open_entries, said = entry
        for name in self.open_entries:
            self.entries[name] = [said]

    def _continue_entry(self, line: str) -> None:
        for name in self.open_entries:
            self.entries[name].append(line)


def _heading(line: str, following: str) -> tuple[str | None, bool]:
    """The section that a line begins, and whether the next line is its underline."""
    title = line.strip()
    rule = following.strip()
    underlined = len(rule) >= 3 and (set(rule) == {"-"} or set(rule) == {"="})
    if underlined and title:
        return _section(title.rstrip(":")), True
    if title.endswith(":") and title[:-1].lower() in _TITLES:
        return _section(title[:-1]), False
    return None, False


def _section(title: str) -> str:
    lowered = title.lower()
    if lowered in _PARAMETERS:
        return "parameters"
    if lowered in _EXAMPLES:
        return "examples"
    return "other" if lowered in _OTHERS else "text"


def _google_entry(line: str) -> tuple[tuple[str, ...], str] | None:
    """`name (type): description`, the type being optional."""
    stripped = line.strip()
    found = _NAME.match(stripped)
    if not found:
        return None
    rest = stripped[found.end() :]
    if rest.startswith("("):
        rest = _after_parentheses(rest).lstrip()
    return ((found[1],), rest[1:].strip()) if rest.startswith(":") else None


def _numpy_entry(line: str) -> tuple[tuple[str, ...], str] | None:
    """`name : type`, or several names with commas between; the description follows on lines of its own."""
    names = tuple(name.strip().lstrip("*") for name in line.split(":", 1)[0].split(","))
    return (names, "") if all(name.isidentifier() for name in names) else None


def _after_parentheses(text: str) -> str:
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[index + 1 :]
    return ""


def _squeezed(lines: list[str]) -> Iterator[str]:
    """The lines with one empty line where sections left several."""
    empty = True
    for line in lines:
        if line.strip() or not empty:
            yield line
        empty = not line.strip()
