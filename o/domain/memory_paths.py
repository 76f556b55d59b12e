"""What a memory block may be called when an agent names it, and the paths by which the memory tool does."""

import re

from o.domain.blocks import EditRefused

ROOT = "/memories/"
_LONGEST = 100
# A label stands in angle brackets in the system message: it shall not close them. A slash makes folders of labels.
_LABEL = re.compile(r"\w[\w .-]*(?:/\w[\w .-]*)*")


def label_of(path: str) -> str:
    """The label that a path of the memory tool names.

    Raises:
        EditRefused: another form, or a path that leads elsewhere.
    """
    if not path.startswith(ROOT):
        raise EditRefused(f"a path has the form {ROOT}<label>; {path[:_LONGEST]!r} does not begin with {ROOT}.")
    return new_label(path.removeprefix(ROOT))


def new_label(label: str) -> str:
    """A label that an agent gives, if a block may have it.

    Raises:
        EditRefused: says what a label is made of.
    """
    if len(label) > _LONGEST or not _LABEL.fullmatch(label) or label != label.strip():
        raise EditRefused(
            f"{label[:_LONGEST]!r} cannot be the label of a block: use letters, digits, spaces and _ - . only, up to "
            f"{_LONGEST} of them, beginning with a letter or digit; a slash may stand between two names."
        )
    return label
