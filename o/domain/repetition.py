"""Tells a model that has begun to repeat itself for good from one that says something twice."""

# A loop is a text of at most this many characters, over and over, to the end of at least so many characters. A ruler
# of dashes or a table of zeros is shorter; a model that was asked for more of the same is stopped, which costs less
# than paying for a loop up to the longest reply.
_LONGEST_PERIOD = 400
_LOOPED = 8_000
_LOOK_EVERY = 2_000  # characters between two looks


class RepetitionGuard:
    """Watches one stream of text; `add` says whether its end is a loop."""

    def __init__(self) -> None:
        self._tail = ""
        self._unseen = 0

    def add(self, text: str) -> bool:
        """Whether, with this piece, the last 8,000 characters are one text of at most 400 over and over."""
        self._tail = (self._tail + text)[-_LOOPED:]
        self._unseen += len(text)
        if self._unseen < _LOOK_EVERY or len(self._tail) < _LOOPED:
            return False
        self._unseen = 0
        return _period(self._tail) <= _LONGEST_PERIOD


def _period(text: str) -> int:
    """The length of the shortest text of whose repetitions `text` is the beginning.

    From the failure function of Knuth, Morris and Pratt (SIAM J. Comput. 6(2), 1977): the period is the length less
    the longest border. Linear in the text.
    """
    border = [0] * len(text)
    matched = 0
    for index in range(1, len(text)):
        while matched and text[index] != text[matched]:
            matched = border[matched - 1]
        matched += text[index] == text[matched]
        border[index] = matched
    return len(text) - border[-1] if text else 0
